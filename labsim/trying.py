"""Shell. Plays plans in processes of their own, some at once, until a time is over.

A world leaves more behind than a collector sees: each try is the fork of a process that
has played nothing, and is gone with all of it.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from math import inf
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Generic, TypeVar

from attrs import frozen

from labsim.plan import Plan
from labsim.shrinking import Outcomes

T = TypeVar("T")

_FORKS = get_context("fork")


@frozen
class _Try:
    process: ForkProcess
    answers: Connection


class Tries(Generic[T]):
    """Gives the results of plans in their order; ends early when the time is over.

    Of plans that are played ahead the result may never be asked for: those are killed.
    """

    def __init__(
        self,
        play: Callable[[Plan], T],
        job_count: int = 1,
        seconds_max: float = inf,
    ) -> None:
        self._play = play
        self._job_count = job_count
        self._end = time.monotonic() + seconds_max  # noqa: TID251 - a person waits

    def results(self, plans: Iterable[Plan]) -> Iterator[T]:
        playing: deque[_Try] = deque()
        coming = iter(plans)
        try:
            while True:
                while len(playing) < self._job_count and (plan := next(coming, None)):
                    playing.append(self._begin(plan))
                if not playing or not playing[0].answers.poll(self._seconds_left()):
                    return
                tried = playing.popleft()
                result: T = tried.answers.recv()
                _end(tried)
                yield result
        finally:
            for tried in playing:
                tried.process.kill()
                _end(tried)

    def outcomes(self, wanted: T) -> Outcomes:
        """The same, compared with what is looked for."""
        return lambda plans: (it == wanted for it in self.results(plans))

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
        # An interrupt is told to the parent, too, who ends this one.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sending.send(self._play(plan))


def _end(tried: _Try) -> None:
    tried.answers.close()
    tried.process.join()
