"""Core. When each computer was last heard, in the memory of this process.

A poll must not cost a transaction, so this is not kept in the store: a process that
has just started has heard nobody, and calls nobody silent for longer than it lives.
"""

from __future__ import annotations

from attrs import frozen

CONTACT_COUNT_MAX = 100_000
"""Ten times the computers that one store is measured with; some 20 MB."""


@frozen
class Contact:
    """What is known of the last contact with a computer, when it is asked about.

    ``heard_at`` is ``None`` when this process never heard the computer.
    """

    computer_id: str
    heard_at: float | None
    silent_seconds: float
    now: float


class Contacts:
    """The last contacts; those of the longest silence are forgotten first."""

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self._heard_at: dict[str, float] = {}

    def hear(self, computer_id: str, now: float) -> None:
        """Note that a computer speaks."""
        self._heard_at.pop(computer_id, None)
        self._heard_at[computer_id] = now
        if len(self._heard_at) > CONTACT_COUNT_MAX:
            del self._heard_at[next(iter(self._heard_at))]

    def contact(self, computer_id: str, now: float) -> Contact:
        heard_at = self._heard_at.get(computer_id)
        known_at = self._started_at if heard_at is None else heard_at
        return Contact(computer_id, heard_at, now - known_at, now)
