"""Core. No acknowledged call is lost.

A subject is a register: what was acknowledged last is what is found at the end. Which
call was last is not always known, so the values that may be found are a set:

1. An acknowledged call took effect between its beginning and its end. It may be the
   last one unless another acknowledged call began after its end.
2. A call of unknown outcome, or without an end, may take effect whenever it likes.
3. A refused one takes none.
4. What its computer has reported nothing of says nothing: ``settled`` judges that.

Before and after are places in the history; instants may be equal. Questions are not
judged here: a stale answer is allowed, and ``tids`` judges how stale.
"""

from __future__ import annotations

from collections import deque

from attrs import define, field

from labsim.checkers.violation import Bounds, Violation, seconds_of
from labsim.history import (
    UNREPORTED,
    CallBegan,
    CallEnded,
    Ending,
    Happening,
    Outcome,
    Phase,
    PhaseBegan,
)

NAME = "acknowledged"


@define
class _Subject:
    """``last`` are the acknowledged calls that may be the last, in order of ends."""

    last: deque[tuple[int, CallBegan, CallEnded]] = field(factory=deque)
    unknown: dict[str, CallBegan] = field(factory=dict)
    open: dict[tuple[str, int], CallBegan] = field(factory=dict)
    is_found: bool = False


class AcknowledgedCalls:
    def __init__(self, _bounds: Bounds) -> None:
        self._place = 0
        self._begun: dict[tuple[str, int], tuple[int, CallBegan]] = {}
        self._subjects: dict[str, _Subject] = {}
        self._ended_at: float | None = None

    def take(self, happening: Happening) -> tuple[Violation, ...]:
        self._place += 1
        match happening:
            case CallBegan(wanted=""):
                pass
            case CallBegan():
                key = (happening.client, happening.number)
                self._begun[key] = (self._place, happening)
                self._subject(happening.subject).open[key] = happening
            case CallEnded():
                self._end(happening)
            case Ending():
                return self._judge(happening)
            case PhaseBegan(phase=Phase.ENDED):
                self._ended_at = happening.at
        return ()

    def finish(self) -> tuple[Violation, ...]:
        if self._ended_at is None:
            return ()
        return tuple(
            Violation(
                NAME,
                self._ended_at,
                f"{name}: {_quoted(it.last[-1][1].wanted)} was acknowledged to"
                f" {it.last[-1][1].client}, and nobody looked for it at the end",
                it.last[-1][1:],
            )
            for name, it in self._subjects.items()
            if it.last and not it.is_found
        )

    def _subject(self, name: str) -> _Subject:
        if name not in self._subjects:
            self._subjects[name] = _Subject()
        return self._subjects[name]

    def _end(self, ended: CallEnded) -> None:
        begun = self._begun.pop((ended.client, ended.number), None)
        if begun is None:
            return
        beginning, began = begun
        subject = self._subject(began.subject)
        del subject.open[ended.client, ended.number]
        if ended.outcome is Outcome.UNKNOWN:
            subject.unknown[began.wanted] = began
        elif ended.outcome is Outcome.ACKNOWLEDGED:
            subject.last.append((self._place, began, ended))
            while subject.last[0][0] < beginning:
                subject.last.popleft()

    def _judge(self, ending: Ending) -> tuple[Violation, ...]:
        subject = self._subject(ending.subject)
        subject.is_found = True
        allowed = {began.wanted: None for _, began, _ in subject.last}
        if not allowed:
            return ()
        allowed.update(dict.fromkeys(subject.unknown))
        allowed.update((began.wanted, None) for began in subject.open.values())
        if ending.found in allowed or ending.found == UNREPORTED:
            return ()
        _, began, ended = subject.last[-1]
        sentence = (
            f"{ending.subject}: {_quoted(began.wanted)} was acknowledged to"
            f" {ended.client} at {seconds_of(ended.at)}, and"
            f" {_quoted(ending.found)} was found"
            f" at the end; it may be {' or '.join(map(_quoted, allowed))}"
        )
        return (Violation(NAME, ending.at, sentence, (began, ended, ending)),)


def _quoted(text: str) -> str:
    return f"“{text}”" if text else "nothing"
