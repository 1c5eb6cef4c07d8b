"""Core. Promises of a partition, and what is read of the files that are kept of them.

A promise is a plug-in ``etc/plugin/NAME.py`` or an executable ``etc/promise/NAME``. Its
title is the name without its ending. The files that are kept of it have the form of
stock nodes (``slapgrid.shims.promise_keeping`` writes them): either agent goes on from
what the other one left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from posixpath import splitext

from attrs import frozen

from slapgrid.convergence.views import PromiseView
from slapgrid.layout import PLUGIN_DIRECTORY, PROMISE_DIRECTORY

#: A cache that says later than this is from another calendar.
DUE_SECONDS_MAX = 7 * 86400.0
ANOMALY = "Anomaly Result"

_PLUGIN = re.compile(r"(?!__init__)[A-Za-z_][^/]*\.py\Z")


@frozen
class PromiseFile:
    """A promise of a partition; ``path`` is relative to it."""

    name: str
    is_plugin: bool
    title: str

    @property
    def path(self) -> str:
        directory = PLUGIN_DIRECTORY if self.is_plugin else PROMISE_DIRECTORY
        return f"{directory}/{self.name}"


def find_promises(
    plugins: tuple[str, ...], executables: tuple[str, ...]
) -> tuple[PromiseFile, ...]:
    """The promises among the names in the two directories, in order of title.

    Of two names with one title the second keeps its ending; a plug-in hides an
    executable of the same title, since the plug-in is the newer kind.
    """
    found: dict[str, PromiseFile] = {}
    for name in sorted(plugins):
        if is_plugin(name):
            title = splitext(name)[0]
            found[title] = PromiseFile(name, is_plugin=True, title=title)
    hiding = frozenset(found)
    for name in sorted(executables):
        title = splitext(name)[0]
        if title in hiding:
            continue
        if title in found:
            title = name
        found[title] = PromiseFile(name, is_plugin=False, title=title)
    return tuple(found[title] for title in sorted(found))


def is_plugin(name: str) -> bool:
    """Whether a file of the directory of plug-ins is one."""
    return _PLUGIN.match(name) is not None


def view_promise(
    promise: PromiseFile, cache: bytes | None, result: bytes | None, now: float
) -> PromiseView:
    """When the promise is due and whether it failed; at once when that is unknown."""
    try:
        known = json.loads(cache or b"{}")
        due_at = float(known["next_run_after"])
        run_at = float(known["timestamp"])
        is_checked = bool(known.get("is_anomaly_detected", True))
        may_bang = promise.is_plugin and bool(known.get("is_bang_allowed", True))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return PromiseView(promise.title)
    if run_at > now or due_at > now + DUE_SECONDS_MAX:
        due_at = 0.0
    last = _decode_result(result)
    if last is None:
        # A promise that wants no check may have none: it was never asked for one.
        due_at = due_at if not is_checked else 0.0
        return PromiseView(promise.title, due_at, is_checked=is_checked)
    failed = bool(last["failed"])
    is_anomaly = failed and may_bang and last["type"] == ANOMALY
    return PromiseView(
        promise.title,
        due_at,
        str(last["message"]) if failed else None,
        is_checked,
        run_at if is_anomaly else None,
    )


def _decode_result(result: bytes | None) -> Mapping[str, object] | None:
    try:
        last = json.loads(result or b"{}")["result"]
        return {name: last[name] for name in ("failed", "type", "message")}
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
