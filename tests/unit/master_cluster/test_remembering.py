"""Answers that last: never one that asking again would not give."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from master_cluster.remembering import AnswerMemory, Lasting

OIDS = st.sampled_from([b"a", b"b", b"c", b"d"])
QUESTIONS = st.sampled_from([b"1", b"2", b"3", b"4", b"5"])
COUNT_MAX = 3


class Memory(RuleBasedStateMachine):
    """Objects have versions; an answer is the versions of what it stands on."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: AnswerMemory[dict[bytes, int]] = AnswerMemory(COUNT_MAX)
        self.versions = dict.fromkeys((b"a", b"b", b"c", b"d"), 0)
        self.making: list[tuple[bytes, frozenset[bytes], dict[bytes, int], int]] = []

    @rule(question=QUESTIONS, oids=st.frozensets(OIDS, max_size=3))
    def begin(self, question: bytes, oids: frozenset[bytes]) -> None:
        answer = {oid: self.versions[oid] for oid in oids}
        self.making.append((question, oids, answer, self.memory.instant))

    @rule()
    def finish(self) -> None:
        if self.making:
            question, oids, answer, since = self.making.pop(0)
            self.memory.keep(question, Lasting(answer, oids), since)

    @rule(oids=st.one_of(st.none(), st.sets(OIDS, min_size=1)))
    def change(self, oids: set[bytes] | None) -> None:
        for oid in self.versions if oids is None else oids:
            self.versions[oid] += 1
        self.memory.forget(oids)

    @rule(question=QUESTIONS)
    def ask(self, question: bytes) -> None:
        answer = self.memory.recall(question)
        assert answer is None or answer == {oid: self.versions[oid] for oid in answer}

    @invariant()
    def is_bounded(self) -> None:
        assert len(self.memory) <= COUNT_MAX


TestMemory = Memory.TestCase


def test_the_answer_that_was_asked_for_longest_ago_goes_first() -> None:
    memory: AnswerMemory[str] = AnswerMemory(2)
    for question in (b"1", b"2"):
        memory.keep(question, Lasting("x", frozenset({b"a"})), memory.instant)
    memory.recall(b"1")

    memory.keep(b"3", Lasting("y", frozenset({b"b"})), memory.instant)

    assert [memory.recall(it) for it in (b"1", b"2", b"3")] == ["x", None, "y"]


def test_an_answer_made_while_something_changed_is_not_kept() -> None:
    memory: AnswerMemory[str] = AnswerMemory()
    since = memory.instant
    memory.forget({b"z"})

    memory.keep(b"1", Lasting("x", frozenset({b"a"})), since)

    assert memory.recall(b"1") is None
