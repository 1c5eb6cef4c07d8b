"""Shell. The store: every question and decision runs in a transaction of its own.

A decision reads and writes in one transaction. When another one changed what it stands
on, it runs again as a whole, after a drawn delay. What it returns is told to the caller
only when it is committed.

What can fail, where, and what is done then:

===============  ========================  ============================================
raised           while                     the store
===============  ========================  ============================================
conflict         reading, voting           runs it again, ``ATTEMPTS_MAX`` times; 503
``NEORetry``     reading, voting           the same: it is a conflict
``NEOAway``      beginning, reading,       503; beginning waited for the store already,
                 voting                    within the bound of its client
disconnected     beginning, reading,       503, as above
(ZEO)            voting
any              ending, of NEO            in doubt, see below
disconnected     ending, of ZEO            in doubt, see below
``OSError``      any, of a file            503, and a line in the log: nothing is
                                           written, or it is taken back
other errors     beginning, reading,       503, and a line in the log
of a storage     voting; ``NEOReadOnly``
a refusal        deciding                  raises it, and nothing is written
===============  ========================  ============================================

While the store is lost (``lose``), whatever is asked is 503 at once, and what runs is
``StillInDoubt`` for whoever asked: a silence is not waited for by anybody.

503 is ``Unavailable``, which has a ``Retry-After``; nothing was written then. A commit
in doubt is looked for by its mark (``marks``) until ``DOUBT_SECONDS_MAX`` after it was
lost, without a turn, so that others go on. When it is found, its answer is given; when
it can never be made any more, the decision runs again. So it is done once, or it is
``StillInDoubt``: then alone whoever asked has to find out.

Each call has a caller (``callers``). Who has seen more than the store knows was told so
by a region that knows more, or knew the store before a backup was put back. A commit
tells one from the other, since a store that is cut off makes none, and with it the
store knows more than anybody has seen. Else ``Unavailable`` is raised, before anything
is read.

A decision that would change a record that changed after what its caller has seen raises
``Overtaken``: a call that stood in the way of a cut, and that its caller gave up, would
undo what was acknowledged since. What nobody waits for any more is not begun, nor
repeated after a conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from twisted.internet.defer import DeferredLock, DeferredSemaphore
from twisted.internet.task import deferLater
from ZODB.DB import DB  # type: ignore[import-untyped]
from ZODB.POSException import (  # type: ignore[import-untyped]
    ConflictError,
    StorageError,
)

from master_cluster.errors import Misconfigured
from master_cluster.measuring import Measures
from master_cluster.store.announcing import EVERYTHING
from master_cluster.store.attempt import Attempt, Behind, Dated, EndLost
from master_cluster.store.awaiting import AwaitedCalls
from master_cluster.store.callers import Caller, present_caller
from master_cluster.store.cloud import Cloud
from master_cluster.store.marks import Mark, Marks
from master_cluster.store.outages import InDoubt, StillInDoubt
from master_cluster.store.schema import LAYOUT, ROOT_KEY, StoredCloud
from master_cluster.store.standing import StandingOfState
from master_cluster.store.storages import later_tid
from master_cluster.transferring import check_opened, decide_opening
from runtime.ports import Runtime, StoreUnavailable
from runtime.threads import STORE_THREADS_MAX
from slap.errors import SlapError, Unavailable
from slap.freshness import CLOCKS_SECONDS, UNSEEN, behind

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

DOUBT_SECONDS_MAX = 30.0
"""Three regions go on within twenty seconds of a silent cut, and clients of ours give
up after sixty."""

DOUBTS_MAX = 3
"""Of one decision: a store that loses every commit is not asked without end."""

DOUBT_PAUSE_SECONDS = 0.5
"""Between two looks for a commit, in a store that is away."""

T = TypeVar("T")


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
        self._proving = DeferredLock()
        self._proven = UNSEEN
        self._failed_proofs = 0
        self._marks = Marks(runtime) if database.storage.loses_ends else None
        self._awaited = AwaitedCalls(runtime.log)

    async def prepare(self) -> None:
        """Make the first objects of an empty database, or what an old one lacks.

        ``Misconfigured`` when the database is of a version that this one cannot read.
        """

        def begin() -> Callable[[], Dated[None]]:
            attempt = Attempt(self._database)
            if ROOT_KEY not in attempt.root:
                attempt.root[ROOT_KEY] = StoredCloud()
            stored = attempt.root[ROOT_KEY]
            with attempt.aborted_on_error():
                check_layout(stored.layout)
            stored.complete()
            return lambda: attempt.commit(None)

        try:
            await self._repeat(lambda _: begin)
        except EndLost as lost:
            raise StillInDoubt(str(lost.cause), BUSY_RETRY_AFTER_SECONDS) from lost

    async def open_received(self, digest: str, copied_tid: bytes) -> None:
        """Open a state whose root object is as a copy wrote it; once, whoever does."""

        def begin() -> Callable[[], Dated[None]]:
            attempt = Attempt(self._database)
            with attempt.aborted_on_error():
                stored = attempt.root[ROOT_KEY]
                check_layout(stored.layout)
                stored.complete()
                standing = StandingOfState(stored)
                if attempt.root._p_serial == copied_tid:  # noqa: SLF001 - ZODB's name
                    standing.write(decide_opening(standing.read(), digest))
                    # By this all replicas know that it is open (``restoring``).
                    attempt.root._p_changed = True  # noqa: SLF001
                else:
                    check_opened(standing.read(), digest)
            return lambda: attempt.commit(None)

        try:
            await self._repeat(lambda _: begin)
        except EndLost as lost:
            raise StillInDoubt(str(lost.cause), BUSY_RETRY_AFTER_SECONDS) from lost

    def listen(self, listener: Callable[[Collection[bytes] | None], None]) -> None:
        """Tell ``listener`` the ids of the objects that each commit changes, or None.

        ``None`` stands for all objects. A commit of this store is told before its
        decision is answered, and one of another process soon after it; by then, a
        question that is asked sees it.
        """
        tell = self._runtime.threads.tell
        self._database.storage.listen(lambda oids: tell(lambda: listener(oids)))

    @property
    def can_be_lost(self) -> bool:
        """Whether somebody else has it, who may be away."""
        can_be_lost: bool = self._database.storage.loses_ends
        return can_be_lost

    async def look(self) -> bytes | None:
        """Ask the store whether it is there; return what is known to be announced.

        Each commit up to the transaction that is returned was told to all listeners
        before this returns. ``Unavailable`` when it is away, ``None`` when it is busy.
        """

        def begin() -> Callable[[], bytes]:
            attempt = Attempt(self._database)
            heard = attempt.heard
            return lambda: attempt.abandon(heard).answer

        try:
            return await self._runtime.threads.call(begin)
        except (StoreUnavailable, ConflictError):
            return None
        except (TransientError, OSError, StorageError) as error:
            raise Unavailable(f"the store is away: {error}") from error

    async def ask(self, question: Callable[[Cloud], T]) -> T:
        """Answer a question from one snapshot; nothing is written."""
        return (await self.ask_dated(question)).answer

    async def ask_dated(self, question: Callable[[Cloud], T]) -> Dated[T]:
        """Answer a question, and say as of which transaction."""
        caller = present_caller()
        return await self._awaited.answer(self._ask(question, caller), caller)

    async def _ask(self, question: Callable[[Cloud], T], caller: Caller) -> Dated[T]:
        def begin() -> Callable[[], Dated[T]]:
            attempt = Attempt(self._database)
            with attempt.aborted_on_error():
                attempt.check_known(caller.seen)
                answer = question(Cloud(attempt.root[ROOT_KEY]))
            return lambda: attempt.abandon(answer)

        dated = await self._repeat(lambda _: begin, caller)
        caller.learn(dated.tid)
        return dated

    async def decide(self, decision: Callable[[Cloud, int], T]) -> T:
        """Run a decision and commit what it writes; it may run several times.

        The decision gets the number of attempts before. An error that it raises is
        raised here, and nothing is written. ``Unavailable`` is raised when others are
        always faster, when the disk refuses, or when the server of the store is away;
        then, too, nothing is written. ``StillInDoubt`` is raised when it may be
        written, or not.
        """
        return (await self.decide_dated(decision)).answer

    async def decide_dated(self, decision: Callable[[Cloud, int], T]) -> Dated[T]:
        """Decide, and say which transaction it was."""
        if len(self._turns.waiting) >= DECISIONS_WAITING_MAX:
            sentence = f"{DECISIONS_WAITING_MAX} changes of the store are waiting"
            raise Unavailable(sentence, BUSY_RETRY_AFTER_SECONDS)
        caller = present_caller()
        return await self._awaited.answer(self._decide(decision, caller), caller)

    async def _decide(
        self, decision: Callable[[Cloud, int], T], caller: Caller
    ) -> Dated[T]:
        if self._marks is None:
            dated = await self._decide_once(decision, None, caller)
        else:
            mark = self._marks.take()
            try:
                dated = await self._decide_marked(decision, mark, caller)
            finally:
                self._marks.give_back(mark)
        self._measures.commits.add()
        caller.learn(dated.tid)
        caller.has_written = True
        return dated

    async def _decide_marked(
        self, decision: Callable[[Cloud, int], T], mark: Mark, caller: Caller
    ) -> Dated[T]:
        """Decide until it is known how it ended."""
        deadline: float | None = None
        for _ in range(DOUBTS_MAX):
            try:
                return await self._decide_once(decision, mark, caller)
            except EndLost as lost:
                self._measures.store_attempts.add("doubt")
                if deadline is None:
                    deadline = self._runtime.clock.seconds() + DOUBT_SECONDS_MAX
                tid = await self._settle(mark, lost.cause, deadline)
                if tid is not None:
                    return Dated(lost.answer, tid)
        raise Unavailable(
            f"the store was lost {DOUBTS_MAX} times, and nothing is written",
            BUSY_RETRY_AFTER_SECONDS,
        )

    async def _decide_once(
        self,
        decision: Callable[[Cloud, int], T],
        mark: Mark | None,
        caller: Caller,
    ) -> Dated[T]:
        """Decide until it is committed, or its end is lost (``EndLost``)."""

        def begin_attempt(number: int) -> Callable[[], Callable[[], Dated[T]]]:
            def begin() -> Callable[[], Dated[T]]:
                attempt = Attempt(self._database)
                with attempt.aborted_on_error():
                    attempt.check_known(caller.seen)
                    cloud = Cloud(attempt.root[ROOT_KEY])
                    answer = decision(cloud, number)
                    attempt.check_seen(caller)
                    attempt.check_standing(cloud, mark)
                return lambda: attempt.commit(answer, mark)

            return begin

        await self._turns.acquire()
        try:
            return await self._repeat(begin_attempt, caller)
        finally:
            self._turns.release()

    async def _settle(
        self, mark: Mark, cause: InDoubt, deadline: float
    ) -> bytes | None:
        """Return the transaction of a mark; ``None`` when there never will be one.

        ``StillInDoubt`` when nobody can say until the deadline.
        """

        def begin() -> Callable[[], Dated[bytes | None]]:
            attempt = Attempt(self._database)
            with attempt.aborted_on_error():
                stored = attempt.root[ROOT_KEY]
                tid = mark.find(stored)
                # What conflicts with a freeze is never made, and needs no other.
                is_final = not StandingOfState(stored).read().is_open
                if tid is None and not is_final:
                    mark.forbid(stored)
            if tid is None:
                return lambda: attempt.commit(None)
            # Nobody was told of it when it was made.
            self._database.storage.announce(EVERYTHING)
            return lambda: attempt.abandon(tid)

        clock = self._runtime.clock
        while True:
            try:
                return (await self._repeat(lambda _: begin)).answer
            except (Unavailable, EndLost):
                if clock.seconds() + DOUBT_PAUSE_SECONDS > deadline:
                    raise StillInDoubt(str(cause), BUSY_RETRY_AFTER_SECONDS) from cause
            await deferLater(clock, DOUBT_PAUSE_SECONDS)

    def lose(self) -> None:
        """The store gives no proof that it is there: nobody waits for it any more.

        What runs goes on, and may be done or not; what is asked is refused.
        """
        self._awaited.lose()

    def find(self) -> None:
        """It is there again."""
        self._awaited.find()

    async def settle(self) -> None:
        """Return when nothing runs that nobody waits for."""
        await self._awaited.settle()

    def close(self) -> None:
        """Close the database; no call may run."""
        self._database.close()

    async def _repeat(
        self,
        begin_attempt: Callable[[int], Callable[[], Callable[[], T]]],
        caller: Caller | None = None,
    ) -> T:
        attempts = self._measures.store_attempts
        for number in range(ATTEMPTS_MAX):
            if caller is not None and caller.is_served_in_vain:
                attempts.add("left")
                raise Unavailable("nobody waits for this any more")
            try:
                answer: T = await self._runtime.threads.call(begin_attempt(number))
            except ConflictError:
                attempts.add("conflict")
                await self._pause(number)
            except Behind as error:
                attempts.add("behind")
                await self._prove(error)
            except SlapError:
                attempts.add("refused")
                raise
            except StoreUnavailable as error:
                attempts.add("busy")
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

    async def _prove(self, error: Behind) -> None:
        """Commit, so that the store knows what was seen; ``Unavailable`` if it fails.

        Whoever names what nobody can have seen yet has nothing written.
        """

        def begin() -> Callable[[], Dated[None]]:
            attempt = Attempt(self._database)
            with attempt.aborted_on_error():
                stored = attempt.root[ROOT_KEY]
                # What is copied has a last transaction.
                StandingOfState(stored).check_changeable()
                stored.proof.advance()
            return lambda: attempt.commit(None)

        latest = later_tid(self._runtime.calendar.now() + CLOCKS_SECONDS, UNSEEN)
        failures = self._failed_proofs
        await self._proving.acquire()
        try:
            # Who waited for one that failed need not fail as slowly.
            is_untried = failures == self._failed_proofs
            if is_untried and self._proven < error.seen <= latest:
                self._proven = (await self._repeat(lambda _: begin)).tid
        except (Unavailable, EndLost) as failure:
            self._failed_proofs += 1
            raise behind(error.known, error.seen) from failure
        finally:
            self._proving.release()
        if self._proven < error.seen:
            raise behind(error.known, error.seen)

    async def _pause(self, number: int) -> None:
        mean = min(RETRY_DELAY_SECONDS * 2**number, RETRY_DELAY_SECONDS_MAX)
        delay = self._runtime.entropy.uniform(0, 2 * mean)
        await deferLater(self._runtime.clock, delay)


def check_layout(layout: int) -> None:
    if layout != LAYOUT:
        raise Misconfigured(
            f"the store was made by another version, with layout {layout};"
            f" this one reads layout {LAYOUT}"
        )
