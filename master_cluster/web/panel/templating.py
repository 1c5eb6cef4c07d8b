"""Shell. The templates of the pages: files beside this one, read once.

Whatever a template shows is escaped: values reach it as texts and are never markup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from master_cluster.web.panel import addresses, words

HOME = Path(__file__).parent


class Templates:
    """Renders pages; ``now`` is the calendar, in seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._environment = Environment(
            loader=FileSystemLoader(HOME / "templates"),
            autoescape=True,
            auto_reload=False,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(
            addresses=addresses,
            badge_of_failures=words.badge_of_failures,
            badge_of_installation=words.badge_of_installation,
            badge_of_instance=words.badge_of_instance,
        )

    def render(self, name: str, values: Mapping[str, object]) -> str:
        now = self._now()
        return self._environment.get_template(name).render(
            values,
            age=lambda seconds: words.age(seconds, now),
            utc=words.utc,
            now=now,
        )
