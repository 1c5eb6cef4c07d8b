"""Shell. A cloud of three regions that hosts itself, for a life of its upgrades.

Each region has a computer with the agent of production, and a replica, which is a
program of the computer and has a host of its own here. The replicas stand on one
memory, which the regions let be reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, field

from labsim.computers import Computer
from labsim.documents import Seen
from labsim.lives.bootstrap_store import ReplicaStore
from labsim.lives.masters import PORT, url_of_master
from labsim.lives.upgrade_passes import HostedPasses, is_region_program
from labsim.lives.upgrade_regions import Region, Regions
from labsim.models.buildout import BuildoutModel
from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.service import build_service
from runtime.ports import Runtime, TcpAddress
from slap import calls
from slap.calls import Call
from slap.errors import NotReady
from slap.model import InstanceRequest, SoftwareInstallation
from slap.release_sums import (
    FINGERPRINT_FILE,
    SUMS_FILE,
    fingerprint_of,
    render_sums,
)
from slap.replicas import ListedReplica, Replicas
from slap.reports import TreeReport
from slapcluster.bootstrap.wanted_cloud import release_url_of
from slapgrid.passes import ExitStatus
from slapgrid.slap_client import SlapClient

REGIONS = ("paris", "lyon", "tokyo")
DESK = "desk"
DIRECTOR = "director"
BEGINNER = "beginner"
TITLE = "cloud"
PARTITIONS = 4
BUILDING_SECONDS = 4.0
RECHECK_SECONDS = 15.0
LOOK_SECONDS = 0.25
REPLICA_SECONDS = 1.0
BEGIN_SECONDS_MAX = 600.0
PUSHED = "/srv/releases"


def computer_of(region: str) -> str:
    return f"COMP-{region}"


def replica_of(region: str) -> str:
    return f"replica of {region}"


def make_release(directory: Path, text: str) -> str:
    """Fill a directory with a small release; return the address that it has."""
    content = f"# {text}\n"
    file = directory / "software/master-cluster/software.cfg"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    sums = render_sums({str(file.relative_to(directory)): digest})
    directory.joinpath(SUMS_FILE).write_text(sums)
    directory.joinpath(FINGERPRINT_FILE).write_text(f"{fingerprint_of(sums)}\n")
    return release_url_of(fingerprint_of(sums))


@define(eq=False)
class Place:
    """All hosts of it."""

    world: World
    first_url: str
    bad_urls: frozenset[str]
    tell: Callable[[Seen], None]
    regions: Regions = field(init=False)
    store: ReplicaStore = field(init=False)
    passes: dict[str, HostedPasses] = field(factory=dict)
    _computers: dict[str, Computer] = field(factory=dict)
    _replicas: set[str] = field(factory=set)
    _cut_off: set[str] = field(factory=set)
    _is_begun: bool = False
    is_over: bool = False

    def __attrs_post_init__(self) -> None:
        world = self.world
        for name in (DIRECTOR, DESK, BEGINNER):
            world.host(name)
        for region in REGIONS:
            world.host(computer_of(region), region)
            world.host(replica_of(region), region)
        self.regions = Regions(
            world.clock.seconds,
            {
                it: Region(it, number, self.first_url)
                for number, it in enumerate(REGIONS, start=1)
            },
        )
        self.store = ReplicaStore(lambda: None)

    @property
    def listed(self) -> tuple[ListedReplica, ...]:
        hosts = {it: self.world.host(replica_of(it)) for it in REGIONS}
        return tuple(ListedReplica(url_of_master(hosts[it]), it) for it in REGIONS)

    @property
    def replica_urls(self) -> dict[str, str]:
        return {it.region: it.url for it in self.listed}

    # -- the beginning

    def begin(self) -> None:
        """Have a cloud that hosts itself, as a bootstrap leaves it."""
        self._begin_state()
        for region in REGIONS:
            self._boot_replica(region)
        self.world.run_for(2.0)
        for region in REGIONS:
            self._begin_computer(region)
        client = self.asking()
        for region in REGIONS:
            computer_id = computer_of(region)
            for call in (
                calls.set_computer_attributes(computer_id, {"region": region}),
                calls.supply(SoftwareInstallation(self.first_url, computer_id)),
            ):
                self._ask(client, call)
        parameters = {"regions": " ".join(REGIONS), "storage": "join"}
        wanted = InstanceRequest(TITLE, self.first_url, parameters=parameters)
        self._ask(client, calls.request_instance(wanted))
        self.world.run_until(self._has_begun, BEGIN_SECONDS_MAX)
        self.world.result(client.close())
        self._is_begun = True
        self._look_on()
        self.world.run_for(5.0)
        self.regions.begin()

    def _begin_state(self) -> None:
        host = self.world.host(BEGINNER)
        config = Config(
            "memory:", TcpAddress(host.address, PORT), is_loopback_only=False
        )
        opening = partial(self.store.open_database, BEGINNER)
        host.boot(lambda it: build_service(config, it, opening=opening))
        self.world.run_for(1.0)
        self.world.result(host.stop_services())

    def _begin_computer(self, region: str) -> None:
        name = computer_of(region)
        host = self.world.host(name)
        settings: dict[str, Any] = {
            "computer_id": name,
            "region": region,
            "recheck_seconds": RECHECK_SECONDS,
        }
        urls = dict.fromkeys((self.replica_urls[region], *self.replica_urls.values()))
        computer = self._computers[region] = Computer(
            host,
            tuple(urls),
            BuildoutModel(BUILDING_SECONDS, breaks=self._breaks(region)),
            PARTITIONS,
            settings,
            tell=self.tell,
        )
        passes = self.passes[region] = HostedPasses(
            host,
            computer.config,
            self.regions,
            self.replica_urls,
            self._begin_replica,
            self._end_replica,
            self.world.entropy("passes", region),
            self.bad_urls,
        )
        passes.add_to_host()
        assert self.world.result(computer.format()) is ExitStatus.OK
        computer.boot()

    def _breaks(self, region: str) -> Callable[[str], bool]:
        def breaks(directory: str) -> bool:
            # Its passes need the settings of its agent: they come to be after it.
            return self.passes[region].breaks(directory)

        return breaks

    def _has_begun(self) -> bool:
        return all(self._runs(it) and self.regions.regions[it].runs for it in REGIONS)

    # -- replicas

    def _begin_replica(self, region: str, release_url: str) -> None:
        """The programs of a region are there, those of a release."""
        own = self.regions.regions[region]
        own.is_running, own.runs = True, release_url
        host = self.world.host(replica_of(region))
        if not host.is_up:
            host.boot()

    def _end_replica(self, region: str) -> None:
        own = self.regions.regions[region]
        own.is_running, own.runs = False, ""
        host = self.world.host(replica_of(region))
        if self._is_begun and host.is_up:
            host.kill()

    def _boot_replica(self, region: str) -> None:
        name = replica_of(region)
        host = self.world.host(name)
        config = Config(
            "memory:",
            TcpAddress(host.address, PORT),
            is_loopback_only=False,
            documents_directory="/srv/documents",
            pushed_directory=PUSHED,
            announced=ListedReplica(url_of_master(host), region),
            receives=True,
        )

        def build(runtime: Runtime) -> Any:
            return build_service(
                config,
                runtime,
                opening=partial(self.store.open_database, name),
                opening_storage=partial(self.store.open_storage, name, runtime),
            )

        host.boot(build)

    # -- what follows from who is there

    def _look_on(self) -> None:
        if self.is_over:
            return
        for region in REGIONS:
            if self.regions.regions[region].is_running and not self._runs(region):
                self._end_replica(region)
        self.regions.look()
        for region in REGIONS:
            own = self.regions.regions[region]
            is_reached = self.regions.has_quorum and own.is_there
            name = replica_of(region)
            if not is_reached and region not in self._cut_off:
                self._cut_off.add(region)
                self.store.cut_off(name)
            elif is_reached and region in self._cut_off:
                self._cut_off.discard(region)
                self.store.find(name)
        self.later(LOOK_SECONDS, self._look_on)

    def _runs(self, region: str) -> bool:
        host = self.world.host(computer_of(region))
        return host.is_up and any(is_region_program(it) for it in host.running_programs)

    def later(self, seconds: float, call: Callable[..., Any], *arguments: Any) -> None:
        clock = self.world.host(DIRECTOR).runtime.clock
        clock.callLater(seconds, call, *arguments)

    def cut(self, region: str) -> None:
        self.world.sever(region)
        self.regions.regions[region].is_severed = True

    def heal(self, region: str) -> None:
        self.world.heal(region)
        self.regions.regions[region].is_severed = False

    # -- who asks

    def asking(self, name: str = "judge") -> SlapClient:
        urls = tuple(self.replica_urls.values())
        return SlapClient(self.world.host(name).runtime, Replicas(urls))

    def tree(self, client: SlapClient) -> TreeReport:
        found = self.world.result(client.perform(calls.get_tree_report(TITLE)))
        assert isinstance(found, TreeReport)
        return found

    def _ask(self, client: SlapClient, call: Call) -> None:
        try:
            self.world.result(client.perform(call))
        except NotReady:
            """It has no partition yet."""

    def close(self) -> None:
        self.is_over = True
        for region in REGIONS:
            self.world.result(self._computers[region].stop(), 200)
