"""Shell. By what a process finds a commit again whose end it did not hear.

Each decision of a store that may lose the end of a commit writes the same small object
of its process, its *mark*, with a number of its own. Who reads the number later knows
that the commit was made. Who writes another one, and commits that, knows that it was
not made and never will be: both wrote one object, so only one of them follows what was
there before.
"""

from __future__ import annotations

from attrs import frozen
from persistent import Persistent  # type: ignore[import-untyped]

from master_cluster.store.schema import StoredCloud
from master_cluster.store.standing import StandingOfState
from runtime.ports import Runtime

MARK_COUNT_MAX = 1000
"""A process leaves its marks behind. A mark is missed only if so many processes began
to decide while the end of one commit was looked for."""

SLOT_BITS = 64
"""Of chance: no two processes have one mark."""


class StoredMark(Persistent):  # type: ignore[misc] # persistent has no types
    """The last commit of a process, one decision after the other."""

    def __init__(self) -> None:
        self.number = 0


@frozen
class Mark:
    """Where one decision writes which number, greater than zero."""

    slot: str
    number: int

    def write(self, stored: StoredCloud) -> None:
        """Let the transaction be found again."""
        if self.slot not in stored.marks:
            # Else a freeze that does not know this mark could not tell.
            StandingOfState(stored).rely()
        _marked(stored, self.slot).number = self.number

    def find(self, stored: StoredCloud) -> bytes | None:
        """Return the id of the transaction that wrote this, ``None`` without one."""
        found: StoredMark | None = stored.marks.get(self.slot)
        if found is None or found.number != self.number:
            return None
        tid: bytes = found._p_serial  # noqa: SLF001 - ZODB's name
        return tid

    def forbid(self, stored: StoredCloud) -> None:
        """Let no transaction commit any more that wrote this."""
        _marked(stored, self.slot).number = 0


class Marks:
    """The marks of one process: one for each decision that runs at once."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._free_slots: list[str] = []
        self._last_number = 0

    def take(self) -> Mark:
        """Return a mark for one decision."""
        slots = self._free_slots
        self._last_number += 1
        return Mark(slots.pop() if slots else self._new_slot(), self._last_number)

    def give_back(self, mark: Mark) -> None:
        """Let another decision have the same slot."""
        self._free_slots.append(mark.slot)

    def _new_slot(self) -> str:
        """Name a slot so that the oldest one comes first."""
        bits = self._runtime.entropy.getrandbits(SLOT_BITS)
        return f"{self._runtime.calendar.now():020.6f} {bits:016x}"


def _marked(stored: StoredCloud, slot: str) -> StoredMark:
    marks = stored.marks
    if slot not in marks:
        while len(marks) >= MARK_COUNT_MAX:
            del marks[marks.minKey()]
        marks[slot] = StoredMark()
    marked: StoredMark = marks[slot]
    return marked
