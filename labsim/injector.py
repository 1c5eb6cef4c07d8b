"""Shell. Causes and undoes the faults of a schedule in a simulated world.

Faults may overlap. What is said of links is a rule for each fault, taken back with it.
A machine is mended when the last fault that broke the same thing of it has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import define, field, frozen

from labsim.computers import SOFTWARE_ROOT
from labsim.faults.package import Verb
from labsim.faults.table import PACKAGES
from labsim.schedule import TimedFault
from labsim.topology import Topology
from labsim.world.host import Host
from labsim.world.links import Cut, Shape
from labsim.world.world import World

Settings = Mapping[str, float]


@frozen
class Way:
    """A verb about links: the shape that they have meanwhile."""

    shape: Callable[[Settings], Shape]
    is_one_way: bool = False


@frozen
class Switch:
    """A verb about machines; ``thing`` tells which verbs break the same of them."""

    thing: str
    begin: Callable[[Host, Settings], object]
    end: Callable[[Host, Settings], object]


def _cut(_: Settings) -> Shape:
    return Shape(cut=Cut.SILENT)


WAYS: Mapping[Verb, Way] = MappingProxyType(
    {
        Verb.SEVER: Way(_cut),
        Verb.SEVER_ONE_WAY: Way(_cut, is_one_way=True),
        Verb.SLOW_LINK: Way(lambda it: Shape(latency_factor=it["factor"])),
        Verb.LOSE_PACKETS: Way(lambda it: Shape(loss=it["fraction"])),
    }
)

SWITCHES: Mapping[Verb, Switch] = MappingProxyType(
    {
        Verb.CRASH: Switch(
            "power", lambda host, _: host.crash(), lambda host, _: host.boot()
        ),
        Verb.KILL: Switch(
            "power", lambda host, _: host.kill(), lambda host, _: host.boot()
        ),
        Verb.PAUSE: Switch(
            "motion", lambda host, _: host.pause(), lambda host, _: host.resume()
        ),
        Verb.STOP_PROCESSES: Switch(
            "processes",
            lambda host, _: host.pause_processes(),
            lambda host, _: host.resume_processes(),
        ),
        Verb.FILL_DISK: Switch(
            "room", lambda host, _: host.disk.fill(), lambda host, _: host.disk.empty()
        ),
        Verb.SLOW_DISK: Switch(
            "speed",
            lambda host, it: host.disk.slow(it["seconds"]),
            lambda host, _: host.disk.slow(0),
        ),
        Verb.CORRUPT_BLOCK: Switch(
            "block",
            # Most of a release is binaries, and no agent mends them: an operator does.
            lambda host, _: host.disk.corrupt(spared=SOFTWARE_ROOT),
            lambda *_: None,
        ),
        Verb.STEP_CLOCK: Switch(
            "calendar",
            lambda host, it: host.calendar.step(it["seconds"]),
            lambda host, it: host.calendar.step(-it["seconds"]),
        ),
        Verb.DRIFT_CLOCK: Switch(
            "pace",
            lambda host, it: host.set_drift(it["rate"]),
            lambda host, _: host.set_drift(0),
        ),
    }
)


@define
class _Broken:
    """What broke a thing first, which says how to mend it, and how many hold it."""

    switch: Switch
    settings: Settings
    count: int = 1


@define(eq=False)
class Injector:
    """Begins and ends faults; ``poll`` is what a storm makes a computer do."""

    world: World
    topology: Topology
    poll: Callable[[str], None]
    _broken: dict[tuple[str, str], _Broken] = field(factory=dict, init=False)

    VERBS = (*WAYS, *SWITCHES, Verb.POLL)
    """What it can do; a plan that needs more is refused before it runs."""

    def begin(self, number: int, fault: TimedFault) -> None:
        """Break what a fault breaks; ``number`` is its place in the schedule."""
        self._record("begin", number, fault)
        verb = PACKAGES[fault.kind].verb
        if verb in WAYS:
            way = WAYS[verb]
            self.world.shape(
                fault.targets,
                fault.others or None,
                way.shape(fault.settings),
                is_one_way=way.is_one_way,
                by=_name(number),
            )
        elif verb in SWITCHES:
            for host in self._machines(fault):
                self._break(SWITCHES[verb], host, fault.settings)
        else:
            computers = frozenset(self.topology.computers)
            for name in self.topology.hosts_of(fault.targets):
                if name in computers:
                    self.poll(name)

    def end(self, number: int, fault: TimedFault) -> None:
        """Undo a fault that was begun."""
        self._record("end", number, fault)
        verb = PACKAGES[fault.kind].verb
        if verb in WAYS:
            self.world.unshape(_name(number))
        elif verb in SWITCHES:
            for host in self._machines(fault):
                self._mend(SWITCHES[verb].thing, host)

    @property
    def broken_count(self) -> int:
        """How many things of machines are broken now."""
        return len(self._broken)

    def _break(self, switch: Switch, host: Host, settings: Settings) -> None:
        broken = self._broken.get((switch.thing, host.name))
        if broken is None:
            self._broken[switch.thing, host.name] = _Broken(switch, settings)
            switch.begin(host, settings)
        else:
            broken.count += 1

    def _mend(self, thing: str, host: Host) -> None:
        broken = self._broken[thing, host.name]
        broken.count -= 1
        if broken.count == 0:
            del self._broken[thing, host.name]
            broken.switch.end(host, broken.settings)

    def _machines(self, fault: TimedFault) -> tuple[Host, ...]:
        machines = frozenset(self.topology.machines)
        names = self.topology.hosts_of(fault.targets)
        return tuple(self.world.host(name) for name in names if name in machines)

    def _record(self, text: str, number: int, fault: TimedFault) -> None:
        names = " ".join(fault.targets)
        self.world.record(names, "fault", f"{text} {number} {fault.kind}")


def _name(number: int) -> str:
    return f"fault {number}"
