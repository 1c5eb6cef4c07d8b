"""A virtual week of many agents, in which everything goes wrong at random.

Everything follows from a seed. The week ends with a phase without faults, in which each
computer must come to what was wanted last. `make soak CAMPAIGN=weeks` plays others.
"""

from __future__ import annotations

from collections.abc import Callable

from labsim.models.buildout import BuildoutModel
from labsim.world.world import World
from slap import calls
from slap.errors import SlapError
from slap.model import InstanceRequest, RequestedState, SoftwareInstallation
from slap.reports import TreeReport
from tests.simulation.computers import Cloud, Computer

DAY_SECONDS = 86400.0
STEP_SECONDS_MEAN = 600.0
"""Between two drawn events; about a hundred and fifty a day."""

FAILURES_OF_BUILDS = 0.4
OUTAGE_SECONDS_MAX = 3600.0
SETTLE_SECONDS = 3 * 3600.0
"""An hour is the longest delay of a build, ten minutes that of an installation."""

SETTINGS = {"poll_seconds": 900.0, "recheck_seconds": 1800.0}
"""A change is heard at once by the poll that waits; these bound what is missed."""

RELEASES = ("http://releases.example/one.cfg", "http://releases.example/two.cfg")
TITLES_PER_COMPUTER = 2


class Week:
    """What is wanted, what is broken, and the events that change both."""

    def __init__(self, seed: int, computer_count: int, day_count: int = 7) -> None:
        self.world = World(seed)
        self.cloud = Cloud(self.world)
        self.computer_count = computer_count
        self.day_count = day_count
        self.wanted: dict[str, RequestedState] = {}
        self.event_counts: dict[str, int] = {}
        self.failed_build_count = 0
        self._has_settled = False
        self._entropy = self.world.entropy("week")
        self._builds = self.world.entropy("builds")
        self._outages: list[tuple[float, Callable[[], object]]] = []

    def run(self) -> None:
        self.cloud.boot_master()
        model = BuildoutModel(build_seconds=600, fails=self._fails, has_promises=False)
        self.cloud.add_computers(self.computer_count, model, SETTINGS)
        for computer in self.cloud.computers:
            for url in RELEASES:
                self._supply(computer, url)
        while self.world.clock.seconds() < self.day_count * DAY_SECONDS:
            self.world.run_for(self._entropy.expovariate(1 / STEP_SECONDS_MEAN))
            self._undo_what_is_over()
            self._happen()
        self._mend()
        self.world.run_for(SETTLE_SECONDS)

    def _fails(self, directory: str) -> bool:
        is_failed = not self._has_settled and self._builds.random() < FAILURES_OF_BUILDS
        self.failed_build_count += is_failed and "/software/" in directory
        return is_failed

    def _happen(self) -> None:
        computer = self._entropy.choice(self.cloud.computers)
        kind, act = self._entropy.choice(
            (
                ("request", self._request),
                ("request", self._request),
                ("power loss", self._lose_power),
                ("kill", self._kill),
                ("cut", self._cut),
                ("bang", self._bang),
            )
        )
        self.event_counts[kind] = self.event_counts.get(kind, 0) + 1
        act(computer)

    def _request(self, computer: Computer) -> None:
        number = self._entropy.randrange(TITLES_PER_COMPUTER)
        title = f"{computer.host.name}-{number}"
        wanted = self._entropy.choice(
            (
                RequestedState.STARTED,
                RequestedState.STARTED,
                RequestedState.STOPPED,
                RequestedState.DESTROYED,
            )
        )
        if wanted is RequestedState.DESTROYED and title not in self.wanted:
            return
        asked = InstanceRequest(
            title,
            RELEASES[number % len(RELEASES)],
            allocation_filter={"computer_guid": computer.host.name},
            requested_state=wanted,
        )
        try:
            self.cloud.perform(calls.request_instance(asked))
        except SlapError:
            # No partition is free: what was destroyed is not reported gone yet.
            return
        self.wanted[title] = wanted

    def _lose_power(self, computer: Computer) -> None:
        if computer.host.is_up:
            computer.host.crash()
            self._later(lambda: self._boot(computer))

    def _kill(self, computer: Computer) -> None:
        if computer.host.is_up:
            computer.host.kill()
            self._later(lambda: self._boot(computer))

    def _cut(self, computer: Computer) -> None:
        name = computer.host.name
        self.world.sever("master", name)
        self._later(lambda: self.world.heal("master", name))

    def _bang(self, computer: Computer) -> None:
        self.cloud.perform(calls.bang_computer(computer.host.name, "drawn"))

    def _later(self, undo: Callable[[], object]) -> None:
        delay = self._entropy.uniform(1, OUTAGE_SECONDS_MAX)
        self._outages.append((self.world.clock.seconds() + delay, undo))

    def _undo_what_is_over(self) -> None:
        now = self.world.clock.seconds()
        over = [undo for at, undo in self._outages if at <= now]
        self._outages = [each for each in self._outages if each[0] > now]
        for undo in over:
            undo()

    def _boot(self, computer: Computer) -> None:
        if not computer.host.is_up:
            computer.host.boot()

    def _supply(self, computer: Computer, url: str) -> None:
        self.cloud.perform(calls.supply(SoftwareInstallation(url, computer.host.name)))

    def _mend(self) -> None:
        self._has_settled = True
        for computer in self.cloud.computers:
            self.world.heal("master", computer.host.name)
            self._boot(computer)

    def reported(self) -> dict[str, str]:
        """What the master heard last of each instance."""
        reported = {}
        for title in self.wanted:
            try:
                report = self.cloud.perform(calls.get_tree_report(title))
            except SlapError:
                reported[title] = RequestedState.DESTROYED.value
                continue
            assert isinstance(report, TreeReport)
            (instance,) = report.instances
            reported[title] = instance.reported_state
        return reported

    def running(self) -> dict[str, int]:
        """How many programs run on each computer."""
        return {
            computer.host.name: len(computer.host.running_programs)
            for computer in self.cloud.computers
        }
