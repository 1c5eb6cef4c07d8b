"""A simulated host: what keeps its services running, and what a crash takes.

A life of a host lasts from its start to a crash, or to the end of its programs. All
ports of a life end with it: its clock makes no more calls, its files are written to
nothing. Its coroutines stay suspended for ever, which is what a crash does to them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from random import Random
from typing import Any, Protocol

from attrs import define, field, frozen
from twisted.application.service import IService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, Logger, formatEvent

from labsim.world.addresses import ipv6_address, ipv6_network
from labsim.world.calendar import HostCalendar
from labsim.world.clock import LifeClock, Pace, WorldClock
from labsim.world.disk import Disk
from labsim.world.files import DiskTree
from labsim.world.keys import SeededKeys
from labsim.world.network import HostNetwork, Network
from labsim.world.observer import Observer
from labsim.world.processes import Execution, SimulatedRunner
from labsim.world.threads import SimulatedThreads
from runtime.ports import Exit, IFileTree, Program, Runtime

BuildService = Callable[[Runtime], IService]


@frozen
class Process:
    """What a behaviour has: its host, and a clock that SIGKILL stops.

    What outlives the program, as a daemon does, takes the clock of the host's runtime.
    """

    host: Host
    clock: LifeClock

    def sleep(self, seconds: float) -> Deferred[None]:
        return deferLater(self.clock, seconds)


Behaviour = Callable[[Program, Process], Coroutine[Any, Any, Exit]]
"""What a program does, as a coroutine."""


class Surroundings(Protocol):
    """What a host asks of its world."""

    clock: WorldClock
    network: Network

    def entropy(self, *key: object) -> Random:
        """The stream of random numbers of a purpose."""

    def record(self, host: str, kind: str, text: str) -> None:
        """Write a line of the trace."""

    def log(self, host: str, text: str) -> None:
        """Write a line of the log; no part of the trace."""


@define(eq=False)
class _Life:
    clock: LifeClock
    runtime: Runtime
    runner: SimulatedRunner
    services: list[IService] = field(factory=list)


class Host:
    """A machine of the world. It starts without services; ``boot`` adds them."""

    def __init__(
        self, world: Surroundings, name: str, number: int, region: str = ""
    ) -> None:
        self._world = world
        self._number = number
        self._behaviours: list[tuple[Callable[[Program], bool], Behaviour]] = []
        self._builders: list[BuildService] = []
        self._life_count = 0
        self._pace = Pace(world.clock)
        self._has_paused_processes = False
        self.name = name
        self.region = region
        self.address = ipv6_address(number)
        self.ipv6_network = ipv6_network(number)
        self.disk = Disk(
            world.clock,
            partial(world.entropy, name, "disk"),
            lambda text: world.record(name, "disk", text),
        )
        self.calendar = HostCalendar(self._pace)
        world.network.add_host(name, number, region)
        self._life = self._new_life()

    @property
    def is_up(self) -> bool:
        return not self._life.clock.is_over

    @property
    def runtime(self) -> Runtime:
        """The ports of the present life; those of the last one after a crash."""
        return self._life.runtime

    @property
    def services(self) -> tuple[IService, ...]:
        return tuple(self._life.services)

    @property
    def running_programs(self) -> tuple[Program, ...]:
        return tuple(self._life.runner.running.values())

    def boot(self, build_service: BuildService | None = None) -> None:
        """Start a service; after a crash all that were booted before, too."""
        if not self.is_up:
            self._world.network.power_on(self.name)
            self._life = self._new_life()
            for earlier in self._builders:
                self._start(earlier)
        if build_service is not None:
            self._builders.append(build_service)
            self._start(build_service)

    def crash(self) -> None:
        """Lose power: peers hear nothing, what was not durable is lost."""
        assert self.is_up, f"{self.name} is down already"
        self.resume()
        self._world.record(self.name, "crash", str(self._life_count))
        self._life.clock.end()
        self._world.network.power_off(self.name)
        self.disk.lose_power()

    def kill(self) -> None:
        """End all processes at once: the kernel closes their sockets, keeps files."""
        assert self.is_up, f"{self.name} is down already"
        self.resume()
        self._world.record(self.name, "kill", str(self._life_count))
        self._world.network.end_processes(self.name)
        self._life.clock.end()
        self.disk.detach()

    @property
    def is_paused(self) -> bool:
        """Whether the machine stands still, its kernel with it."""
        return self._world.network.is_frozen(self.name)

    def pause(self) -> None:
        """Stand still, as a virtual machine does that its hypervisor neglects.

        Nothing runs and nothing answers; packets wait. Its clocks go on.
        """
        if self.is_up and not self.is_paused:
            self._world.record(self.name, "pause", "")
            self._life.clock.pause()
            self._world.network.links.freeze(self.name)

    def resume(self) -> None:
        """Go on after a pause; nothing happens when there is none any more."""
        if self.is_paused:
            self._world.record(self.name, "resume", "")
            self._life.clock.resume()
            self._world.network.links.thaw(self.name)

    def pause_processes(self) -> None:
        """Stop all processes, as SIGSTOP does: the kernel goes on to answer."""
        if self.is_up and not self._has_paused_processes:
            self._has_paused_processes = True
            self._world.record(self.name, "pause", "processes")
            self._life.clock.pause()

    def resume_processes(self) -> None:
        """Let them go on; nothing happens when they are not paused any more."""
        if self._has_paused_processes:
            self._has_paused_processes = False
            self._world.record(self.name, "resume", "processes")
            self._life.clock.resume()

    def bounce(self) -> None:
        """Lose power and have it again at once."""
        self.crash()
        self.boot()

    def set_drift(self, drift: float) -> None:
        """Have its clocks gain so many seconds each second, or lose them below zero."""
        self._world.record(self.name, "drift", f"{drift:g}")
        self._pace.set_drift(drift)

    def kill_programs(self, is_meant: Callable[[Program], bool]) -> int:
        """Send SIGKILL to running programs; of how many is told."""
        return self._each_program(is_meant, lambda execution: execution.kill())

    def pause_programs(self, is_meant: Callable[[Program], bool]) -> int:
        """Send SIGSTOP to running programs; of how many is told."""
        return self._each_program(is_meant, lambda execution: execution.pause())

    def resume_programs(self, is_meant: Callable[[Program], bool]) -> int:
        """Send SIGCONT to running programs; of how many is told."""
        return self._each_program(is_meant, lambda execution: execution.resume())

    async def stop_services(self) -> None:
        """Stop what was booted, the last first, as an operator does."""
        while self._life.services:
            await maybeDeferred(self._life.services.pop().stopService)
        await self._life.runtime.threads.stop()

    def add_behaviour(
        self, is_meant: Callable[[Program], bool], behaviour: Behaviour
    ) -> None:
        """Give programs a behaviour; the last one added that is meant wins."""
        self._behaviours.append((is_meant, behaviour))

    def pending_files(self, root: str) -> IFileTree:
        """The files as most programs write them: not durable until synchronised."""
        return DiskTree(
            self.disk.layers, self._life.clock, self.calendar, root, is_durable=False
        )

    def _each_program(
        self,
        is_meant: Callable[[Program], bool],
        signal: Callable[[Execution], None],
    ) -> int:
        found = [
            it for it, program in self._life.runner.running.items() if is_meant(program)
        ]
        for execution in found:
            signal(execution)
        return len(found)

    def _start(self, build_service: BuildService) -> None:
        service = build_service(self._life.runtime)
        self._life.services.append(service)
        service.privilegedStartService()
        service.startService()

    def _behave(
        self, program: Program, clock: LifeClock
    ) -> Coroutine[Any, Any, Exit] | None:
        for is_meant, behaviour in reversed(self._behaviours):
            if is_meant(program):
                return behaviour(program, Process(self, clock))
        return None

    def _new_life(self) -> _Life:
        self._life_count += 1
        self._has_paused_processes = False
        world, name, count = self._world, self.name, self._life_count
        world.record(name, "life", str(count))
        clock = LifeClock(world.clock, pace=self._pace)
        layers = self.disk.layers

        def file_tree(root: str) -> IFileTree:
            return DiskTree(layers, clock, self.calendar, root)

        def write_line(event: LogEvent) -> None:
            world.log(name, formatEvent(event))

        runner = SimulatedRunner(
            clock,
            world.entropy(name, "processes", count),
            DiskTree(layers, clock, self.calendar, "/", is_durable=False),
            self._behave,
            lambda text: world.record(name, "program", text),
        )
        runtime = Runtime(
            clock=clock,
            calendar=self.calendar,
            network=HostNetwork(world.network, clock, name, self._number),
            processes=runner,
            threads=SimulatedThreads(
                clock,
                world.entropy(name, "threads", count),
                lambda text: world.record(name, "store", text),
            ),
            entropy=world.entropy(name, "entropy", count),
            keys=SeededKeys(world.entropy(name, "keys", count)),
            log=Logger(namespace=name, observer=Observer(write_line)),
            file_tree=file_tree,
        )
        return _Life(clock, runtime, runner)
