"""Core. Dollar signs in options and templates: ``$$`` stands for ``$``.

zc.buildout substitutes an option again when what it already substituted holds another
``${section:option}``, so a parameter could name any option of the instance. Doubled
dollar signs are inert. Hence one rule: what a recipe of ours exposes is quoted, and
what it reads is unquoted.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_REFERENCE = re.compile(
    r"\$\$|\$\{(?P<section>[-\w. ]*):(?P<option>[-\w. ]+)\}|(?P<wrong>\$\{[^}\n]*\}?)"
)


class WrongReference(ValueError):
    """A template holds ``${`` and then something else than ``section:option}``."""


def quote(text: str) -> str:
    """Return what an option must hold to mean ``text``."""
    return text.replace("$", "$$")


def unquote(text: str) -> str:
    """Return what an option means; a single dollar sign means itself."""
    return text.replace("$$", "$")


def render(template: str, lookup: Callable[[str, str], str]) -> str:
    """Return the template with each ``${section:option}`` looked up, once.

    ``lookup`` gets the section, empty for "this one", and the option, and returns the
    text itself. ``WrongReference`` names the line at fault.
    """

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        if match["wrong"] is not None:
            line = template.count("\n", 0, match.start()) + 1
            raise WrongReference(f"line {line}: {match[0]!r} names no section:option")
        return lookup(match["section"], match["option"])

    return _REFERENCE.sub(replace, template)
