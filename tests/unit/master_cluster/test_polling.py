"""Polls as values: what is answered, what is computed, who waits."""

from __future__ import annotations

import gzip

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from master_cluster.bodies import Bodies, Document, build_document
from master_cluster.polling import (
    NOTHING,
    OVERDUE_SECONDS,
    Due,
    NotModified,
    Poll,
    Polling,
)
from slap.errors import NotFound, ServerError, SlapError, Unavailable
from slap.polling import Condition

OID = b"1" * 8
OTHER = b"2" * 8


def a_document(text: str = "a") -> Document:
    return build_document(text.encode())


def a_poll(document: Document | None = None, *, can_wait: bool = False) -> Poll:
    """A poll of who has a document, or nothing."""
    etags = frozenset() if document is None else {document.etag}
    return Poll("COMP-1", Condition(etags), can_wait)


def a_polling(document: Document | None = None, **limits: int) -> Polling:
    """Polls of a master that has computed the document of COMP-1."""
    polling = Polling(**limits)
    polling.learn("COMP-1", OID)
    if document is not None:
        polling.begin(a_poll())
        polling.finish("COMP-1", document)
    return polling


def test_who_has_seen_more_than_the_document_knows_has_it_computed_anew() -> None:
    """And is refused when that knows less, too; others keep what they have."""
    old, new = b"1" * 8, b"2" * 8
    polling = a_polling(evolve(a_document(), tid=old))
    known = evolve(a_poll(a_document()), seen=old)
    ahead = evolve(known, seen=new)
    unchanged = NotModified(a_document().etag, tid=old)
    assert polling.begin(known) == Due(((known, unchanged),))

    assert polling.begin(ahead) == Due(computing=("COMP-1",))
    finished = polling.finish("COMP-1", evolve(a_document(), tid=old))

    assert isinstance(finished.answers[0][1], Unavailable)
    assert polling.begin(known) == Due(((known, unchanged),))
    assert polling.begin(ahead) == Due(computing=("COMP-1",))
    finished = polling.finish("COMP-1", evolve(a_document(), tid=new))
    assert finished.answers == ((ahead, evolve(unchanged, tid=new)),)


@given(st.binary(max_size=1000))
def test_a_document_keeps_its_content(content: bytes) -> None:
    document = build_document(content)

    assert document.content == content
    assert gzip.decompress(document.packed) == content
    assert document == build_document(content)


def test_the_first_poll_has_the_document_computed() -> None:
    polling = a_polling()
    poll = a_poll()
    document = a_document()

    assert polling.begin(poll) == Due(computing=("COMP-1",))
    assert polling.finish("COMP-1", document) == Due(((poll, document),))


def test_later_polls_are_answered_at_once() -> None:
    document = a_document()
    polling = a_polling(document)
    fresh, conditional = a_poll(), a_poll(document)

    assert polling.begin(fresh) == Due(((fresh, document),))
    assert polling.begin(conditional) == Due(
        ((conditional, NotModified(document.etag)),)
    )


def test_many_polls_at_once_are_one_computation() -> None:
    polling = a_polling()
    document = a_document()
    polls = [a_poll(), a_poll(document), a_poll(a_document("b"))]

    dues = [polling.begin(it) for it in polls]

    assert dues == [Due(computing=("COMP-1",)), NOTHING, NOTHING]
    assert polling.finish("COMP-1", document) == Due(
        (
            (polls[0], document),
            (polls[1], NotModified(document.etag)),
            (polls[2], document),
        )
    )


def test_after_a_change_the_document_is_computed_when_it_is_asked_for() -> None:
    polling = a_polling(a_document())

    assert polling.hear({OID, OTHER}) == NOTHING
    assert polling.begin(a_poll()) == Due(computing=("COMP-1",))


def test_a_poll_after_a_change_is_not_answered_with_what_was_computed_before() -> None:
    polling = a_polling()
    early, late = a_poll(), a_poll()
    old, new = a_document("old"), a_document("new")
    polling.begin(early)
    polling.hear({OID})
    polling.begin(late)

    assert polling.finish("COMP-1", old) == Due(((early, old),), ("COMP-1",))
    assert polling.finish("COMP-1", new) == Due(((late, new),))


def test_when_everything_may_have_changed_everything_is_computed_again() -> None:
    polling = a_polling(a_document())

    assert polling.hear(None) == NOTHING
    assert polling.begin(a_poll()) == Due(computing=("COMP-1",))


