"""Core. When a promise bangs by itself, and what is kept of that.

The agent bangs for promises that are plug-ins, once for each deployment; those of a
region are programs. The one that finds a program missing asks for the pass that plans
it, and leaves the agent time for that pass.
"""

from __future__ import annotations

import json

from attrs import frozen

BANG_SECONDS_MIN = 600.0
"""Between two bangs that were heard: a pass on a loaded machine takes minutes, and each
one has all regions processed."""

RETRY_SECONDS_MIN = 60.0
"""After one that no master heard; a program that proves a leg looks every 2 s."""

MARK_BYTES_MAX = 4096
"""A mark is some words; whatever is longer was not written by us."""


@frozen
class BangMark:
    """The last bang of a promise: when, for what, and whether a master heard it."""

    at: float
    message: str
    is_heard: bool

    def due_at(self) -> float:
        """Return when there may be another one."""
        return self.at + (BANG_SECONDS_MIN if self.is_heard else RETRY_SECONDS_MIN)


def may_bang(mark: BangMark | None, now: float) -> bool:
    """Whether a bang is due; a mark of the future is from another calendar."""
    return mark is None or not mark.at <= now < mark.due_at()


def render_mark(mark: BangMark) -> bytes:
    document = {"at": mark.at, "message": mark.message, "is_heard": mark.is_heard}
    return json.dumps(document, sort_keys=True).encode() + b"\n"


def parse_mark(content: bytes | None) -> BangMark | None:
    """Read a mark; what is damaged is none, and costs one bang more."""
    try:
        document = json.loads(content or b"")
        at, message = float(document["at"]), str(document["message"])
        return BangMark(at, message, document["is_heard"] is True)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
