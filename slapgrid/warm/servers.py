"""Warm servers: programs run as forks of a process that has imported what they need.

``WarmServers.run(warmth, program)`` is ``processes.run(program)``: the same exit, time
limit, output and log. It is faster because the program begins in a fork of a server
that is prepared as ``warmth`` says, and it is the very same run, cold, when no such
server can be had. To make a shim warm, give its file two functions,
``prepare(argument)`` and ``run(arguments)``, see ``slapgrid/shims/fork_server.py``.

1. The first program of a warmth runs cold: a server costs as much as one cold run.
2. A server lives until it is idle for long, until its release changes, until too many
   are there, or until the agent ends. When root runs the agent it can become only
   users that had a partition when it started: another user means another server.
3. A server that dies takes its programs with it. Each then runs once more, alone in a
   server of its own: what ended the server ends only that one, and fails with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IDelayedCall

from runtime.ports import (
    Exit,
    FileKind,
    ForkRefused,
    ForkServerLost,
    ForkServerUnavailable,
    IForkServer,
    Program,
    Runtime,
)
from slapgrid.config import Config
from slapgrid.environment import clean_environment
from slapgrid.identity import ROOT, Identity
from slapgrid.platform import Platform
from slapgrid.warm.warmth import Warmth

#: Imports of a large release take some seconds on a loaded computer.
PREPARE_SECONDS_MAX = 60.0
#: After a server could not be started, programs run cold so long.
UNAVAILABLE_SECONDS = 300.0
#: A server without work is ended after so long: it has some 60 MB.
IDLE_SECONDS = 600.0
#: At the same time; the one that was used least recently is ended for another.
SERVERS_MAX = 8
#: Programs of a warmth that run cold before a server is worth its start.
COLD_RUNS = 1


@frozen
class _Lease:
    """A server, and whom its forks can become; anybody's own user if empty."""

    server: IForkServer
    identities: frozenset[Identity]


@define(eq=False)
class _Place:
    """What is known of one warmth."""

    lock: DeferredLock = field(factory=DeferredLock)
    lease: _Lease | None = None
    run_count: int = 0
    running_count: int = 0
    used_at: float = 0.0
    cold_until: float = 0.0


