"""Shell. Plays plans in processes of their own, some at once, until a time is over.

A world leaves more behind than a collector sees: each try is the fork of a process that
has played nothing, and is gone with all of it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess

from attrs import frozen

from labsim.plan import Plan

_FORKS = get_context("fork")


@frozen
class _Try:
    process: ForkProcess
    answers: Connection


class Tries:
    """What ``labsim.shrinking.shrink`` asks; it ends early when the time is over.

    Of plans that are played ahead the outcome may never be asked for: those are killed.
    """

    def __init__(
        self,
        fails: Callable[[Plan], bool],
        job_count: int = 1,
        seconds_max: float = inf,
    ) -> None:
        self._fails = fails
        self._job_count = job_count
        self._end = time.monotonic() + seconds_max  # noqa: TID251 - a person waits

    def outcomes(self, plans: Iterable[Plan]) -> Iterator[bool]:
        playing: deque[_Try] = deque()
        coming = iter(plans)
        try:
            while True:
                while len(playing) < self._job_count and (plan := next(coming, None)):
                    playing.append(self._begin(plan))
                if not playing or not playing[0].answers.poll(self._seconds_left()):
                    return
                tried = playing.popleft()
                fails: bool = tried.answers.recv()
                _end(tried)
                yield fails
        finally:
            for tried in playing:
                tried.process.kill()
                _end(tried)

    def _seconds_left(self) -> float | None:
        left = self._end - time.monotonic()  # noqa: TID251 - as above
        return None if left == inf else max(0.0, left)

    def _begin(self, plan: Plan) -> _Try:
        answers, sending = _FORKS.Pipe(duplex=False)
        process = _FORKS.Process(target=self._tell, args=(plan, sending))
        process.start()
        sending.close()
        return _Try(process, answers)

    def _tell(self, plan: Plan, sending: Connection) -> None:
        sending.send(self._fails(plan))


def _end(tried: _Try) -> None:
    tried.answers.close()
    tried.process.join()
