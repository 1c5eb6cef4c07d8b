"""Shell. Starts, stops and looks at the regions of a neo_cluster.

Whatever is killed, the next start or stop finds how things are and goes on from there:
nothing is kept but the description, and each supervisord says itself what it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from attrs import frozen
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol

from replication.answers import Answer
from replication.neo.neoctl import ask
from replication.programs import DATABASE, VERDICT_FILE
from replication.regions import Misdescribed, NeoCluster, ProgramKind, split_address
from replication.sight import (
    CONNECTED,
    NeoClusterSeen,
    RegionFound,
    SupervisordSeen,
    is_failing,
    is_settled,
    look_at,
)
from runtime.ports import Runtime, TcpAddress
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.regions.places import Place
from slapcluster.regions.supervising import RegionSupervisor
from slapcluster.regions.verdicts import read_verdict

START_SECONDS_MAX = 60.0
"""Three Python programs a region, an election and a verification: 2 to 4 s."""

FAILING_SECONDS_MAX = 10.0
"""Three restarts of a program that ends at once; the rest of a minute says no more."""

PORT_SECONDS_MAX = 2.0
"""The kernel needs an instant to end programs whose supervisord was killed."""

OUTDATE_SECONDS_MAX = 5.0
"""For a primary to notice that a storage node has left: it closed its connections."""

POLL_SECONDS = 0.2

Say = Callable[[str], None]


@frozen
class Regions:
    """A neo_cluster and the supervisords of its regions."""

    place: Place
    neo_cluster: NeoCluster

    @property
    def runtime(self) -> Runtime:
        return self.place.runtime

    def names(self, chosen: str | None) -> tuple[str, ...]:
        """The chosen region, or all; fails when there is none of the name."""
        if chosen is None:
            return tuple(region.name for region in self.neo_cluster.regions)
        try:
            return (self.neo_cluster.region(chosen).name,)
        except Misdescribed as error:
            raise CommandFailed(f"{self.place.path}: {error}.") from error

    def supervisor(self, name: str) -> RegionSupervisor:
        return RegionSupervisor(self.runtime, name, self.place.region_path(name))

    async def supervisords(
        self, names: Iterable[str]
    ) -> dict[str, SupervisordSeen | None]:
        """What supervisords of these regions say, asked at once."""
        wanted = tuple(names)
        seen = await gatherResults(
            [Deferred.fromCoroutine(self.supervisor(it).look()) for it in wanted]
        )
        return dict(zip(wanted, seen, strict=True))

    async def look(self) -> NeoClusterSeen:
        """All that is seen now, within a bound whatever does not answer."""
        _, seen = await self.ask_and_look()
        return seen

    async def ask_and_look(self) -> tuple[tuple[Answer, ...], NeoClusterSeen]:
        """What admin nodes say, and all that is seen, this included."""
        supervisords = await self.supervisords(self.names(None))
        answers = await self.answers(
            name for name, seen in supervisords.items() if seen is not None
        )
        found = {
            name: self._find(name, is_answering=seen is not None)
            for name, seen in supervisords.items()
        }
        return answers, look_at(
            self.neo_cluster, self.place.path, supervisords, answers, found
        )

    def _find(self, name: str, *, is_answering: bool) -> RegionFound:
        """What is known of a region that no program of it says."""
        return RegionFound(
            read_verdict(self.place.tree, f"{name}/{VERDICT_FILE}"),
            self._free_bytes(name),
            None if is_answering else self.supervisor(name).find_hung(),
        )

    def _free_bytes(self, name: str) -> int | None:
        try:
            return self.place.tree.subtree(name).free_bytes()
        except OSError:
            # Its directory is gone, or was not made yet.
            return None

    async def answers(self, names: Iterable[str]) -> tuple[Answer, ...]:
        """What the admin nodes of these regions say."""
        admin_nodes = [self.neo_cluster.region(it).admin_node for it in names]
        return await ask(self.runtime, admin_nodes) if admin_nodes else ()

    async def start(self, names: tuple[str, ...], say: Say) -> None:
        """Have all programs of these regions run, and return when they do."""
        supervisords = await self.supervisords(names)
        await self._check_ports(supervisords)
        for name, seen in supervisords.items():
            if seen is None:
                say(f"starting region {name}")
                region = self.neo_cluster.region(name)
                await self.supervisor(name).boot(self.neo_cluster, region)
            elif not all(it.is_running for it in seen.programs):
                say(f"starting the programs of region {name} that do not run")
                await self.supervisor(name).start_programs()

    async def until_whole(self, names: tuple[str, ...], say: Say) -> NeoClusterSeen:
        """Wait until these regions have all, or nothing more comes of it soon."""

        def are_whole(seen: NeoClusterSeen, names: Collection[str]) -> bool:
            return all(it.is_whole for it in seen.regions if it.name in names)

        return await self.until_settled(names, say, are_whole)

    async def until_settled(
        self,
        names: tuple[str, ...],
        say: Say,
        is_enough: Callable[[NeoClusterSeen, Collection[str]], bool] = is_settled,
    ) -> NeoClusterSeen:
        """Wait until it runs with these regions, or nothing more comes of it."""
        begun = self.runtime.clock.seconds()
        while True:
            seen = await self.look()
            seconds = self.runtime.clock.seconds() - begun
            if is_enough(seen, names) or seconds > START_SECONDS_MAX:
                return seen
            if is_failing(seen, names) and seconds > FAILING_SECONDS_MAX:
                return seen
            say(f"the neo_cluster is {seen.cluster_state or 'without an admin node'}")
            await pause(self.runtime.clock, POLL_SECONDS)

    async def stop(self, names: tuple[str, ...], say: Say) -> tuple[str, ...]:
        """Stop these regions in order; give the names of those that ran."""
        supervisords = await self.supervisords(names)
        running = tuple(it for it, seen in supervisords.items() if seen is not None)
        others = await self.running_but(names)
        if others:
            # The primary outdates the cells of what leaves: it must still be there.
            await self._stop_kind(ProgramKind.STORAGE_NODE, running, say)
            await self._until_outdated(running, others)
        # Without a primary nobody outdates the cells of whoever stops first.
        for kind in (
            *(ProgramKind.ADMIN_NODE, ProgramKind.NEO_MASTER),
            ProgramKind.STORAGE_NODE,
        ):
            await self._stop_kind(kind, running, say)
        for name in names:
            await self.supervisor(name).end()
        return running

    async def running_but(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The other regions that run."""
        others = [it for it in self.names(None) if it not in names]
        seen = await self.supervisords(others)
        return tuple(it for it in others if seen[it] is not None)

    async def _stop_kind(
        self, kind: ProgramKind, names: tuple[str, ...], say: Say
    ) -> None:
        if names:
            say(f"stopping each {kind}")
        await gatherResults(
            [
                Deferred.fromCoroutine(self.supervisor(it).stop_program(kind))
                for it in names
            ]
        )

    async def _until_outdated(
        self, stopped: tuple[str, ...], others: tuple[str, ...]
    ) -> None:
        """Give a primary the time to notice; go on in any case."""
        deadline = self.runtime.clock.seconds() + OUTDATE_SECONDS_MAX
        while stopped and self.runtime.clock.seconds() < deadline:
            answers = await self.answers(others)
            seen = look_at(
                self.neo_cluster,
                self.place.path,
                dict.fromkeys(self.names(None)),
                answers,
            )
            left = {it.name for it in seen.regions if it.node_state in CONNECTED}
            if not left & set(stopped):
                return
            await pause(self.runtime.clock, POLL_SECONDS)

    def check_databases(self, names: Iterable[str]) -> None:
        """Fail when a storage node would come back without what it had."""
        for region in map(self.neo_cluster.region, names):
            path = f"{region.name}/{DATABASE}"
            if region.storage_node_id and self.place.tree.status(path) is None:
                raise CommandFailed(
                    f"{self.place.path}/{path} is gone: put it back. When it is lost, "
                    f"`slapcluster storage replace {self.place.path} --region "
                    f"{region.name}` makes another one."
                )

    async def _check_ports(
        self, supervisords: dict[str, SupervisordSeen | None]
    ) -> None:
        """Fail when a port of a program that does not run is taken."""
        deadline = self.runtime.clock.seconds() + PORT_SECONDS_MAX
        for name, seen in supervisords.items():
            running = {it.kind for it in seen.programs if it.pid} if seen else set()
            for kind, address in self.neo_cluster.region(name).addresses.items():
                while kind not in running and not await is_free(self.runtime, address):
                    if self.runtime.clock.seconds() > deadline:
                        raise CommandFailed(
                            f"Port {split_address(address)[1]} is taken by another "
                            f"program: the {kind} of {name} listens on {address}."
                        )
                    await pause(self.runtime.clock, POLL_SECONDS)


async def is_free(runtime: Runtime, address: str) -> bool:
    """Whether a program could listen there now."""
    endpoint = runtime.network.server_endpoint(TcpAddress(*split_address(address)))
    try:
        port = await endpoint.listen(Factory.forProtocol(Protocol))
    except CannotListenError:
        return False
    await maybeDeferred(port.stopListening)
    return True
