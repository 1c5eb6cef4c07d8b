"""Core. Answers that stay the same until something that they stand on changes.

An identical question is answered from here without asking the store. Three rules make
that as good as asking again:

1. What is kept names every object that its answer was made of, and its making wrote
   nothing: asked again, it would write nothing.
2. A commit that changes one of them, by whoever, removes the answer before the commit
   is acknowledged by this process.
3. An answer that was being made while a commit was announced is not kept: the commit
   may have changed what it stands on, after it was read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Generic, TypeVar

from attrs import frozen

T = TypeVar("T")

ANSWER_COUNT_MAX = 20_000
"""An answer has some two kilobytes: ten nodes of 2,000 requests, in 40 MB."""


@frozen
class Lasting(Generic[T]):
    """An answer, and the ids of all objects that it was made of."""

    answer: T
    stands_on: frozenset[bytes]


class AnswerMemory(Generic[T]):
    """The answers that last, by question; the one recalled last goes last."""

    def __init__(self, count_max: int = ANSWER_COUNT_MAX) -> None:
        self._count_max = count_max
        self._answers: OrderedDict[bytes, Lasting[T]] = OrderedDict()
        self._questions: dict[bytes, set[bytes]] = {}
        self._change_count = 0

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def instant(self) -> int:
        """When an answer begins to be made; it changes with each announced commit."""
        return self._change_count

    def recall(self, question: bytes) -> T | None:
        """Return the answer to a question, ``None`` when it has to be asked."""
        found = self._answers.get(question)
        if found is None:
            return None
        self._answers.move_to_end(question)
        return found.answer

    def keep(self, question: bytes, lasting: Lasting[T], since: int) -> None:
        """Keep an answer whose making began at the instant ``since``."""
        if since != self._change_count:
            return
        self._drop(question)
        self._answers[question] = lasting
        for oid in lasting.stands_on:
            self._questions.setdefault(oid, set()).add(question)
        if len(self._answers) > self._count_max:
            self._drop(next(iter(self._answers)))

    def forget(self, changed: Collection[bytes] | None) -> None:
        """Drop what stands on changed objects; on any object for ``None``."""
        self._change_count += 1
        if changed is None:
            self._answers.clear()
            self._questions.clear()
            return
        for oid in changed:
            for question in tuple(self._questions.get(oid, ())):
                self._drop(question)

    def _drop(self, question: bytes) -> None:
        dropped = self._answers.pop(question, None)
        if dropped is None:
            return
        for oid in dropped.stands_on:
            questions = self._questions[oid]
            questions.remove(question)
            if not questions:
                del self._questions[oid]
