"""Shell. What releases of the master do on a computer, under the agent of production.

The agent has a partition of the master made, as any other: what buildout, the recipes
and `slapcluster hosted` would do there is done here, with the cores of production, and
so are the programs that it starts then. Keys, links and NEO are left out; what NEO says
is what the regions are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from labsim.lives.upgrade_regions import Regions
from labsim.world.host import Host, Process
from replication.links import LinkedRegion
from replication.neo.neoctl import ask
from runtime.http_client import ConnectionFailed, HttpClient
from runtime.ports import Exit, IFileTree, Program, Runtime
from slap import calls
from slap.calls import Call
from slap.errors import NotReady, SlapError
from slap.model import (
    InstanceRequest,
    Partition,
    PartitionInstance,
    PartitionKey,
    RequestedInstance,
)
from slap.replicas import Replicas
from slap.reports import TreeReport
from slapcluster.hosting.configuring import HELD, read_in_force, read_settled
from slapcluster.hosting.judging import (
    Judgement,
    judge_lag,
    judge_quorum,
    judge_regions,
    judge_replica,
)
from slapcluster.hosting.layout import (
    DIRECTORIES,
    IN_FORCE_FILE,
    PROMISE_DIRECTORY,
    REGIONS_FILE,
    ROOT_PROMISE,
    SERVICE_DIRECTORY,
)
from slapcluster.hosting.outlook import RELEASE_PATH
from slapcluster.hosting.places import FIRST_PORT, LINKED, REPLICA, Place
from slapcluster.hosting.planning import InForce, plan_prover, render_in_force
from slapcluster.hosting.proving import have_leg_proved
from slapcluster.hosting.restarting import obstacle_to_restart
from slapcluster.hosting.rolling import Roll, decide_roll, read_legs
from slapcluster.hosting.wanted import (
    PublishedRegion,
    WantedRegion,
    WantedRoot,
    describe_root,
    read_region,
    read_root,
    render_published,
    summarise,
)
from slapgrid.config import Config
from slapgrid.layout import BUILDOUT_CFG
from slapgrid.slap_client import SlapClient

READ_SECONDS = (0.3, 3.0)
"""From the begin of a pass until it asks what is wanted: buildout reads a profile."""

NEOCTL_SECONDS = 0.3
STARTING_SECONDS = 2.0
"""From the begin of the programs of a region until they are there."""

AGAIN_SECONDS = 2.0
CERTIFICATE = "-----END CERTIFICATE-----\n"
_URL = re.compile(r"^software-release-url = (.*)$", re.MULTILINE)
_PROGRAMS = f"/{SERVICE_DIRECTORY}/programs-"
_PROVER = f"/{SERVICE_DIRECTORY}/prover-"


def decide(
    release_url: str, wanted: WantedRoot, told: tuple[Any, ...]
) -> tuple[Roll, Mapping[str, Any]]:
    """What the root of this release asks its regions now, and what it knows of them."""
    known = read_legs(told)
    return decide_roll(release_url, wanted.numbers, known), known


def is_region_program(program: Program) -> bool:
    return _PROGRAMS in program.argv[0]


def is_prover(program: Program) -> bool:
    return _PROVER in program.argv[0]


@define(eq=False)
class HostedPasses:
    """Those of one computer, which is of one region."""

    host: Host
    config: Config
    regions: Regions
    replica_urls: Mapping[str, str]
    begin_replica: Callable[[str, str], None]
    end_replica: Callable[[str], None]
    entropy: Random
    bad_urls: frozenset[str] = frozenset()
    """Releases whose programs never come to run well."""

    held: str = ""
    """What the root said last that its roll waits for, when it is here."""

    def add_to_host(self) -> None:
        self.host.add_behaviour(self._is_pass, self._pass)
        self.host.add_behaviour(is_region_program, self._run_region)
        self.host.add_behaviour(is_prover, self._run_prover)
        self.host.add_behaviour(_is_neoctl, self._answer)

    def breaks(self, directory: str) -> bool:
        """Whether the promise of a partition is broken."""
        tree = self.host.pending_files(directory)
        if tree.status(REGIONS_FILE) is not None:
            told = json.loads(tree.read(REGIONS_FILE))
            judged = judge_regions(
                told["names"], told["published"], told["pending"], told["held"]
            )
            return not judged.is_kept
        before = read_in_force(tree)
        return (
            before is not None and not self.regions.regions[before.name].has_everything
        )

    # -- passes

    def _is_pass(self, program: Program) -> bool:
        is_buildout = any(it.endswith("/buildout_shim.py") for it in program.argv)
        if not is_buildout or "-N" in program.argv:
            return False
        return self._release_of(program.directory).endswith(RELEASE_PATH)

    def _release_of(self, directory: str) -> str:
        """The release that a pass is of: what the agent knew when it began."""
        content = self.host.pending_files(directory).read(BUILDOUT_CFG).decode()
        found = _URL.search(content)
        return found[1] if found else ""

    async def _pass(self, program: Program, process: Process) -> Exit:
        await process.sleep(self.entropy.uniform(*READ_SECONDS))
        home = program.directory
        release_url = self._release_of(home)
        key = PartitionKey(self.config.computer_id, home.rpartition("/")[2])
        client = self._client()
        try:
            partition = await client.perform(calls.get_partition(key))
            assert isinstance(partition, Partition)
            instance = partition.instance
            if instance is None:
                return Exit(1, output=b"it holds no instance\n")
            configure = (
                self._configure_region
                if instance.software_type == "region"
                else self._configure_root
            )
            obstacle = await configure(
                process, client, self._place(home, release_url), key, instance
            )
        except SlapError as error:
            obstacle = error.sentence
        finally:
            await client.close()
        return Exit(1 if obstacle else 0, output=f"{obstacle}\n".encode())

    def _client(self) -> SlapClient:
        # Of the host: whoever is killed amid a call has no port left open then.
        urls = dict.fromkeys((*self.config.master_urls, *self.replica_urls.values()))
        return SlapClient(self.host.runtime, Replicas(tuple(urls)))

    def _place(self, home: str, release_url: str) -> Place:
        name = hashlib.sha256(release_url.encode()).hexdigest()[:8]
        below = f"{self.config.software_root}/{name}"
        return Place(
            home,
            "10.0.0.1",
            self.host.address,
            FIRST_PORT,
            "python3",
            f"{below}/bin",
            "stunnel",
            f"{below}/release",
            release_url,
        )

    async def _configure_root(
        self,
        process: Process,
        client: SlapClient,
        place: Place,
        key: PartitionKey,
        instance: PartitionInstance,
    ) -> str:
        wanted = read_root(instance.parameters)
        told = await client.perform(calls.get_requested(key))
        assert isinstance(told, TreeReport)
        roll, known = decide(place.release_url, wanted, told.instances)
        asked = {name: it.asked.release_url for name, it in known.items()}
        same = describe_root(wanted, roll)
        published: dict[str, Mapping[str, str]] = {}
        for name, leg in roll.legs.items():
            each = roll.document()[name]
            region = known.get(name)
            if region is not None and region.asked != leg:
                self.regions.note_asked(name, asked, leg.release_url)
            parameters = {
                "region": name,
                **{it: same[it] for it in ("storage", "neo-cluster")},
                **each["parameters"],  # type: ignore[dict-item] # as the recipe reads it
            }
            asked_for = InstanceRequest(
                name,
                str(each["software-url"]),
                "region",
                parameters,
                {"region": name},
                requester=key,
            )
            try:
                answer = await client.perform(calls.request_instance(asked_for))
            except NotReady:
                continue
            assert isinstance(answer, RequestedInstance)
            published[name] = answer.connection_parameters
        self.held = roll.held
        missing = [it for it in roll.legs if not published.get(it, {}).get("address")]
        document = {
            "names": list(roll.legs),
            "held": roll.held,
            "published": published,
            "pending": dict.fromkeys(missing, "it has not published yet"),
        }
        tree = process.host.runtime.file_tree(place.home)
        _make(tree, (PROMISE_DIRECTORY,))
        tree.write(REGIONS_FILE, json.dumps(document, default=dict).encode())
        _write(tree, f"{PROMISE_DIRECTORY}/{ROOT_PROMISE}", "#!/bin/sh\n")
        await _publish(client, key, instance, summarise(published))
        return ""

    async def _configure_region(
        self,
        process: Process,
        client: SlapClient,
        place: Place,
        key: PartitionKey,
        instance: PartitionInstance,
    ) -> str:
        wanted = read_region(instance.parameters)
        runtime = process.host.runtime
        tree = runtime.file_tree(place.home)
        _make(tree, DIRECTORIES)
        _make(tree, (PROMISE_DIRECTORY,))
        before, settled = read_in_force(tree), read_settled(tree)
        answer = None
        if before is not None:
            (answer,) = await ask(runtime, (before.admin_node,))
        obstacle = obstacle_to_restart(
            before, wanted, place.release_url, settled, answer
        )
        if obstacle:
            return f"{HELD}: {obstacle}."
        if before is None or before.release_url != place.release_url:
            self.regions.let_go(wanted.name, place.release_url)
        own = self._publication(wanted, place, settled)
        programs = {
            f"programs-{place.bin_directory.split('/')[-2]}": place.release_url,
            **plan_prover(place, wanted, settled),
        }
        for name, content in programs.items():
            _write(tree, f"{SERVICE_DIRECTORY}/{name}", content)
        for name in tree.list(SERVICE_DIRECTORY):
            if name not in programs:
                tree.remove(f"{SERVICE_DIRECTORY}/{name}")
        _write(tree, f"{PROMISE_DIRECTORY}/lag", "#!/bin/sh\n")
        in_force = InForce(
            wanted.name,
            wanted.number,
            # Links are left out, so each one knows all.
            {
                it: evolve(own, linked=evolve(own.linked, name=it))
                for it in wanted.root.names
            },
            admin_node=wanted.name,
            store_uri="memory:",
            release_url=place.release_url,
            leg=wanted.leg,
        )
        tree.write(IN_FORCE_FILE, render_in_force(in_force), 0o640)
        await _publish(client, key, instance, render_published(own))
        return ""

    def _publication(
        self, wanted: WantedRegion, place: Place, settled: str
    ) -> PublishedRegion:
        ports = {it: place.outside(it).port for it in (*LINKED, REPLICA)}
        linked = LinkedRegion(wanted.name, place.ipv6, (CERTIFICATE,), ports)
        return PublishedRegion(
            linked,
            is_created=True,
            replica_url=self.replica_urls[wanted.name],
            release_url=place.release_url,
            settled=settled,
        )

    # -- programs

    async def _run_region(self, program: Program, process: Process) -> Exit:
        """The NEO and the replica of a region, of which ``regions`` know the rest."""
        content = self._read(program)
        name = self.host.region
        self.end_replica(name)
        await process.sleep(STARTING_SECONDS)
        if content not in self.bad_urls:
            self.begin_replica(name, content)
        await Deferred()
        return Exit(0)

    async def _run_prover(self, program: Program, process: Process) -> Exit:
        content = self._read(program)
        leg = content.split()[-1]
        runtime = evolve(process.host.runtime, clock=process.clock)

        async def check(_: Runtime, name: str, home: str) -> Judgement:
            return await self._check(self.host.runtime, name, home)

        async def bang(_: Runtime, home: str, message: str) -> None:
            taken = self.regions.regions[self.host.region].taken
            # One of an earlier leg runs until the agent has ended it.
            if self._place(home, taken).bin_directory in content:
                self.regions.note_proved(self.host.region)
            key = PartitionKey(self.config.computer_id, home.rpartition("/")[2])
            await self._bang(process, calls.bang_instance(key, message))

        await have_leg_proved(runtime, program.directory, leg, check, bang)
        return Exit(0)

    def _read(self, program: Program) -> str:
        return self.host.pending_files("/").read(program.argv[0].lstrip("/")).decode()

    async def _bang(self, process: Process, call: Call) -> None:
        while True:
            client = self._client()
            try:
                await client.perform(call)
            except SlapError:
                await deferLater(process.clock, AGAIN_SECONDS)
            else:
                return
            finally:
                await client.close()

    async def _check(self, runtime: Runtime, name: str, home: str) -> Judgement:
        in_force = read_in_force(runtime.file_tree(home))
        if in_force is None:
            return Judgement(is_kept=False, sentence="nothing was configured yet")
        if name == "replica":
            return await _look_at_replica(runtime, in_force)
        if name in {"quorum", "lag"}:
            (answer,) = await ask(runtime, (in_force.admin_node,))
            if name == "lag":
                return judge_lag(in_force, answer)
            return judge_quorum(in_force, answer, "", "")
        return Judgement(is_kept=True, sentence="it is left out here")

    async def _answer(self, program: Program, process: Process) -> Exit:
        await process.sleep(NEOCTL_SECONDS)
        names = program.argv[program.argv.index("look") + 1 :]
        return Exit(0, output=self.regions.encode(names))


async def _look_at_replica(runtime: Runtime, in_force: InForce) -> Judgement:
    client = HttpClient(runtime, None)
    url = in_force.own.replica_url
    try:
        reply = await client.send("GET", f"{url}/readyz", timeout_seconds=10.0)
        refusal = "" if reply.status == 200 else reply.body.decode()  # noqa: PLR2004
    except ConnectionFailed as error:
        refusal = str(error)
    finally:
        await client.close()
    return judge_replica(url, refusal.strip())


async def _publish(
    client: SlapClient,
    key: PartitionKey,
    instance: PartitionInstance,
    told: Mapping[str, str],
) -> None:
    if dict(instance.connection_parameters) != dict(told):
        await client.perform(calls.publish_connection(key, told))


def _is_neoctl(program: Program) -> bool:
    return "replication.neo.neoctl" in program.argv and "look" in program.argv


def _make(tree: IFileTree, directories: tuple[str, ...]) -> None:
    for it in directories:
        if tree.status(it) is None:
            tree.make_directory(it, 0o750)


def _write(tree: IFileTree, path: str, content: str) -> None:
    if tree.status(path) is None or tree.read(path) != content.encode():
        tree.write(path, content.encode(), 0o755)
