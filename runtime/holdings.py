"""Core. What an identity directory holds, as its calendar shows it."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

ROOTS = "root.crt"

UNSIGNED = "its key waits for a certificate"
"""Of a key that was made, and whose request nobody has answered yet."""


def renewal_instant(starts_at: float, expires_at: float) -> float:
    """Return when two thirds of a life are over: a third is left for what fails."""
    return starts_at + (expires_at - starts_at) * 2 / 3


def warning_instant(renew_at: float, expires_at: float) -> float:
    """Return when a renewal is late: half of what was left for it is over."""
    return (renew_at + expires_at) / 2


class Holding(StrEnum):
    """What a directory has a key of: files are named after it."""

    OWN = "own"
    REGION = "region"
    ROOT = "root"

    @property
    def key_name(self) -> str:
        return f"{self}.key"

    @property
    def chain_name(self) -> str:
        return f"{self}.crt"


@frozen
class CalendarEntry:
    """One certificate of a directory, as the calendar of certificates shows it.

    ``identity`` is its URI, ``""`` of an authority. ``problem`` is why it is of no use
    now; the instants are ``None`` where there is none to look at.
    """

    holding: Holding
    name: str = ""
    identity: str = ""
    issuer: str = ""
    addresses: tuple[str, ...] = ()
    serial: str = ""
    digest: str = ""
    starts_at: float | None = None
    expires_at: float | None = None
    renew_at: float | None = None
    problem: str = ""

    def is_due(self, now: float) -> bool:
        return self.renew_at is not None and now >= self.renew_at

    def is_late(self, now: float) -> bool:
        """Whether the next one should have been there for long."""
        if self.renew_at is None or self.expires_at is None:
            return False
        return now >= warning_instant(self.renew_at, self.expires_at)