def test_a_waiting_poll_is_answered_when_the_content_is_another() -> None:
    old, new = a_document("old"), a_document("new")
    polling = a_polling(old)
    poll = a_poll(old, can_wait=True)

    assert polling.begin(poll) == NOTHING
    assert polling.hear({OID}) == Due(computing=("COMP-1",))
    assert polling.finish("COMP-1", new) == Due(((poll, new),))
    assert polling.waiting_count == 0


def test_a_change_that_leaves_the_content_wakes_nobody() -> None:
    document = a_document()
    polling = a_polling(document)
    poll = a_poll(document, can_wait=True)
    polling.begin(poll)

    polling.hear({OID})

    assert polling.finish("COMP-1", document) == NOTHING
    assert polling.expire(poll) == Due(
        ((poll, NotModified(document.etag, has_waited=True)),)
    )


def test_a_change_while_the_document_is_computed_is_not_missed() -> None:
    old, new = a_document("old"), a_document("new")
    polling = a_polling(old)
    poll = a_poll(old, can_wait=True)
    polling.begin(poll)
    polling.hear({OID})
    polling.hear({OID})

    assert polling.finish("COMP-1", old) == Due(computing=("COMP-1",))
    assert polling.finish("COMP-1", new) == Due(((poll, new),))


def test_a_poll_whose_time_ends_while_the_document_is_computed_gets_the_truth() -> None:
    old, new = a_document("old"), a_document("new")
    for computed in (old, new):
        polling = a_polling(old)
        poll = a_poll(old, can_wait=True)
        polling.begin(poll)
        polling.hear({OID})

        assert polling.expire(poll) == NOTHING
        ((answered, answer),) = polling.finish("COMP-1", computed).answers

        expected = new if computed is new else NotModified(old.etag, has_waited=True)
        assert (answered, answer) == (poll, expected)


def test_a_poll_that_never_waited_has_its_time_too() -> None:
    document = a_document()
    polling = a_polling()
    poll = a_poll(document, can_wait=True)
    polling.begin(poll)

    assert polling.expire(poll) == NOTHING
    assert polling.finish("COMP-1", document) == Due(
        ((poll, NotModified(document.etag, has_waited=True)),)
    )
    assert polling.expire(poll) == NOTHING


def test_only_a_named_content_is_waited_on() -> None:
    document = a_document()
    polling = a_polling(document)
    poll = Poll("COMP-1", Condition(is_any=True), can_wait=True)

    assert polling.begin(poll) == Due(((poll, NotModified(document.etag)),))


def test_beyond_the_bound_a_poll_does_not_wait() -> None:
    document = a_document()
    polling = a_polling(document, waiting_polls_max=1)
    first, second, third = (a_poll(document, can_wait=True) for _ in range(3))
    at_once = NotModified(document.etag)

    assert polling.begin(first) == NOTHING
    assert polling.begin(second) == Due(((second, at_once),))
    polling.leave(first)
    assert polling.begin(third) == NOTHING


def test_stopping_answers_whoever_waits_and_lets_nobody_wait() -> None:
    document = a_document()
    polling = a_polling(document)
    early, late = a_poll(document, can_wait=True), a_poll(document, can_wait=True)
    polling.begin(early)

    assert polling.stop() == Due(
        ((early, NotModified(document.etag, has_waited=True)),)
    )
    assert polling.begin(late) == Due(((late, NotModified(document.etag)),))


def test_an_error_is_told_to_all_and_the_next_poll_tries_again() -> None:
    document = a_document()
    polling = a_polling(document)
    waiting, pending = a_poll(document, can_wait=True), a_poll()
    polling.begin(waiting)
    polling.hear({OID})
    polling.begin(pending)
    error = ServerError("there is a defect")

    assert polling.finish("COMP-1", error) == Due(((pending, error), (waiting, error)))
    assert polling.begin(a_poll()) == Due(computing=("COMP-1",))


def test_of_a_computer_that_is_not_there_nothing_is_kept() -> None:
    polling = Polling()
    poll = Poll("nobody")
    error = NotFound("no computer")
    polling.begin(poll)

    assert polling.finish("nobody", error) == Due(((poll, error),))
    assert polling._entries == {}  # noqa: SLF001 - to see the memory
    polling.leave(poll)
    assert polling.expire(poll) == NOTHING


