"""Bringing the releases of a computer to what is wanted: a lane for each.

Another lane collects the releases that nobody supplies any more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

from attrs import evolve
from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure

from runtime.ports import Runtime
from slap.model import Computer, SupplyState
from slapgrid.config import Config
from slapgrid.convergence.collection import plan_collection, wanted_directories
from slapgrid.convergence.plans import Plan
from slapgrid.convergence.retrying import Effort, RetryMemory, Stage
from slapgrid.convergence.software import plan_software
from slapgrid.convergence.views import LocalView
from slapgrid.layout import release_directory
from slapgrid.results import SOFTWARE_EFFORTS, ExitStatus, PassResult, join_results
from slapgrid.software.lanes import Lanes
from slapgrid.software.releases import Releases

#: After a defect of the agent, before the lane begins again.
DEFECT_SECONDS = 10.0
#: The lane of the collection: no release has an empty URL.
COLLECTION = ""

_NOTHING = Computer("nowhere")


class Converge(Protocol):
    """Rounds of observing, planning and performing, until nothing is due."""

    def __call__(
        self,
        desired: Computer,
        planner: Callable[[LocalView, RetryMemory, float], Plan],
        efforts: frozenset[Effort],
        observe: Callable[[], LocalView],
        /,
    ) -> Awaitable[PassResult]: ...


class SoftwareConvergence:
    """The lanes of a computer's releases; they follow the document given last."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        releases: Releases,
        converge: Converge,
        recall: Callable[[], RetryMemory],
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._releases = releases
        self._converge = converge
        self._recall = recall
        self._desired = _NOTHING
        self._forced: set[str] = set()
        self._is_swept = False
        self._lanes = Lanes(self._run, self._failed, config.software.build_count_max)

    def begin(
        self,
        desired: Computer,
        on_end: Callable[[PassResult], None],
        only: Collection[str] = (),
    ) -> None:
        """Begin a lane for each release that has none; end builds unwanted since."""
        self._desired = desired
        available = {
            each.software_release_url
            for each in desired.installations
            if each.requested_state is SupplyState.AVAILABLE
        }
        for url in self._lanes.building - available:
            self._lanes.call_off(url)
        for installation in desired.installations:
            url = installation.software_release_url
            if not only or url in only or release_directory(url) in only:
                has_ticket = url in available and self._may_build(url)
                self._lanes.begin(url, on_end, has_ticket=has_ticket)
        if not only:
            self._lanes.begin(COLLECTION, on_end, has_ticket=False)

    async def converge(
        self,
        desired: Computer,
        only: Collection[str] = (),
        *,
        is_forced: bool = False,
    ) -> PassResult:
        """Converge all, and wait for it."""
        if is_forced:
            self._forced = {
                each.software_release_url
                for each in desired.installations
                if each.requested_state is SupplyState.AVAILABLE
            }
        results: list[PassResult] = []
        self.begin(desired, results.append, only)
        await self._lanes.finish()
        return join_results(results)

    async def stop(self) -> None:
        """End all lanes, with the builds that they run."""
        await self._lanes.stop()

    def _may_build(self, url: str) -> bool:
        is_completed = self._releases.observe((url,))[url].is_completed
        is_built = self._recall().stage(url, "") is Stage.BUILT
        return url in self._forced or not (is_completed or is_built)

    async def _run(self, name: str) -> PassResult:
        if name == COLLECTION:
            if not self._is_swept and self._lanes.is_alone(COLLECTION):
                await self._releases.remove_leftovers()
                self._is_swept = True
            return await self._converge(
                self._desired, self._plan_collection, SOFTWARE_EFFORTS, self._look
            )
        if name in self._forced:
            self._forced.discard(name)
            self._releases.reopen(name)
        return await self._converge(
            self._desired,
            lambda observed, memory, now: plan_software(
                self._desired, observed, memory, now, only=(name,)
            ),
            SOFTWARE_EFFORTS,
            lambda: self._observe(name),
        )

    def _observe(self, url: str) -> LocalView:
        is_removed = any(
            each.software_release_url == url
            and each.requested_state is not SupplyState.AVAILABLE
            for each in self._desired.installations
        )
        if is_removed:
            return LocalView(releases=self._releases.observe_with_users((url,)))
        return LocalView(releases=self._releases.observe((url,)))

    def _look(self) -> LocalView:
        urls = {each.software_release_url for each in self._desired.installations}
        seen = self._releases.observe_unsupplied(
            wanted_directories(self._desired),
            self._config.software.retention_seconds,
            self._runtime.calendar.now(),
        )
        return evolve(seen, releases=self._releases.observe(sorted(urls)))

    def _plan_collection(
        self, observed: LocalView, memory: RetryMemory, now: float
    ) -> Plan:
        retention = self._config.software.retention_seconds
        return plan_collection(observed, memory, now, retention)

    def _failed(self, failure: Failure) -> PassResult:
        now = self._runtime.calendar.now()
        if failure.check(CancelledError):
            return PassResult(ExitStatus.OK, "a build was called off", next_wake=now)
        # A defect met with one release must not leave the others alone.
        self._runtime.log.failure("a release cannot be looked after", failure)
        return PassResult(
            ExitStatus.FAILED,
            f"a defect of the agent: {failure.getErrorMessage()}",
            next_wake=now + DEFECT_SECONDS,
        )
