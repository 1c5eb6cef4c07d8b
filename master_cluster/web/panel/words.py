"""Core. States and times in the words of the pages."""

from __future__ import annotations

from datetime import UTC, datetime

from attrs import frozen

from slap.reports import InstallationReport

MINUTE_SECONDS = 60
HOUR_SECONDS = 60 * MINUTE_SECONDS
DAY_SECONDS = 24 * HOUR_SECONDS

DONE_SENTENCES = {
    "requested": "The instance is requested.",
    "changed": "The change is kept; the computer obeys at its next poll.",
    "unchanged": "It was so already; nothing changed.",
    "started": "Starting is requested.",
    "stopped": "Stopping is requested.",
    "destroyed": "The destruction is requested; the computer obeys at its next poll.",
    "supplied": "The release is supplied; the computer builds it at its next poll.",
    "removed": "The removal of the release is requested.",
}
"""What a page says after a form was done: a word of its address stands for each, so
that an address cannot put other words into the page."""


@frozen
class Badge:
    """A state in a glance: ``kind`` has a colour, ``sign`` and ``text`` need none."""

    kind: str
    sign: str
    text: str


_OK, _OFF, _WAITING, _FAILING = "ok", "off", "waiting", "failing"
_SIGNS = {_OK: "✓", _OFF: "■", _WAITING: "…", _FAILING: "✗"}


def _badge(kind: str, text: str) -> Badge:
    return Badge(kind, _SIGNS[kind], text)


def badge_of_instance(requested_state: str, reported_state: str) -> Badge:
    """Say how an instance stands to what is wanted of it."""
    if not requested_state:
        return _badge(_OFF, "free")
    if reported_state == "error":
        return _badge(_FAILING, f"failing, wanted {requested_state}")
    if requested_state == reported_state:
        return _badge(_OK if requested_state == "started" else _OFF, requested_state)
    if not reported_state:
        return _badge(_WAITING, f"nothing heard, wanted {requested_state}")
    return _badge(_WAITING, f"{reported_state}, wanted {requested_state}")


def badge_of_installation(report: InstallationReport) -> Badge:
    """Say how a release stands to what is wanted of it."""
    if report.reported_state == "error":
        return _badge(_FAILING, f"failing, wanted {report.requested_state}")
    if report.requested_state == "destroyed":
        return _badge(_WAITING, "to be removed")
    if report.reported_state == "available":
        return _badge(_OK, "available")
    return _badge(_WAITING, report.reported_state or "nothing heard")


def badge_of_failures(failing_count: int) -> Badge:
    """Say how many of a computer or a tree fail."""
    if failing_count:
        return _badge(_FAILING, f"{failing_count} failing")
    return _badge(_OK, "none failing")


def utc(seconds: float) -> str:
    """Return a time as people write it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def age(seconds: float, now: float) -> str:
    """Return how long ago something was, in its largest unit."""
    elapsed = max(0.0, now - seconds)
    for length, unit in (
        (DAY_SECONDS, "d"),
        (HOUR_SECONDS, "h"),
        (MINUTE_SECONDS, "min"),
    ):
        if elapsed >= length:
            return f"{int(elapsed // length)} {unit} ago"
    return f"{int(elapsed)} s ago"
