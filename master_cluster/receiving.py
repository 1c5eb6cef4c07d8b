"""Shell. A master without a state: it takes a copy, fills its store, and is opened.

It looks at its store each second. Whoever opens the state, this replica or another one
of the same store, ends the waiting. A copy that is whole on the disk is put into the
store by a thread; who is killed meanwhile goes on from there in the next life.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.task import deferLater

from master_cluster.errors import Unusable
from master_cluster.store.received import ReceivedFile
from master_cluster.store.restoring import (
    COPIED,
    NotCopied,
    Phase,
    Root,
    RootOf,
    look,
    open_copy,
    restore_into,
)
from master_cluster.store.store import Store
from master_cluster.transferring import KeptStanding, ReceivedCopy, receiving
from runtime.ports import Runtime, StoreUnavailable
from runtime.threads import work_in_thread
from slap.errors import Refusal, SlapError
from slap.transfer import Piece, Standing, TransferReport

LOOK_SECONDS = 1.0
"""So late another replica notices that the state is open."""

AGAIN_SECONDS = 5.0
"""Before a store is filled again that was away or refused."""

WAITS = "it waits for a state"

T = TypeVar("T")


class _Stopping(Exception):
    """The master stops: what a thread does ends."""


class Receiver:
    """Receives a state into a storage, which is its own from ``run`` to ``close``."""

    def __init__(self, storage: Any, directory: Path, runtime: Runtime) -> None:
        self._storage = storage
        self._file = ReceivedFile(directory)
        self._runtime = runtime
        self._copy: ReceivedCopy | None = None
        self._root = Root(RootOf.NOBODY)
        self._store: Store | None = None
        self._turn = DeferredLock()
        self._told = WAITS
        self._is_whole = False
        self._is_filling = False
        self._fill_at = 0.0
        self._filling: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None
        self._is_stopping = False

    @property
    def reason(self) -> str:
        """Why nothing is answered yet."""
        return self._told

    def report(self) -> TransferReport:
        copy = self._copy
        return TransferReport(
            Standing.RECEIVING,
            received_byte_count=copy.received_byte_count if copy else 0,
            sentence=self._told,
            digest=copy.digest if copy else "",
            is_whole=self._is_whole,
        )

    async def run(self, wait: Callable[[], None]) -> bool:
        """Return whether the state is open; it is not when this is stopped before.

        ``wait`` is called when it is known that the state is not open.
        """
        is_waiting = False
        while not self._is_stopping:
            if await self._look():
                await self._forget()
                return True
            if not is_waiting:
                self._copy = await self._in_thread(self._file.read)
                self._tell_received()
                wait()
                is_waiting = True
            self._begin_filling()
            await self._rest()
        return False

    async def stop(self) -> None:
        """Let ``run`` end."""
        self._is_stopping = True
        if self._pause is not None:
            self._pause.cancel()
        if self._filling is not None:
            await self._filling

    async def close(self) -> None:
        """Leave the storage, when nothing is asked of it any more."""
        await self.stop()
        opened = self._store or self._storage
        await self._in_thread(opened.close)

    async def take(self, piece: Piece) -> TransferReport:
        """Take a piece of a copy; it is on the disk when this returns."""
        await self._turn.acquire()
        try:
            self._check_takes(piece)
            try:
                copy = await self._in_thread(lambda: self._file.take(piece))
            except (OSError, StoreUnavailable) as error:
                raise receiving(f"a piece is not written: {error}") from error
            if copy != self._copy:
                self._copy, self._is_whole = copy, False
                self._fill_at = self._now()
                self._tell_received()
            self._begin_filling()
        finally:
            self._turn.release()
        return self.report()

    async def open(self, digest: str) -> TransferReport:
        """Open the state that is in the store, if that is its digest."""
        await self._turn.acquire()
        try:
            if self._copy is None or self._copy.digest != digest:
                raise Refusal(f"no copy with the digest {digest} was received here")
            if not self._is_whole:
                raise receiving(self._told)
            if self._store is None:
                database = await self._in_thread(lambda: open_copy(self._storage))
                self._store = Store(database, self._runtime)
            await self._store.open_received(digest, self._root.tid)
        finally:
            self._turn.release()
        return KeptStanding(digest=digest).report()

    def _check_takes(self, piece: Piece) -> None:
        copy = self._copy
        is_same = copy is not None and copy.digest == piece.digest
        if self._is_filling and not is_same:
            raise receiving(self._told)

    async def _look(self) -> bool:
        """Whether the state is open; what is filled now is not."""
        if self._is_filling:
            return False
        try:
            self._root = await self._in_thread(lambda: look(self._storage))
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - whatever a storage raises, it may end
            self._runtime.log.failure("the store is not there")
            return False
        return self._root.of is RootOf.MASTER

    def _begin_filling(self) -> None:
        copy = self._copy
        is_due = self._now() >= self._fill_at and not self._is_stopping
        if copy is None or not copy.is_whole or self._is_whole or not is_due:
            return
        if not self._is_filling:
            self._is_filling = True
            self._filling = Deferred.fromCoroutine(self._fill(copy))

    async def _fill(self, copy: ReceivedCopy) -> None:
        log = self._runtime.log
        try:
            await self._in_thread(lambda: self._restore(copy))
            self._root = await self._in_thread(lambda: look(self._storage))
        except _Stopping:
            pass
        except Unusable as error:
            await self._forget()
            self._copy = None
            self._told = f"{WAITS}; the copy is of no use, send it again: {error}"
            log.warn("{told}", told=self._told)  # noqa: G010 - Twisted's name
        except (NotCopied, SlapError) as error:
            self._told = f"the store is not filled: {error}"
            log.warn("{told}", told=self._told)  # noqa: G010 - Twisted's name
            self._fill_at = self._now() + AGAIN_SECONDS
        except Exception as error:  # noqa: BLE001 - whatever it is, it may end
            self._told = f"the store is not filled: {error}"
            log.failure("the store is not filled")
            self._fill_at = self._now() + AGAIN_SECONDS
        else:
            self._is_whole = self._root.of is RootOf.COPY
            self._told = f"the state {copy.digest} is whole: open it"
            log.info("{told}", told=self._told)
        self._is_filling = False

    def _restore(self, copy: ReceivedCopy) -> None:
        path = self._file.path
        restore_into(
            *(path, self._storage, self._watching),
            digest=copy.digest,
            extension=COPIED,
        )

    async def _forget(self) -> None:
        """Remove the copy; one that stays is in nobody's way."""
        try:
            await self._in_thread(self._file.remove)
        except (OSError, StoreUnavailable) as error:
            self._runtime.log.warn(  # noqa: G010 - Twisted's name
                "the copy is not removed: {error}", error=error
            )

    def _watching(self, phase: Phase) -> Callable[[int, int], None]:
        def watch(done: int, total: int) -> None:
            if self._is_stopping:
                raise _Stopping
            self._told = f"{phase.value}: {100 * done // total} %"

        return watch

    def _tell_received(self) -> None:
        copy = self._copy
        if copy is not None:
            percent = 100 * copy.received_byte_count // copy.byte_count
            self._told = f"{percent} % of a copy are here"

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await work_in_thread(self._runtime.threads, work)

    async def _rest(self) -> None:
        if self._is_stopping:
            return
        self._pause = deferLater(self._runtime.clock, LOOK_SECONDS)
        with suppress(CancelledError):
            await self._pause
        self._pause = None

    def _now(self) -> float:
        return self._runtime.clock.seconds()