class WarmServers:
    """The fork servers of one agent."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        platform: Platform,
        cold_runs: int = COLD_RUNS,
    ) -> None:
        self._is_warm = config.instance.is_warm
        self._cold_runs = cold_runs
        self._runtime = runtime
        self._platform = platform
        self._instance_tree = runtime.file_tree(config.instance_root)
        self._places: dict[Warmth, _Place] = {}
        self._timer: IDelayedCall | None = None

    async def run(
        self,
        warmth: Warmth,
        program: Program,
        on_output: Callable[[bytes], None] | None = None,
    ) -> Exit:
        """Run to the end, warm when that can be."""
        if not self._is_warm:
            return await self._runtime.processes.run(program, on_output)
        place = self._places.setdefault(warmth, _Place())
        place.run_count += 1
        place.used_at = self._runtime.clock.seconds()
        place.running_count += 1
        try:
            lease = await self._lease(warmth, place, program)
            if lease is None:
                return await self._runtime.processes.run(program, on_output)
            try:
                return await lease.server.run(program, on_output)
            except ForkRefused as refusal:
                self._warn(warmth, str(refusal))
                return await self._runtime.processes.run(program, on_output)
            except ForkServerLost as loss:
                self._warn(warmth, str(loss))
                return await self._run_alone(warmth, program, on_output)
        finally:
            place.running_count -= 1
            place.used_at = self._runtime.clock.seconds()

    async def stop(self) -> None:
        """End all servers, and what still runs in them."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        for warmth in tuple(self._places):
            await self._end(warmth)

    async def _lease(
        self, warmth: Warmth, place: _Place, program: Program
    ) -> _Lease | None:
        """The server for this program; ``None`` when it is to run cold."""
        now = self._runtime.clock.seconds()
        if place.run_count <= self._cold_runs or now < place.cold_until:
            return None
        wanted = Identity(program.uid, program.gid)
        # One start at a time; the others then find the server.
        await place.lock.acquire()
        try:
            lease = place.lease
            if lease is not None and lease.server.is_alive:
                if not lease.identities or wanted in lease.identities:
                    return lease
                if place.running_count > 1:
                    return None  # others still run in the one that must go
            if lease is not None:
                await lease.server.stop()
            place.lease = None
            await self._make_room(warmth)
            try:
                place.lease = await self._start(warmth, wanted)
            except ForkServerUnavailable as error:
                place.cold_until = now + UNAVAILABLE_SECONDS
                self._warn(warmth, str(error))
            self._watch_idleness()
            return place.lease
        finally:
            place.lock.release()

    async def _start(self, warmth: Warmth, wanted: Identity) -> _Lease:
        fork_server = self._platform.shim("fork_server")
        identities: frozenset[Identity] = frozenset()
        if self._platform.uid == ROOT:
            owner = self._owner(warmth.release_path)
            identities = frozenset(self._partition_owners()) | {wanted}
            settings = warmth.settings(owner, identities)
            # The interpreter of a release is not run as root, only the agent's own.
            python: tuple[str, ...] = (self._platform.python, "-I")
        else:
            settings = warmth.settings()
            python = warmth.python
        starting: Deferred[IForkServer] = self._runtime.processes.start_fork_server(
            Program(
                (*python, fork_server, settings, warmth.shim),
                directory=warmth.release_path,
                environment=clean_environment(warmth.release_path),
                # What it compiles is read by the users of partitions.
                umask=0o022,
                timeout_seconds=PREPARE_SECONDS_MAX,
            )
        )
        return _Lease(await starting, identities)

    def _owner(self, release_path: str) -> Identity:
        status = self._runtime.file_tree(release_path).status("")
        if status is None or ROOT in {status.uid, status.gid}:
            raise ForkServerUnavailable(f"{release_path} belongs to root or is missing")
        return Identity(status.uid, status.gid)

    def _partition_owners(self) -> Iterable[Identity]:
        for name in self._instance_tree.list():
            status = self._instance_tree.status(name)
            if (
                status is not None
                and status.kind is FileKind.DIRECTORY
                and ROOT not in {status.uid, status.gid}
            ):
                yield Identity(status.uid, status.gid)

    async def _run_alone(
        self,
        warmth: Warmth,
        program: Program,
        on_output: Callable[[bytes], None] | None,
    ) -> Exit:
        """Once more, in a server that nobody else loses."""
        try:
            lease = await self._start(warmth, Identity(program.uid, program.gid))
        except ForkServerUnavailable:
            return await self._runtime.processes.run(program, on_output)
        try:
            return await lease.server.run(program, on_output)
        except (ForkRefused, ForkServerLost) as error:
            output = f"{error}\nit ended the process that it was forked from\n".encode()
            return Exit(1, output=output, output_bytes_total=len(output))
        finally:
            await lease.server.stop()

    async def _make_room(self, warmth: Warmth) -> None:
        """End what this one replaces, and the idlest when there are too many."""
        for other in tuple(self._places):
            if (
                other != warmth
                and other.release_path == warmth.release_path
                and other.stamp != warmth.stamp
                and not self._places[other].running_count
            ):
                await self._end(other)
        idle = sorted(
            (place.used_at, other)
            for other, place in self._places.items()
            if place.lease is not None and not place.running_count
        )
        alive_count = sum(place.lease is not None for place in self._places.values())
        for _, other in idle[: max(0, alive_count + 1 - SERVERS_MAX)]:
            await self._end(other)

    async def _end(self, warmth: Warmth) -> None:
        place = self._places.pop(warmth)
        if place.lease is not None:
            await place.lease.server.stop()

    def _watch_idleness(self) -> None:
        if self._timer is None or not self._timer.active():
            self._timer = self._runtime.clock.callLater(IDLE_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        self._timer = None
        limit = self._runtime.clock.seconds() - IDLE_SECONDS
        for warmth, place in tuple(self._places.items()):
            if place.used_at <= limit and not place.running_count:
                Deferred.fromCoroutine(self._end(warmth))
        if any(place.lease is not None for place in self._places.values()):
            self._watch_idleness()

    def _warn(self, warmth: Warmth, reason: str) -> None:
        self._runtime.log.warn(  # noqa: G010 - Twisted's name
            "no warm process for {release}, so cold: {reason}",
            release=warmth.release_path,
            reason=reason[-300:],
        )
