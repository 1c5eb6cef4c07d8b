"""Core. The documents that computers poll for: kept until they change, waited for.

A document is computed once for each change of its computer, and only when somebody
asks. What is true at all times:

1. Each computer has a generation, which grows when its revision is heard to change. A
   document is of the generation at which its computation began, and is current while
   that is the generation of its computer.
2. A poll is answered with a document of the generation at which the poll began, or a
   later one. So whoever polls after a change that was acknowledged sees it, and while
   changes never end a poll waits for two computations at most.
3. One computation of a computer runs at a time, for all its polls, and a bounded number
   of all computers together.
4. A poll that waits has the content that was last computed. It is answered when the
   content is another one, when its time is over, or when no content can be computed.
   A change that leaves the content as it is wakes nobody.
5. The ETags of all computers that were polled stay; bodies stay within a bound of
   bytes, those that were sent last, and are computed again when they are missed.
6. A poll that has seen more than the document knows is answered with one that is
   computed after it began, and not at all when that knows less, too.
7. A current document is good up to the last transaction of which it is known that all
   changes up to it were heard (``prove``), whenever it was computed. An answer names no
   later one than is needed: who has seen less is answered elsewhere, too.
8. While the store is lost nothing is computed and nobody waits. Each poll is answered
   with what was known last, marked as of when that was known to be current; not when it
   has seen more than that is good for.
9. The same for one document that is overdue: a poll has waited for its computation for
   seconds, because the store holds what it needs. It is so until that has ended. One
   that was never computed is waited for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from typing import TypeAlias

from attrs import define, evolve, field, frozen

from master_cluster.bodies import Bodies, Document
from slap.errors import NotFound, SlapError, Unavailable
from slap.freshness import UNSEEN, behind
from slap.polling import UNCONDITIONAL, Condition

BODY_BYTES_MAX = 128 * 1024 * 1024
"""Of all bodies, compressed: 11 kB for a computer of 100 busy partitions, so those of
about 10,000 such computers."""

WAITING_POLLS_MAX = 5_000
"""Each holds a connection and some 20 kB; one more is answered at once."""

COMPUTATIONS_MAX = 4
"""At once: half of the store's threads, so that other calls find one."""

OVERDUE_SECONDS = 3
"""As long as a silent store is waited for; whoever asks two replicas has an answer
within five seconds. A document of 100 partitions takes 0.1."""


@frozen(eq=False)
class Poll:
    """A question for a document; ``can_wait`` for one that the condition excludes."""

    computer_id: str
    condition: Condition = UNCONDITIONAL
    can_wait: bool = False
    seen: bytes = UNSEEN


@frozen
class NotModified:
    """The poll has the content; ``has_waited`` when another one was waited for.

    ``current_at`` as of a document.
    """

    etag: str
    has_waited: bool = False
    tid: bytes = UNSEEN
    current_at: float | None = None


Answer: TypeAlias = Document | NotModified | SlapError


@frozen
class Due:
    """What is to be done now: polls to answer, documents to compute.

    Each computation ends with a call of ``Polling.finish``.
    """

    answers: tuple[tuple[Poll, Answer], ...] = ()
    computing: tuple[str, ...] = ()


NOTHING = Due()

NEVER = -2
RECALLED = -1
"""Generations: of no document, and of one that is from an earlier life."""

LOST_RETRY_AFTER_SECONDS = 5


def lost(what: str) -> Unavailable:
    """What a master says of what it cannot answer while its store is away."""
    return Unavailable(f"the store is away, and {what}", LOST_RETRY_AFTER_SECONDS)


@define(eq=False)
class _Pending:
    """A poll that needs a document of ``generation``, or a later one.

    ``second`` is when it began.
    """

    generation: int
    second: int
    is_over: bool = False
    """Whether its time to wait is over."""


@define(eq=False)
class _Entry:
    """What is known of a computer, and who asks for it."""

    generation: int = 0
    etag: str = ""
    etag_generation: int = NEVER
    tid: bytes = UNSEEN
    good_to: bytes = UNSEEN
    current_at: float = 0.0
    computing_generation: int | None = None
    is_queued: bool = False
    is_overdue: bool = False
    pending: dict[Poll, _Pending] = field(factory=dict)
    waiting: dict[Poll, None] = field(factory=dict)

    @property
    def is_current(self) -> bool:
        return self.etag_generation == self.generation

    @property
    def is_wanted(self) -> bool:
        """Whether somebody is served by computing the document once more."""
        return bool(self.pending) or bool(self.waiting and not self.is_current)

    @property
    def is_known(self) -> bool:
        return self.etag_generation > NEVER

    def was_wanted(self, second: int) -> bool:
        """Whether a poll of that second, or an earlier one, has no answer yet."""
        return any(it.second <= second for it in self.pending.values())

    def outdate(self, standing: tuple[bytes, float]) -> None:
        """Be of an earlier generation; as of when it was current for certain stays."""
        self.good_to, self.current_at = standing
        self.generation += 1