def test_who_is_gone_is_not_answered() -> None:
    polling = a_polling()
    poll = a_poll()
    polling.begin(poll)
    polling.leave(poll)

    assert polling.finish("COMP-1", a_document()) == NOTHING


def test_few_documents_are_computed_at_once_and_all_of_them_in_turn() -> None:
    polling = Polling(computations_max=2)
    dues = [polling.begin(Poll(f"COMP-{number}")) for number in range(4)]

    assert [it.computing for it in dues] == [("COMP-0",), ("COMP-1",), (), ()]
    assert polling.finish("COMP-1", a_document()).computing == ("COMP-2",)
    error = Unavailable("away")
    assert polling.finish("COMP-0", error).computing == ("COMP-3",)


def test_a_body_that_was_dropped_is_computed_again_and_its_name_is_kept() -> None:
    document = a_document("x" * 1000)
    polling = a_polling(document, body_bytes_max=0)
    conditional, fresh = a_poll(document), a_poll()

    assert polling.begin(conditional) == Due(
        ((conditional, NotModified(document.etag)),)
    )
    assert polling.begin(fresh) == Due(computing=("COMP-1",))
    assert polling.finish("COMP-1", document) == Due(((fresh, document),))


def test_the_bodies_that_were_used_last_are_kept() -> None:
    document = a_document()
    size = len(document.packed)
    bodies = Bodies(2 * size)
    for name in ("a", "b", "a", "c"):
        if bodies.get(name) is None:
            bodies.put(name, document)

    assert [bodies.get(it) is not None for it in "abc"] == [True, False, True]
    assert bodies.byte_count == 2 * size


