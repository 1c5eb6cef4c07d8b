"""Shell. A client that does its operations, one after the other, and tells the history.

What it does not know the end of it asks again, by the same name, until it knows.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from attrs import frozen
from twisted.internet.task import deferLater

from labsim.history import CallBegan, CallEnded, Happening, Outcome
from labsim.workloads.operation import Operation
from labsim.workloads.table import WORKS
from labsim.world.host import Host
from slap.errors import MasterAway, NotFound, NotReady, Refusal
from slap.freshness import UNSEEN
from slap.model import RequestedState
from slap.replicas import Replicas
from slapgrid.slap_client import SIGN_SECONDS, SlapClient


@frozen
class Granted:
    """What was acknowledged, and what the master said to it."""

    operation: Operation
    answer: str


RETRY_SECONDS_MAX = 10.0
"""A person or a program asks again so soon, in the mean twice as soon."""

GONE = RequestedState.DESTROYED.value

RETRIES_MAX = 10_000
"""More than a day of them: what is never answered stops a run at its bound before."""


class Client:
    """One person or program, on a host of its own; it asks the nearest master first."""

    def __init__(
        self,
        host: Host,
        master_urls: tuple[str, ...],
        operations: tuple[Operation, ...],
        tell: Callable[[Happening], None],
        entropy: Random,
        *,
        sign_seconds: int = SIGN_SECONDS,
    ) -> None:
        self._clock = host.runtime.clock
        self._name = host.name
        self._operations = operations
        self._tell = tell
        self._entropy = entropy
        self._number = 0
        self._slap = SlapClient(
            host.runtime, Replicas(master_urls), sign_seconds=sign_seconds
        )
        self.granted: dict[str, Granted] = {}
        """The last operation about each subject that was acknowledged."""

    async def play(self, begin: float) -> None:
        """Do everything; ``begin`` is when the plan's time began."""
        for operation in self._operations:
            wait_seconds = begin + operation.at - self._clock.seconds()
            if wait_seconds > 0:
                await deferLater(self._clock, wait_seconds)
            await self._perform(operation)

    async def close(self) -> None:
        await self._slap.close()

    async def _perform(self, operation: Operation) -> None:
        for _ in range(RETRIES_MAX):
            outcome, answer = await self.ask(operation)
            if outcome is Outcome.ACKNOWLEDGED and operation.wanted:
                self.granted[operation.subject] = Granted(operation, answer)
            if outcome is not Outcome.UNKNOWN or not operation.wanted:
                return
            delay_seconds = self._entropy.uniform(0, RETRY_SECONDS_MAX)
            await deferLater(self._clock, delay_seconds)

    async def ask(self, operation: Operation) -> tuple[Outcome, str]:
        """Ask once, and tell how it ended."""
        self._number += 1
        work, number = WORKS[operation.verb], self._number
        self._tell(
            CallBegan(
                self._clock.seconds(),
                self._name,
                number,
                operation.verb,
                operation.subject,
                operation.wanted,
            )
        )
        answer = ""
        try:
            said = await self._slap.perform(work.call(operation))
        except Refusal as error:
            outcome, answer = Outcome.REFUSED, error.sentence
            # A master that gave no answer may have done it before another was asked.
            if isinstance(error, NotFound) and operation.wanted == GONE:
                outcome, answer = Outcome.ACKNOWLEDGED, ""
        except (MasterAway, NotReady):
            outcome = Outcome.UNKNOWN
        else:
            outcome, answer = Outcome.ACKNOWLEDGED, work.answer(said)
        at = self._clock.seconds()
        is_told = outcome is Outcome.ACKNOWLEDGED and self._slap.answered > UNSEEN
        known = self._slap.answered.hex() if is_told else ""
        self._tell(CallEnded(at, self._name, number, outcome, answer, known))
        return outcome, answer
