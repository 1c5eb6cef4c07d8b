"""Shell. The store: every question and decision runs in a transaction of its own.

A decision reads and writes in one transaction. When another one changed what it stands
on, it runs again as a whole, after a drawn delay. What it returns is told to the caller
only when it is committed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import transaction  # type: ignore[import-untyped]
from attrs import frozen
from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.task import deferLater
from ZODB.DB import DB  # type: ignore[import-untyped]
from ZODB.POSException import (  # type: ignore[import-untyped]
    ConflictError,
    StorageError,
)

from master_cluster.errors import Misconfigured
from master_cluster.measuring import Measures
from master_cluster.store.cloud import Cloud
from master_cluster.store.outages import InDoubt
from master_cluster.store.schema import LAYOUT, ROOT_KEY, StoredCloud
from runtime.ports import Runtime, StoreUnavailable
from runtime.threads import STORE_THREADS_MAX
from slap.errors import SlapError, Unavailable

ATTEMPTS_MAX = 12
"""Eight clients that want the same partition settle within a few."""

RETRY_DELAY_SECONDS = 0.005
"""The mean wait before the second attempt, about the length of a transaction."""

RETRY_DELAY_SECONDS_MAX = 0.5
"""An answer is late rather than never, within the patience of any client."""

BUSY_RETRY_AFTER_SECONDS = 2
DECISIONS_WAITING_MAX = 1000
"""As many calls as the threads of the store take; more would time out."""

FULL_RETRY_AFTER_SECONDS = 30
"""A full disk needs a person; asking faster only fills its log."""

T = TypeVar("T")


@frozen
class Dated(Generic[T]):
    """An answer, and the id of the last transaction that it knows.

    Ids grow, so whoever knows a later one knows this answer too. For a decision it is
    its own commit, or the last one before it when it wrote nothing.
    """

    answer: T
    tid: bytes


class Store:
    """The state of a master.

    At most ``decisions_max`` decisions run at once, the others wait for their turn:
    see ``storages.decisions_max_of``.
    """

    def __init__(
        self,
        database: DB,
        runtime: Runtime,
        measures: Measures | None = None,
        decisions_max: int = STORE_THREADS_MAX,
    ) -> None:
        self._database = database
        self._runtime = runtime
        self._measures = measures or Measures()
        self.decisions_max = decisions_max
        self._turns = DeferredSemaphore(decisions_max)

    async def prepare(self) -> None:
        """Make the first objects of an empty database, or what an old one lacks.

        ``Misconfigured`` when the database is of a version that this one cannot read.
        """

        def begin() -> Callable[[], Dated[None]]:
            attempt = _Attempt(self._database)
            if ROOT_KEY not in attempt.root:
                attempt.root[ROOT_KEY] = StoredCloud()
            stored = attempt.root[ROOT_KEY]
            with attempt.aborted_on_error():
                _check_layout(stored.layout)
            stored.complete()
            return lambda: attempt.commit(None)

        await self._repeat(lambda _: begin)

    def listen(self, listener: Callable[[Collection[bytes] | None], None]) -> None:
        """Tell ``listener`` the ids of the objects that each commit changes, or None.

        ``None`` stands for all objects. A commit of this store is told before its
        decision is answered, and one of another process soon after it; by then, a
        question that is asked sees it.
        """
        tell = self._runtime.threads.tell
        self._database.storage.listen(lambda oids: tell(lambda: listener(oids)))

    async def ask(self, question: Callable[[Cloud], T]) -> T:
        """Answer a question from one snapshot; nothing is written."""
        return (await self.ask_dated(question)).answer

    async def ask_dated(self, question: Callable[[Cloud], T]) -> Dated[T]:
        """Answer a question, and say as of which transaction."""

        def begin() -> Callable[[], Dated[T]]:
            attempt = _Attempt(self._database)
            with attempt.aborted_on_error():
                answer = question(Cloud(attempt.root[ROOT_KEY]))
            return lambda: attempt.abandon(answer)

        return await self._repeat(lambda _: begin)

    async def decide(self, decision: Callable[[Cloud, int], T]) -> T:
        """Run a decision and commit what it writes; it may run several times.

        The decision gets the number of attempts before. An error that it raises is
        raised here, and nothing is written. ``Unavailable`` is raised when others are
        always faster, or when the disk refuses; then, too, nothing is written. It is
        raised as well when the server of the store is away; a server that goes just
        then may have written, so whoever asked asks again. The decision is not run
        again here then.
        """
        return (await self.decide_dated(decision)).answer

    async def decide_dated(self, decision: Callable[[Cloud, int], T]) -> Dated[T]:
        """Decide, and say which transaction it was."""

        def begin_attempt(number: int) -> Callable[[], Callable[[], Dated[T]]]:
            def begin() -> Callable[[], Dated[T]]:
                attempt = _Attempt(self._database)
                with attempt.aborted_on_error():
                    answer = decision(Cloud(attempt.root[ROOT_KEY]), number)
                return lambda: attempt.commit(answer)

            return begin

        if len(self._turns.waiting) >= DECISIONS_WAITING_MAX:
            sentence = f"{DECISIONS_WAITING_MAX} changes of the store are waiting"
            raise Unavailable(sentence, BUSY_RETRY_AFTER_SECONDS)
        await self._turns.acquire()
        try:
            answer = await self._repeat(begin_attempt)
        finally:
            self._turns.release()
        self._measures.commits.add()
        return answer

    def close(self) -> None:
        """Close the database; no call may run."""
        self._database.close()

    async def _repeat(
        self, begin_attempt: Callable[[int], Callable[[], Callable[[], T]]]
    ) -> T:
        attempts = self._measures.store_attempts
        for number in range(ATTEMPTS_MAX):
            try:
                answer: T = await self._runtime.threads.call(begin_attempt(number))
            except ConflictError:
                attempts.add("conflict")
                await self._pause(number)
            except SlapError:
                attempts.add("refused")
                raise
            except StoreUnavailable as error:
                attempts.add("busy")
                raise Unavailable(str(error), BUSY_RETRY_AFTER_SECONDS) from error
            except InDoubt as error:
                raise Unavailable(str(error), BUSY_RETRY_AFTER_SECONDS) from error
            except TransientError as error:
                sentence = f"the server of the store is away: {error}"
                raise Unavailable(sentence, BUSY_RETRY_AFTER_SECONDS) from error
            except (OSError, StorageError) as error:
                attempts.add("failed")
                self._runtime.log.failure("the store cannot be written")
                sentence = f"the store cannot be written: {error}"
                raise Unavailable(sentence, FULL_RETRY_AFTER_SECONDS) from error
            else:
                attempts.add("done")
                return answer
        attempts.add("busy")
        raise Unavailable(
            f"the store is busy: {ATTEMPTS_MAX} attempts met others",
            BUSY_RETRY_AFTER_SECONDS,
        )

    async def _pause(self, number: int) -> None:
        mean = min(RETRY_DELAY_SECONDS * 2**number, RETRY_DELAY_SECONDS_MAX)
        delay = self._runtime.entropy.uniform(0, 2 * mean)
        await deferLater(self._runtime.clock, delay)


def _check_layout(layout: int) -> None:
    if layout != LAYOUT:
        raise Misconfigured(
            f"the store was made by another version, with layout {layout};"
            f" this one reads layout {LAYOUT}"
        )


class _Attempt:
    """One connection and one transaction."""

    def __init__(self, database: DB) -> None:
        self._manager = transaction.TransactionManager(explicit=True)
        self._connection = database.open(self._manager)
        try:
            self._manager.begin()
        except BaseException:
            # The server of the store is away; the connection goes back to its pool.
            self.end()
            raise

    @property
    def root(self) -> Any:
        """The root mapping of the database."""
        return self._connection.root()

    @contextmanager
    def aborted_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.end()
            raise

    def _dated(self, answer: T) -> Dated[T]:
        return Dated(answer, self._connection._storage.tid)  # noqa: SLF001 - ours

    def commit(self, answer: T) -> Dated[T]:
        try:
            self._manager.commit()
            return self._dated(answer)
        except BaseException:
            self._manager.abort()
            raise
        finally:
            self._connection.close()

    def abandon(self, answer: T) -> Dated[T]:
        """End without writing."""
        dated = self._dated(answer)
        self.end()
        return dated

    def end(self) -> None:
        self._manager.abort()
        self._connection.close()
