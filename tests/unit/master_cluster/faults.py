"""A storage in memory that loses the end of commits, as one behind a network does."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from transaction.interfaces import TransientError
from ZODB.DB import DB
from ZODB.POSException import ConflictError

from master_cluster.store.outages import InDoubt
from master_cluster.store.storages import MemoryStorage, Opening, database_on
from runtime.ports import ICalendar


class Fault(StrEnum):
    """What becomes of a commit.

    ``LOST``: it is never made. ``UNHEARD``: it is made. ``LATE``: it is made while
    somebody looks for it. Nobody hears of these. ``REFUSED`` is a conflict.
    ``AWAY``: the server went before it had everything.
    """

    LOST = "lost"
    UNHEARD = "unheard"
    LATE = "late"
    REFUSED = "refused"
    AWAY = "away"


class Away(TransientError):
    """What a client says of a server that it does not reach."""


class FaultyStorage(MemoryStorage):
    """A storage whose next commit has the ``fault``, and which is then away.

    ``away_count``: so many transactions find nobody then.
    """

    loses_ends = True

    def __init__(self, calendar: ICalendar) -> None:
        self.fault: Fault | None = None
        self.away_count = 0
        self._is_away = False
        self._late: tuple[Any, Any] | None = None
        self._forget: Callable[[], None] | None = None
        super().__init__(calendar)

    def registerDB(self, database: Any) -> None:
        self._forget = database.invalidateCache

    def sync(self) -> None:
        """Begin a transaction."""
        if self._is_away and self.away_count:
            self.away_count -= 1
            raise Away("nobody there")
        self._is_away = False

    def tpc_begin(self, transaction: object, tid: bytes | None = None) -> None:
        if self._late is not None:
            (late, data), self._late = self._late, None
            super().tpc_begin(late)
            self._tdata = data
            self._finish(late)
        super().tpc_begin(transaction, tid)

    def tpc_vote(self, transaction: object) -> list[bytes]:
        match self.fault:
            case Fault.REFUSED:
                self.fault = None
                raise ConflictError
            case Fault.AWAY:
                self._go()
                raise Away("nobody there any more")
        resolved: list[bytes] = super().tpc_vote(transaction)
        return resolved

    def tpc_finish(
        self, transaction: object, func: Callable[[bytes], None] = lambda _: None
    ) -> Any:
        fault = self.fault
        if fault is None:
            return super().tpc_finish(transaction, func)
        self._go()
        match fault:
            case Fault.UNHEARD:
                self._finish(transaction)
            case Fault.LATE:
                self._late = transaction, self._tdata
        raise InDoubt("nobody heard how it ended")

    def _go(self) -> None:
        self.fault = None
        self._is_away = True

    def _finish(self, transaction: object) -> None:
        super().tpc_finish(transaction)
        if self._forget is not None:
            self._forget()


def opening(storages: list[FaultyStorage]) -> Opening:
    """Return what opens such a storage, whatever the URI, and tells it."""

    def open_faulty(_: str, calendar: ICalendar) -> DB:
        storages.append(FaultyStorage(calendar))
        return database_on(storages[-1])

    return open_faulty
