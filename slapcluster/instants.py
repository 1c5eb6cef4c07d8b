"""Core. Instants as people read and type them: ISO 8601, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from slapcluster.outcomes import CommandFailed


def show_instant(seconds: float | None) -> str:
    """Return an instant as ``2026-11-20T23:31:16Z``, or ``""`` without one."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_instant(text: str, option: str) -> float:
    """Return the seconds since 1970 of a date or a time; without a zone it is UTC."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandFailed(
            f"{option} {text!r}: write a date or a time such as 2026-11-20 or"
            " 2026-11-20T23:31:16Z."
        ) from error
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return max(0.0, instant.timestamp())