class PollingModel(RuleBasedStateMachine):
    """Whatever comes in whatever order: no old answer, no poll forgotten.

    The store is a number for each computer that grows with each change; a document
    says which number it was computed from. A change that is committed is heard later.
    """

    def __init__(self) -> None:
        super().__init__()
        self.polling = Polling(
            body_bytes_max=60, waiting_polls_max=3, computations_max=2
        )
        self.stored = dict.fromkeys(self.names(), 0)
        self.unheard: list[str] = []
        self.heard = dict.fromkeys(self.names(), 0)
        self.computing: dict[str, str | None] = {}
        """Each computation; its content, once its snapshot is taken."""
        self.asked: dict[Poll, int] = {}
        """Polls without an answer, with the number that they must see at least."""
        self.begun: dict[Poll, int] = {}
        self.second = 0
        for name in self.names():
            self.polling.learn(name, name.encode())

    @staticmethod
    def names() -> tuple[str, ...]:
        return ("COMP-1", "COMP-2", "COMP-3")

    def content(self, name: str) -> str:
        """Every second change leaves the content as it was."""
        return f"{name} {self.stored[name] // 2}"

    def perform(self, due: Due, *, is_away: bool = False) -> None:
        """Check what is answered; it may be of before, and say so, if nobody knows."""
        for name in due.computing:
            assert name not in self.computing, "one computation of a computer at a time"
            self.computing[name] = None
        assert len(self.computing) <= 2
        for poll, answer in due.answers:
            least = self.asked.pop(poll) // 2
            if isinstance(answer, SlapError):
                continue
            if answer.current_at is not None:
                assert is_away, "stale, and the store is there"
                continue
            if isinstance(answer, Document):
                assert not poll.condition.holds(answer.etag), "it has that one"
                assert int(answer.content.split()[1]) >= least, "an old answer"
            else:
                assert poll.condition.holds(answer.etag)
                known = [
                    number
                    for number in range(self.stored[poll.computer_id] // 2 + 1)
                    if a_document(f"{poll.computer_id} {number}").etag == answer.etag
                ]
                assert max(known) >= least, "unchanged, and it was changed"

    @rule(name=st.sampled_from(names()), has=st.integers(0, 9), can_wait=st.booleans())
    def poll(self, name: str, has: int, can_wait: bool) -> None:
        etag = a_document(f"{name} {has}").etag
        poll = Poll(name, Condition({etag}), can_wait)
        self.asked[poll] = self.heard[name]
        self.begun[poll] = self.second
        is_overdue = self.polling.answers_stale(name)
        self.perform(self.polling.begin(poll), is_away=is_overdue)
        assert not (is_overdue and poll in self.asked)

    @rule()
    def pass_second(self) -> None:
        """Whoever waits for a computation for long is answered, if it is known."""
        self.second += 1
        for name in self.polling.pass_second():
            asked = [it for it in self.asked if it.computer_id == name]
            long_ago = self.second - OVERDUE_SECONDS
            assert any(self.begun[it] <= long_ago for it in asked)
            is_known = not self.polling.lacks(name)
            self.perform(self.polling.give_up(name), is_away=True)
            assert not (is_known and any(it in self.asked for it in asked))

    @rule(name=st.sampled_from(names()))
    def change(self, name: str) -> None:
        self.stored[name] += 1
        self.unheard.append(name)

    @precondition(lambda self: self.unheard)
    @rule()
    def hear(self) -> None:
        """Hear of a change, as before its acknowledgement."""
        name = self.unheard.pop(0)
        self.heard[name] += 1
        self.perform(self.polling.hear({name.encode(), b"other"}))

    @rule()
    def lose_sight(self) -> None:
        self.perform(self.polling.hear(None))

    @precondition(lambda self: None in self.computing.values())
    @rule()
    def take_snapshot(self) -> None:
        name = next(it for it, text in self.computing.items() if text is None)
        self.computing[name] = self.content(name)

    @precondition(lambda self: any(self.computing.values()))
    @rule(is_failing=st.integers(0, 5))
    def finish(self, is_failing: int) -> None:
        name, text = next((n, t) for n, t in self.computing.items() if t)
        del self.computing[name]
        outcome = a_document(text) if is_failing else Unavailable("away")
        self.perform(self.polling.finish(name, outcome), is_away=not is_failing)

    @precondition(lambda self: self.asked)
    @rule(is_gone=st.booleans())
    def end(self, is_gone: bool) -> None:
        """The time of a poll is over, or its caller is gone."""
        poll = next(iter(self.asked))
        if is_gone:
            del self.asked[poll]
            self.polling.leave(poll)
        else:
            self.perform(self.polling.expire(poll))

    @invariant()
    def bounds_are_kept(self) -> None:
        assert self.polling.waiting_count <= 3
        bodies = self.polling.bodies
        kept = bodies._documents.values()  # noqa: SLF001 - to see the memory
        assert bodies.byte_count == sum(len(it.packed) for it in kept) <= 60

    def teardown(self) -> None:
        """Let all be heard and computed: whoever still waits has what there is."""
        while self.unheard or self.computing:
            while self.unheard:
                self.hear()
            if None in self.computing.values():
                self.take_snapshot()
            elif self.computing:
                self.finish(1)
        for poll in self.asked:
            assert poll.can_wait
            assert poll.condition.holds(a_document(self.content(poll.computer_id)).etag)
        self.perform(self.polling.stop())
        assert self.asked == {}
        assert self.polling.is_settled


def test_who_waits_for_a_computation_for_long_is_answered_as_of_before() -> None:
    """Whoever comes then too, until it has ended; and nobody before."""
    old, new, seen = evolve(a_document(), tid=OID), a_document("b"), b"0" * 8
    polling = a_polling(old)
    polling.prove(5.0, OTHER)
    polling.hear({OID})
    polling.prove(9.0, b"3" * 8)
    early, late, ahead = (evolve(a_poll(), seen=it) for it in (seen, OTHER, b"3" * 8))
    polling.begin(early)
    assert [polling.pass_second() for _ in range(OVERDUE_SECONDS - 1)] == [(), ()]
    polling.begin(late)
    assert polling.pass_second() == ("COMP-1",)

    due = polling.give_up("COMP-1")
    ((_, refused),) = polling.begin(ahead).answers

    stale = evolve(old, current_at=5.0)
    assert due == Due(((early, stale), (late, evolve(stale, tid=OTHER))))
    assert isinstance(refused, Unavailable)
    polling.finish("COMP-1", new)
    ((_, answer),) = polling.begin(a_poll()).answers
    assert answer == new


def test_the_model_takes_what_is_of_before_while_the_store_is_away() -> None:
    """One computed document, and then a change that cannot be computed."""
    model = PollingModel()
    model.change("COMP-3")
    model.poll(name="COMP-3", has=0, can_wait=False)
    model.hear()
    model.take_snapshot()
    model.finish(is_failing=1)
    model.lose_sight()
    model.change("COMP-3")
    model.hear()
    model.poll(name="COMP-3", has=1, can_wait=False)
    model.take_snapshot()
    model.finish(is_failing=0)
    model.teardown()


TestPollingModel = PollingModel.TestCase
TestPollingModel.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None
)
