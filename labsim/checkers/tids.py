"""Core. Time goes back for nobody.

An agent takes no document that knows less than the one before, whatever happened to
its computer in between. A client that was told a tid gets no answer below it to a call
that it makes afterwards; two calls at once may be answered in either order.
"""

from __future__ import annotations

from labsim.checkers.violation import Bounds, Violation, seconds_of
from labsim.history import Applied, CallBegan, CallEnded, Happening

NAME = "tids"


class Tids:
    def __init__(self, _bounds: Bounds) -> None:
        self._applied: dict[str, Applied] = {}
        self._answered: dict[str, CallEnded] = {}
        self._known: dict[tuple[str, int], CallEnded] = {}

    def take(self, happening: Happening) -> tuple[Violation, ...]:
        match happening:
            case Applied():
                return self._apply(happening)
            case CallBegan() if happening.client in self._answered:
                key = (happening.client, happening.number)
                self._known[key] = self._answered[happening.client]
            case CallEnded():
                return self._answer(happening)
        return ()

    def finish(self) -> tuple[Violation, ...]:
        return ()

    def _apply(self, applied: Applied) -> tuple[Violation, ...]:
        before = self._applied.get(applied.computer)
        if before is None or _is_in_order(before.tid, applied.tid):
            self._applied[applied.computer] = applied
            return ()
        sentence = (
            f"{applied.computer} took a document of {applied.tid} at"
            f" {seconds_of(applied.at)},"
            f" after one of {before.tid} at {seconds_of(before.at)}"
        )
        return (Violation(NAME, applied.at, sentence, (before, applied)),)

    def _answer(self, ended: CallEnded) -> tuple[Violation, ...]:
        known = self._known.pop((ended.client, ended.number), None)
        if not ended.tid:
            return ()
        newest = self._answered.get(ended.client)
        if newest is None or _is_in_order(newest.tid, ended.tid):
            self._answered[ended.client] = ended
        if known is None or _is_in_order(known.tid, ended.tid):
            return ()
        sentence = (
            f"{ended.client} was answered as of {ended.tid} at"
            f" {seconds_of(ended.at)}, and had"
            f" known {known.tid} since {seconds_of(known.at)}"
        )
        return (Violation(NAME, ended.at, sentence, (known, ended)),)


def _is_in_order(before: str, after: str) -> bool:
    return int(before, 16) <= int(after, 16)