class Polling:
    """The polls of one master; each input returns what is due because of it."""

    def __init__(
        self,
        body_bytes_max: int = BODY_BYTES_MAX,
        waiting_polls_max: int = WAITING_POLLS_MAX,
        computations_max: int = COMPUTATIONS_MAX,
    ) -> None:
        self._waiting_polls_max = waiting_polls_max
        self._computations_max = computations_max
        self._entries: dict[str, _Entry] = {}
        self._computer_ids: dict[bytes, str] = {}
        self._oids: dict[str, bytes] = {}
        self._queue: deque[str] = deque()
        self._computing: set[str] = set()
        self._second = 0
        self._is_stopping = False
        self.heard = UNSEEN
        self.proven_at = 0.0
        self.is_lost = False
        self.bodies = Bodies(body_bytes_max)
        self.waiting_count = 0

    @property
    def is_settled(self) -> bool:
        """Whether no poll is to be answered."""
        return not any(it.pending or it.waiting for it in self._entries.values())

    def seen(self, computer_id: str) -> bytes:
        """What those have seen who wait for a document."""
        entry = self._entries[computer_id]
        return max((it.seen for it in entry.pending), default=UNSEEN)

    def knows(self, computer_id: str) -> bool:
        """Return whether changes of this computer are heard."""
        return computer_id in self._oids

    def begin(self, poll: Poll) -> Due:
        """Take a poll in."""
        if self.answers_stale(poll.computer_id):
            return Due(((poll, self._answer_stale(poll)),))
        entry = self._entries.get(poll.computer_id)
        if entry is None:
            entry = self._entries[poll.computer_id] = _Entry()
        if entry.is_current and poll.seen > self._good_to(entry):
            # As if a change had been heard of: there may be one.
            entry.outdate(self._standing(entry))
        if entry.is_current:
            answer = self._answer(poll, entry, is_over=False)
            if answer is not None:
                return Due(((poll, answer),))
            if poll in entry.waiting:
                return NOTHING
        entry.pending[poll] = _Pending(entry.generation, self._second)
        return Due(computing=self._demand(poll.computer_id, entry))

    def learn(self, computer_id: str, oid: bytes) -> None:
        """Know a computer by its revision; to be done before its first computation."""
        self._oids[computer_id] = oid
        self._computer_ids[oid] = computer_id

    def hear(self, oids: Collection[bytes] | None) -> Due:
        """Hear of changed objects; ``None`` is for all of them."""
        # In an order of their own: a run of the laboratory follows from its seed.
        heard = self._computer_ids if oids is None else sorted(oids)
        computing: list[str] = []
        for oid in heard:
            computer_id = self._computer_ids.get(oid)
            entry = None if computer_id is None else self._entries.get(computer_id)
            if computer_id is not None and entry is not None:
                entry.outdate(self._standing(entry))
                computing += self._demand(computer_id, entry)
        return Due(computing=tuple(computing))

    def finish(self, computer_id: str, outcome: Document | SlapError) -> Due:
        """Take the result of a computation in."""
        self._computing.discard(computer_id)
        entry = self._entries[computer_id]
        entry.is_overdue = False
        begun, entry.computing_generation = entry.computing_generation, None
        assert begun is not None, "a computation ends once"
        if isinstance(outcome, SlapError):
            answers = self._answer_all(entry, outcome)
            if isinstance(outcome, NotFound) or not entry.is_known:
                # Anybody may ask for a computer that is not there.
                del self._entries[computer_id]
            return Due(answers, self._start())
        entry.etag, entry.etag_generation = outcome.etag, begun
        entry.tid = entry.good_to = outcome.tid
        entry.current_at = self.proven_at
        self.bodies.put(computer_id, outcome)
        settled = tuple(self._settle(entry, outcome, begun))
        computing = self._demand(computer_id, entry)
        return Due(settled, computing + self._start())

    def expire(self, poll: Poll) -> Due:
        """End the time that a poll may wait; nothing happens to one that is answered.

        One whose document may have changed is answered when that is known.
        """
        entry = self._entries.get(poll.computer_id)
        if entry is None:
            return NOTHING
        if poll in entry.pending:
            entry.pending[poll].is_over = True
            return NOTHING
        if poll not in entry.waiting:
            return NOTHING
        self._stop_waiting(entry, poll)
        if entry.is_current:
            answer = self._not_modified(entry, poll, has_waited=True)
            return Due(((poll, answer),))
        entry.pending[poll] = _Pending(entry.generation, self._second, is_over=True)
        return Due(computing=self._demand(poll.computer_id, entry))

    def leave(self, poll: Poll) -> None:
        """Forget a poll whose caller is gone."""
        entry = self._entries.get(poll.computer_id)
        if entry is None:
            return
        entry.pending.pop(poll, None)
        if poll in entry.waiting:
            self._stop_waiting(entry, poll)

    def stop(self) -> Due:
        """Let no poll wait from here on."""
        self._is_stopping = True
        dues = [
            self.expire(poll)
            for entry in tuple(self._entries.values())
            for poll in (*entry.pending, *entry.waiting)
        ]
        return Due(
            tuple(it for due in dues for it in due.answers),
            tuple(it for due in dues for it in due.computing),
        )

    def prove(self, at: float, heard: bytes = UNSEEN) -> None:
        """Know that the store was asked at ``at``, and answered.

        Every change up to the transaction ``heard`` was heard before this.
        """
        self.proven_at = max(self.proven_at, at)
        self.heard = max(self.heard, heard)

    def lose(self) -> Due:
        """The store is lost: answer everybody with what is known, if anything is."""
        self.is_lost = True
        return Due(
            tuple(
                answer
                for entry in self._entries.values()
                for answer in self._answer_all(entry, lost("nothing is known"))
            )
        )

    def find(self) -> None:
        """The store is there again."""
        self.is_lost = False

    def answers_stale(self, computer_id: str) -> bool:
        """Whether a poll is answered at once with what was known last, if any is."""
        entry = self._entries.get(computer_id)
        return self.is_lost or (entry is not None and entry.is_overdue)

    def pass_second(self) -> tuple[str, ...]:
        """One more second is over; return the computers that are waited for for long.

        What is recalled of them is to be told before ``give_up``.
        """
        self._second += 1
        begun = self._second - OVERDUE_SECONDS
        underway = (*sorted(self._computing), *self._queue)
        return tuple(it for it in underway if self._entries[it].was_wanted(begun))

    def give_up(self, computer_id: str) -> Due:
        """Wait for a document no more, if any is known."""
        entry = self._entries[computer_id]
        if not entry.is_known:
            return NOTHING
        entry.is_overdue = True
        return Due(self._answer_all(entry, lost("it is computed for long")))

    def refuse(self, error: SlapError) -> Due:
        """Answer everybody who waits with an error."""
        return Due(
            tuple(
                answer
                for entry in self._entries.values()
                for answer in self._end_all(entry, error)
            )
        )

    def lacks(self, computer_id: str) -> bool:
        """Whether there is no document that could be sent while the store is lost."""
        entry = self._entries.get(computer_id)
        is_known = entry is not None and entry.is_known
        return not is_known or self.bodies.get(computer_id) is None

    def recall(self, computer_id: str, document: Document, good_to: bytes) -> None:
        """Take in a document of an earlier time, which nobody knows to be current.

        ``good_to`` is the last transaction as of which it was.
        """
        entry = self._entries.setdefault(computer_id, _Entry())
        if not entry.is_known:
            entry.etag, entry.etag_generation = document.etag, RECALLED
            entry.tid, entry.good_to = document.tid, good_to
            entry.current_at = document.current_at or 0.0
        if entry.etag == document.etag:
            self.bodies.put(computer_id, evolve(document, current_at=None))

    def is_current(self, computer_id: str, etag: str) -> bool:
        """Whether that is the content as of all that was heard."""
        entry = self._entries.get(computer_id)
        return entry is not None and entry.is_current and entry.etag == etag

    def _standing(self, entry: _Entry) -> tuple[bytes, float]:
        """As of which transaction and instant it was current for certain."""
        if not entry.is_current:
            return entry.good_to, entry.current_at
        return max(entry.good_to, self.heard), max(entry.current_at, self.proven_at)

    def _good_to(self, entry: _Entry) -> bytes:
        return self._standing(entry)[0]

    def _told_tid(self, entry: _Entry, poll: Poll) -> bytes:
        return min(max(entry.tid, poll.seen), self._good_to(entry))

    def _not_modified(
        self, entry: _Entry, poll: Poll, *, has_waited: bool = False
    ) -> NotModified:
        return NotModified(entry.etag, has_waited, self._told_tid(entry, poll))

    def _answer_all(
        self, entry: _Entry, error: SlapError
    ) -> tuple[tuple[Poll, Answer], ...]:
        """Answer whoever asks for a document that cannot be computed."""
        ended = self._end_all(entry, error)
        if not isinstance(error, Unavailable) or not entry.is_known:
            return ended
        return tuple((it, self._answer_stale(it)) for it, _ in ended)

    def _end_all(
        self, entry: _Entry, error: SlapError
    ) -> tuple[tuple[Poll, Answer], ...]:
        polls = (*entry.pending, *entry.waiting)
        self.waiting_count -= len(entry.waiting)
        entry.pending.clear()
        entry.waiting.clear()
        return tuple((it, error) for it in polls)

    def _answer_stale(self, poll: Poll) -> Answer:
        """Answer with what was known last."""
        entry = self._entries.get(poll.computer_id)
        if entry is None or not entry.is_known:
            return lost(f"the document of {poll.computer_id} is not known")
        good_to, current_at = self._standing(entry)
        if poll.seen > good_to:
            return behind(good_to, poll.seen)
        tid = self._told_tid(entry, poll)
        if poll.condition.holds(entry.etag):
            return NotModified(entry.etag, tid=tid, current_at=current_at)
        found = self.bodies.get(poll.computer_id)
        if found is None or found.etag != entry.etag:
            return lost(f"the document of {poll.computer_id} is not at hand")
        return evolve(found, tid=tid, current_at=current_at)

    def _settle(
        self, entry: _Entry, document: Document, generation: int
    ) -> Iterator[tuple[Poll, Answer]]:
        """Answer whom a new document serves."""
        for poll in tuple(entry.waiting):
            if not poll.condition.holds(document.etag):
                self._stop_waiting(entry, poll)
                yield poll, evolve(document, tid=self._told_tid(entry, poll))
        for poll, pending in tuple(entry.pending.items()):
            if pending.generation <= generation:
                del entry.pending[poll]
                good_to = self._good_to(entry)
                if poll.seen > good_to:
                    yield poll, behind(good_to, poll.seen)
                    continue
                answer = self._answer(poll, entry, document, is_over=pending.is_over)
                if answer is not None:
                    yield poll, answer

    def _answer(
        self,
        poll: Poll,
        entry: _Entry,
        document: Document | None = None,
        *,
        is_over: bool,
    ) -> Answer | None:
        """Answer a poll, or let it wait; ``None``, too, when the body is not there."""
        if not poll.condition.holds(entry.etag):
            found = document or self.bodies.get(poll.computer_id)
            assert found is None or found.etag == entry.etag
            return found and evolve(found, tid=self._told_tid(entry, poll))
        # What is waited for is another content than a named one: not for "*".
        has_name = not poll.condition.is_any
        has_place = self.waiting_count < self._waiting_polls_max
        if poll.can_wait and has_name and is_over:
            return self._not_modified(entry, poll, has_waited=True)
        if poll.can_wait and has_name and has_place and not self._is_stopping:
            entry.waiting[poll] = None
            self.waiting_count += 1
            return None
        return self._not_modified(entry, poll)

    def _stop_waiting(self, entry: _Entry, poll: Poll) -> None:
        del entry.waiting[poll]
        self.waiting_count -= 1

    def _demand(self, computer_id: str, entry: _Entry) -> tuple[str, ...]:
        """Have a document computed, now or when there is room, if anybody waits."""
        if self.is_lost:
            return ()
        is_underway = entry.is_queued or entry.computing_generation is not None
        if not entry.is_wanted or is_underway:
            return ()
        entry.is_queued = True
        self._queue.append(computer_id)
        return self._start()

    def _start(self) -> tuple[str, ...]:
        started = []
        while self._queue and len(self._computing) < self._computations_max:
            computer_id = self._queue.popleft()
            entry = self._entries[computer_id]
            entry.is_queued = False
            entry.computing_generation = entry.generation
            self._computing.add(computer_id)
            started.append(computer_id)
        return tuple(started)
