"""Shell. Persons who go on asking for things while the state of their master moves.

Each adds releases to a product, every one of which is to be there in the end, and wants
a few instances, each a register: what was acknowledged last is what is to be found.
What is refused is asked for again, until it is acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from labsim.history import CallBegan, CallEnded, Outcome
from labsim.world.host import Host
from slap import calls
from slap.calls import Call
from slap.errors import NotFound, NotReady, SlapError, Unavailable, Unreachable
from slap.freshness import UNSEEN
from slap.model import InstanceRequest, RequestedState, SoftwareInstallation
from slap.replicas import ListedReplica, Replicas
from slap.reports import CloudReport
from slapgrid.slap_client import SlapClient

SERVICE = "http://releases.example/service.cfg"
WISH = "wish"
"""The parameter that is the value of a register."""

LAST_WISH = "the last one"
PAUSE_SECONDS = (0.5, 6.0)
AGAIN_SECONDS_MAX = 3.0
RELEASES_PER_PRODUCT = 50
SUPPLY_EACH = 5
"""Of all that somebody does, so often what instances need is supplied to computers."""

Tell = Callable[[CallBegan | CallEnded], None]


@define(eq=False)
class Person:
    """One of them, on a host of their own; their client is told of replicas."""

    host: Host
    master_url: str
    service_count: int
    entropy: Random
    tell: Tell
    acknowledged: list[str] = field(factory=list)
    """Addresses of releases."""

    asked: set[str] = field(factory=set)
    problems: list[str] = field(factory=list)
    silence_seconds_max: float = 0.0
    """The longest time in which nothing was acknowledged."""

    _number: int = 0
    _is_stopping: bool = False
    _ended: Deferred[None] | None = None
    _acknowledged_at: float = 0.0
    _client: SlapClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._client = SlapClient(self.host.runtime, Replicas((self.master_url,)))

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(f"{self.name}-service-{it}" for it in range(self.service_count))

    @property
    def clock_seconds(self) -> float:
        return self.host.runtime.clock.seconds()

    def begin(self) -> None:
        self._ended = Deferred.fromCoroutine(self._ask_on())

    def learn(self, replicas: tuple[ListedReplica, ...]) -> None:
        """Be told by the operator who took over: the mini-master is gone."""
        self._client.list(replicas)

    async def stop(self) -> None:
        """End what is asked."""
        self._is_stopping = True
        assert self._ended is not None
        await self._ended

    async def close(self) -> None:
        await self._client.close()

    async def finish(self) -> None:
        """Want of each service what is wanted in the end of each life."""
        await self._supply()
        for title in self.titles:
            await self._want(title, LAST_WISH)

    async def _ask_on(self) -> None:
        number = 0
        while not self._is_stopping:
            number += 1
            if number % SUPPLY_EACH == 1:
                await self._supply()
            elif self.entropy.random() < 1 / 2:
                await self._add_release(number)
            else:
                await self._want(self.entropy.choice(self.titles), str(number))
            await self._pause(self.entropy.uniform(*PAUSE_SECONDS))

    async def _add_release(self, number: int) -> None:
        product = f"{self.name}-{number // RELEASES_PER_PRODUCT}"
        url = f"http://releases.example/{self.name}/{number}.cfg"
        self.asked.add(url)
        while not self._is_stopping:
            outcome = await self._ask(calls.add_product_release(product, url))
            if outcome is Outcome.ACKNOWLEDGED:
                self.acknowledged.append(url)
                return

    async def _want(self, title: str, wish: str) -> None:
        wanted = InstanceRequest(
            title,
            SERVICE,
            parameters={WISH: wish},
            requested_state=RequestedState.STARTED,
        )
        is_last = wish == LAST_WISH
        while is_last or not self._is_stopping:
            self._number += 1
            number, now = self._number, self.clock_seconds
            self.tell(CallBegan(now, self.name, number, "want", title, wish))
            outcome = await self._ask(calls.request_instance(wanted))
            is_told = outcome is Outcome.ACKNOWLEDGED and self._client.answered > UNSEEN
            tid = self._client.answered.hex() if is_told else ""
            self.tell(
                CallEnded(self.clock_seconds, self.name, number, outcome, "", tid)
            )
            if outcome is Outcome.ACKNOWLEDGED:
                return

    async def _supply(self) -> None:
        """Supply what the instances need to whatever computers there are."""
        try:
            report = await self._client.perform(calls.get_cloud_report())
        except SlapError:
            return
        assert isinstance(report, CloudReport)
        for it in report.computers:
            await self._ask(calls.supply(SoftwareInstallation(SERVICE, it.computer_id)))

    async def _ask(self, call: Call) -> Outcome:
        """Ask once; who is away or frozen is asked again by the caller."""
        outcome, again_seconds = Outcome.UNKNOWN, 0.0
        try:
            await self._client.perform(call)
        except NotReady:
            # It is accepted, and has no partition yet.
            self._note()
            return Outcome.ACKNOWLEDGED
        except Unavailable as error:
            again_seconds = min(float(error.retry_after_seconds), AGAIN_SECONDS_MAX)
        except Unreachable:
            again_seconds = self.entropy.uniform(0.2, AGAIN_SECONDS_MAX)
        except NotFound:
            # There is no partition yet.
            outcome, again_seconds = Outcome.REFUSED, AGAIN_SECONDS_MAX
        except SlapError as error:
            self.problems.append(
                f"{self.name} is told at {self.clock_seconds:.1f} s: {error!r}"
            )
            again_seconds = AGAIN_SECONDS_MAX
        else:
            self._note()
            return Outcome.ACKNOWLEDGED
        await self._pause(again_seconds)
        return outcome

    def _note(self) -> None:
        now = self.clock_seconds
        if self._acknowledged_at:
            silence = now - self._acknowledged_at
            self.silence_seconds_max = max(self.silence_seconds_max, silence)
        self._acknowledged_at = now

    async def _pause(self, seconds: float) -> None:
        await deferLater(self.host.runtime.clock, seconds)
