"""Shell. Plays a plan: builds a world of production code, breaks it, heals it, judges.

The phases, on the clock of the world:

1. Everything is built: computers are formatted and supplied, before the plan's time.
2. ``BEGINNING``: all is requested. ``FAULTS``: clients go on, the schedule is played.
3. ``HEALED``: nothing is broken, clients end what they began. When each subject is as
   it was wanted, or the bound is over, the run has ``ENDED``.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, gatherResults

from labsim.checkers.table import judge
from labsim.checkers.violation import BROKEN, Bounds, Violation
from labsim.computers import Computer
from labsim.documents import Documents, OfAgent, Seen, as_told
from labsim.faults import table as fault_table
from labsim.history import (
    Ending,
    FaultBegan,
    FaultEnded,
    History,
    Life,
    Phase,
    PhaseBegan,
)
from labsim.injector import Injector
from labsim.models.buildout import BuildoutModel
from labsim.plan import Plan, check_plan
from labsim.scenario import MEMORY, Scenario
from labsim.schedule import TimedFault
from labsim.stores import SharedMemory, SharedNeo, Store
from labsim.workloads import table as work_table
from labsim.workloads.client import Client
from labsim.workloads.instances import RELEASE
from labsim.workloads.operation import Operation
from labsim.workloads.sharing import HALL, HALL_RELEASE
from labsim.workloads.table import WORKS
from labsim.world.entropy import stream
from labsim.world.persistence import FileSystem
from labsim.world.world import World, WorldStuck
from master_cluster import config as master_config
from runtime.ports import TcpAddress
from slap import calls
from slap.errors import MasterAway, SlapError
from slap.model import RequestedState, SoftwareInstallation
from slap.replicas import Replicas
from slapgrid.passes import ExitStatus
from slapgrid.slap_client import SlapClient

PORT = 5000

BUILDING_SECONDS_MAX = 3600.0
"""To format and supply the largest fleet while nothing is broken yet."""

STARTING_SECONDS = 10.0
"""Masters at a store that is there begin within a few, also after their last fault."""

LOOK_SECONDS = 60.0
"""Between two looks at whether all is as wanted."""

FILE_SYSTEMS = (FileSystem.EXT4, FileSystem.LOOSE)
"""Of a host, as drawn: one keeps more than POSIX asks for, the other does not."""

PLACING_VERBS = ("request", "update")
"""What is granted then has programs of its own, when it is started."""

RELEASES = (RELEASE, HALL_RELEASE)

_NUMBERS = re.compile(r"\b[0-9a-f]{32,}\b|[0-9.]+")
"""And hashes, which are at least that long."""


@frozen
class Played:
    """A run that has ended; ``digest`` is that of its trace."""

    plan: Plan
    history: History = field(repr=False)
    digest: str
    seconds: float
    violations: tuple[Violation, ...]

    @property
    def failure(self) -> str | None:
        """In which way it failed first: two runs that fail alike have the same."""
        if not self.violations:
            return None
        first = self.violations[0]
        if first.checker != BROKEN:
            return first.checker
        reason = first.sentence.partition("\n")[0]
        return f"{BROKEN}: {_NUMBERS.sub('N', reason)}"


def draw_plan(scenario: Scenario, seed: int) -> Plan:
    """The plan of a seed; faults and work have streams of their own."""
    topology = scenario.topology
    durations = scenario.durations
    faults = fault_table.generate(
        stream(seed, "faults"),
        scenario.faults,
        topology,
        durations.beginning_seconds,
        durations.healed_at,
    )
    operations = work_table.generate(stream(seed, "work"), scenario, topology)
    plan = Plan(seed, scenario, topology, faults, operations)
    check_plan(plan, Injector.VERBS)
    return plan


def play(
    plan: Plan,
    build_client: Callable[..., Client] = Client,
    follow: Callable[[str], None] | None = None,
    build_stage: Callable[..., Stage] | None = None,
) -> Played:
    """Play a plan and judge its history; the same plan gives the same.

    ``follow`` is given each line of the trace. ``build_stage`` is for tests, whose
    worlds have something wrong in them.
    """
    check_plan(plan, Injector.VERBS)
    stage = (build_stage or Stage)(plan, build_client)
    if follow is not None:
        stage.world.follow(follow)
    clock = stage.world.clock
    broken: list[Violation] = []
    try:
        stage.play()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a violation
        sentence = str(error) if isinstance(error, WorldStuck) else _tell(error)
        broken.append(Violation(BROKEN, clock.seconds(), sentence))
    history: History = ()
    try:
        history = stage.told()
    except AssertionError as error:
        broken.append(Violation(BROKEN, clock.seconds(), _tell(error)))
    found = judge(history, bounds_of(plan.scenario))
    digest = stage.world.digest()
    return Played(plan, history, digest, clock.seconds(), (*broken, *found))


def bounds_of(scenario: Scenario) -> Bounds:
    """How long things may take in a run of it."""
    recovery = scenario.recovery
    return Bounds(
        scenario.durations.settle_seconds,
        recovery.healed_seconds,
        recovery.fault_seconds,
    )


def _tell(error: Exception) -> str:
    """What was raised, and where."""
    lines = traceback.format_exception(error)
    return f"{type(error).__name__}: {error}\n{''.join(lines)}"


class Stage:
    """One run of one plan."""

    def __init__(
        self, plan: Plan, build_client: Callable[..., Client] = Client
    ) -> None:
        self.plan = plan
        self.world = World(plan.seed)
        self.seen: list[Seen] = []
        self.has_settled = False
        for region in plan.topology.regions:
            for name in region.hosts:
                disk = self.world.host(name, region.name).disk
                disk.use(self.world.entropy(name, "file system").choice(FILE_SYSTEMS))
        self._builds = self.world.entropy("builds")
        self.store = self.build_store()
        self._urls = tuple(
            f"http://[{self.world.host(name).address}]:{PORT}"
            for name in plan.topology.masters
        )
        self._computers: dict[str, Computer] = {}
        self._injector = Injector(self.world, plan.topology, self._storm)
        self._build_client = build_client
        self._clients: list[Client] = []
        self._observer = SlapClient(
            self.world.host("observer").runtime, Replicas(self._urls)
        )
        self._storms: list[SlapClient] = []
        self._begin = 0.0
        self._ended_count = 0

    def play(self) -> None:
        """Everything, from nothing to the end."""
        self._build()
        durations = self.plan.scenario.durations
        self._begin = self.world.clock.seconds()
        clock = self._observer_clock
        for number, fault in enumerate(self.plan.faults):
            assert fault.until is not None, "a plan that was checked"
            clock.callLater(fault.at, self._begin_fault, number, fault)
            clock.callLater(fault.until, self._end_fault, number, fault)
        playing = self._start_clients()
        self._tell_phase(Phase.BEGINNING)
        self.world.run_for(durations.beginning_seconds)
        self._tell_phase(Phase.FAULTS)
        self.world.run_for(durations.fault_seconds)
        # Sums of floats differ in their last digit: an end may be due just now.
        self.world.run_until(lambda: self._ended_count == len(self.plan.faults), 1.0)
        assert self._injector.broken_count == 0, "a schedule ends healed"
        self.has_settled = True
        self._tell_phase(Phase.HEALED)
        self._settle(playing, durations.settle_seconds)
        self._tell_phase(Phase.ENDED)
        self._finish()

    def tell(self, seen: Seen) -> None:
        self.seen.append(seen)

    def tell_now(self, seen: OfAgent) -> None:
        """The same of an agent, whose own clock may be wrong."""
        self.tell(evolve(seen, at=self.world.clock.seconds()))

    def told(self) -> History:
        """All that happened until now."""
        return tuple(as_told(self.seen, Documents(self.store.whole())))

    @property
    def _observer_clock(self) -> Any:
        return self.world.host("observer").runtime.clock

    def _build(self) -> None:
        """Boot masters, format and boot computers, say where they are, supply them."""
        topology, agents = self.plan.topology, self.plan.scenario.agents
        self.store.boot()
        for name in topology.masters:
            self._boot_master(name)
        self.world.run_for(STARTING_SECONDS)
        model = self.build_model()
        settings = {
            "poll_seconds": agents.poll_seconds,
            "recheck_seconds": agents.recheck_seconds,
            "sign_seconds": agents.sign_seconds,
        }
        for region in topology.regions:
            for name in region.computers:
                self._computers[name] = Computer(
                    self.world.host(name),
                    self._nearest(region.masters),
                    model,
                    self.plan.scenario.fleet.partitions,
                    settings,
                    tell=self.tell_now,
                )
        self._await([self._prepare(it) for it in self._computers.values()])

    def build_store(self) -> Store:
        """Where masters keep what they are told."""
        if self.plan.scenario.store != MEMORY:
            return SharedNeo(self.world, self.plan.topology, self.tell)
        return SharedMemory(self.tell, self.world.clock.seconds)

    def build_model(self) -> BuildoutModel:
        """What builds and installations do on all computers."""
        return BuildoutModel(
            build_seconds=self.plan.scenario.agents.build_seconds,
            fails=self._fails,
            has_promises=False,
        )

    async def _prepare(self, computer: Computer) -> None:
        name = computer.host.name
        assert await computer.format() is ExitStatus.OK
        computer.boot()
        (region,) = (it for it in self.plan.topology.regions if name in it.computers)
        attributes = {"region": region.name}
        await self._observer.perform(calls.set_computer_attributes(name, attributes))
        for url in RELEASES:
            installation = SoftwareInstallation(url, name)
            await self._observer.perform(calls.supply(installation))

    def _boot_master(self, name: str) -> None:
        host = self.world.host(name)
        listen = TcpAddress(host.address, PORT)
        uri = self.store.uri
        config = master_config.Config(uri, listen, is_loopback_only=False)
        host.boot(lambda runtime: self.store.build_master(name, config, runtime))

    def _nearest(self, masters: tuple[str, ...]) -> tuple[str, ...]:
        """All masters, those of the own region first."""
        names = self.plan.topology.masters
        near = [
            url for name, url in zip(names, self._urls, strict=True) if name in masters
        ]
        return tuple(dict.fromkeys((*near, *self._urls)))

    def _fails(self, directory: str) -> bool:
        del directory
        agents = self.plan.scenario.agents
        return not self.has_settled and self._builds.random() < agents.failing_builds

    def _start_clients(self) -> list[Deferred[None]]:
        """Let each client do what is its own."""
        by_client: dict[str, list[Operation]] = {}
        for operation in self.plan.operations:
            by_client.setdefault(operation.client, []).append(operation)
        playing = []
        for region in self.plan.topology.regions:
            for name in region.people:
                client = self._build_client(
                    self.world.host(name),
                    self._nearest(region.masters),
                    tuple(by_client.get(name, ())),
                    self.tell,
                    self.world.entropy(name, "client"),
                    sign_seconds=self.plan.scenario.agents.sign_seconds,
                )
                self._clients.append(client)
                playing.append(Deferred.fromCoroutine(client.play(self._begin)))
        return playing

    def _settle(self, playing: list[Deferred[None]], limit_seconds: float) -> None:
        """Wait until everything is as wanted, or no longer.

        Each ending is told as of the first look since which it is as wanted.
        """
        limit = self.world.clock.seconds() + limit_seconds
        self.world.run_for(STARTING_SECONDS)
        settled: dict[str, Ending] = {}
        while True:
            # Before the look, which takes time: what is granted meanwhile is not in it.
            are_idle = all(each.called for each in playing)
            endings = self._look() if self.store.is_whole() else None
            is_over = self.world.clock.seconds() >= limit
            if endings is not None:
                settled = since_settled(settled, endings)
            if is_over or (are_idle and endings and len(settled) == len(endings)):
                break
            self.world.run_for(LOOK_SECONDS)
        assert endings is not None, "the store is away after all was healed"
        for ending in endings:
            self.tell(settled.get(ending.subject, ending))
        assert are_idle, "clients are not answered after all was healed"

    def _look(self) -> tuple[Ending, ...] | None:
        """What is there now of all that was granted, and of its programs.

        ``None`` when no master can say.
        """
        try:
            return self._found()
        except MasterAway:
            return None

    def _found(self) -> tuple[Ending, ...]:
        at = self.world.clock.seconds()
        reports: dict[str, object] = {}
        program_counts = dict.fromkeys(self._computers, 0)
        endings = []
        known = [it for each in self._clients for it in each.granted.values()]
        for granted in known:
            operation, work = granted.operation, WORKS[granted.operation.verb]
            found = work.found(operation, self._report(work.look(operation), reports))
            endings.append(Ending(at, operation.subject, operation.wanted, found))
            place = granted.answer.partition(" ")[0]
            if (
                place
                and operation.wanted == RequestedState.STARTED.value
                and (operation.verb in PLACING_VERBS or operation.subject == HALL)
            ):
                program_counts[place] += 1
        for name, count in program_counts.items():
            running = len(self._computers[name].host.running_programs)
            endings.append(Ending(at, f"programs of {name}", str(count), str(running)))
        return tuple(endings)

    def _report(self, question: calls.Call, reports: dict[str, object]) -> object:
        """Ask each question once."""
        key = calls.encode_call(question)
        text = f"{key.path} {key.body!r}"
        if text not in reports:
            reports[text] = self.world.result(self._observer.perform(question))
        return reports[text]

    def _begin_fault(self, number: int, fault: TimedFault) -> None:
        at = self.world.clock.seconds()
        self.tell(FaultBegan(at, number, fault.kind, fault.targets))
        self._tell_lives(lambda: self._injector.begin(number, fault))

    def _end_fault(self, number: int, fault: TimedFault) -> None:
        self._tell_lives(lambda: self._injector.end(number, fault))
        self.tell(FaultEnded(self.world.clock.seconds(), number))
        self._ended_count += 1

    def _tell_lives(self, act: Callable[[], None]) -> None:
        """Act, and tell which hosts went down or came up by it."""
        before = [host.is_up for host in self.world.hosts]
        act()
        at = self.world.clock.seconds()
        for host, was_up in zip(self.world.hosts, before, strict=True):
            if host.is_up != was_up:
                self.tell(Life(at, host.name, host.is_up))

    def _storm(self, name: str) -> None:
        """Let a computer ask for its document, once and from the beginning."""
        host = self.world.host(name)
        if host.is_up:
            client = SlapClient(host.runtime, Replicas(self._urls))
            Deferred.fromCoroutine(_poll_once(client, name))

    def _await(self, coroutines: list[Any]) -> None:
        waiting = [Deferred.fromCoroutine(each) for each in coroutines]
        self.world.result(
            gatherResults(waiting, consumeErrors=True), BUILDING_SECONDS_MAX
        )

    def _tell_phase(self, phase: Phase) -> None:
        self.tell(PhaseBegan(self.world.clock.seconds(), phase))

    def _finish(self) -> None:
        """Stop everything; what is left behind is a failure."""
        for computer in self._computers.values():
            self.world.result(computer.stop())
        for client in self._clients:
            self.world.result(client.close())
        self.world.result(self._observer.close())
        self.world.finish()


def since_settled(
    before: Mapping[str, Ending], endings: Iterable[Ending]
) -> dict[str, Ending]:
    """Those of a look that are as wanted, each as of the first look in a row."""
    settled = {}
    for ending in endings:
        if ending.wanted == ending.found:
            known = before.get(ending.subject, ending)
            settled[ending.subject] = known if known.wanted == ending.wanted else ending
    return settled


async def _poll_once(client: SlapClient, computer_id: str) -> None:
    with suppress(SlapError):  # a storm waits for nobody
        await client.poll(computer_id)
    await client.close()
