"""Shell. Where a bootstrap is played: an operator's desk, and computers in regions.

The command and its mini-master are of one machine, the desk. The mini-master is a child
of the command, so it ends with it; here it has a host of its own, with the files of the
desk, so that it alone may be killed. Its store is a real file, in a directory of this
machine: what a power loss leaves of such a file is the life of commits.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from ZODB.DB import DB  # type: ignore[import-untyped]

from labsim.computers import Computer
from labsim.documents import OfAgent, Seen, Took
from labsim.lives.bootstrap_store import ReplicaStore
from labsim.lives.masters import PORT, url_of_master
from labsim.models.buildout import BuildoutModel
from labsim.models.hosted_master import HostedMaster
from labsim.world.host import Host, Process
from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.service import build_service
from master_cluster.store.storages import open_database
from runtime.certificates import render_request
from runtime.identity_directory import IdentityDirectory
from runtime.ports import Exit, Program, Runtime, TcpAddress
from slap import calls
from slap.admissions import Admission
from slap.errors import SlapError
from slap.replicas import ListedReplica, Replicas
from slapcluster.bootstrap.home import STATE_FILE, Home
from slapcluster.bootstrap.mini_master import MiniMaster
from slapcluster.bootstrap.wanted_cloud import WantedCloud, WantedComputer
from slapgrid.neighbours.lock import Lock
from slapgrid.passes import ExitStatus
from slapgrid.slap_client import SlapClient

REGIONS = ("paris", "lyon", "tokyo")
DESK = "desk"
MINI_MASTER = "mini-master"
DIRECTOR = "director"
"""The host of whoever breaks things; nothing breaks it."""

RELEASE = "http://releases.example/master-cluster/software.cfg"
PARTITIONS = 5
BUILDING_SECONDS = 8.0
STARTING_SECONDS = (0.5, 2.0)
"""Of the program of a mini-master."""

JOINING_SECONDS = (0.5, 3.0)
"""Of a command that has a computer join."""

REPLICA_SECONDS = 5.0
"""From a signed key to a replica that listens: links, NEO, a program."""

PIECE_BYTES = 30_000
"""Of a copy, in one call: the state of a life is small, and is to come in pieces."""

SIGN_SECONDS = 5
IDENTITY_DIRECTORY = "/etc/slapos/identity"
"""Of a computer, where its agent has joined."""


class LaboratoryCloud(WantedCloud):
    """A cloud whose mini-master speaks no TLS: handshakes follow from no seed."""

    @property
    def mini_master_url(self) -> str:
        return f"http://{self.listen}"


class SmallPieces(MiniMaster):
    """The mini-master of production; a copy of it is read in small pieces."""

    def read_copy(self, offset: int, byte_count: int) -> bytes:
        return super().read_copy(offset, min(byte_count, PIECE_BYTES))


def _tell_nobody() -> None:
    """Nobody wants to know."""


@define(eq=False)
class Site:
    """A computer, its agent and the instances of the master on it."""

    title: str
    region: str
    computer_id: str = ""
    computer: Computer | None = None
    etag: str = ""
    """Of the document that its agent took last."""


def host_of(title: str) -> str:
    return f"computer-{title}"


def replica_of(region: str) -> str:
    return f"replica of {region}"


@define(eq=False)
class Place:
    """All hosts of a bootstrap. ``root`` is a directory of this machine."""

    world: World
    root: Path
    titles: dict[str, str]
    """Regions of computers, by their titles."""

    tell: Callable[[Seen], None]
    tell_opened: Callable[[], None] = _tell_nobody
    """Told when the state in the store of the replicas is served from then on."""

    tell_committed: Callable[[], None] = _tell_nobody
    """Told when the mini-master has committed something."""

    entropy: Random = field(init=False)
    store: ReplicaStore = field(init=False)
    sites: dict[str, Site] = field(factory=dict)
    cloud: WantedCloud = field(init=False)
    _mini_masters: list[DB] = field(factory=list)
    _is_mini_master_booted: bool = False
    _replicas: set[str] = field(factory=set)
    _holder: Any = None

    def __attrs_post_init__(self) -> None:
        self.entropy = self.world.entropy("place")
        self.store = ReplicaStore(self._tell_opened)
        for name in (DIRECTOR, DESK, MINI_MASTER):
            self.world.host(name)
        for title, region in self.titles.items():
            self.world.host(host_of(title), region)
            self.sites[title] = Site(title, region)
        for region in REGIONS:
            self.world.host(replica_of(region), region)
        self.desk.add_behaviour(_is_mini_master, self._run_mini_master)
        self.desk.add_behaviour(lambda it: it.argv[0] == "ssh", self._have_join)
        self.cloud = LaboratoryCloud(
            "cloud",
            self.world.host(MINI_MASTER).address,
            PORT,
            tuple(
                WantedComputer(it.title, it.region, ("ssh", it.title, "slapcluster"))
                for it in self.sites.values()
            ),
            RELEASE,
        )
        self.home_path.mkdir()
        self.home_path.joinpath(STATE_FILE).parent.mkdir()

    def _tell_opened(self) -> None:
        self.tell_opened()

    @property
    def desk(self) -> Host:
        return self.world.host(DESK)

    @property
    def home_path(self) -> Path:
        """The home of the bootstrap: large files here, all others on the desk."""
        return self.root / "home"

    @property
    def state_path(self) -> Path:
        return self.home_path / STATE_FILE

    def home(self) -> Home:
        """The home as it is on the desk."""
        return Home(self.desk.runtime, str(self.home_path), hold=self._hold)

    # -- the desk

    def _hold(self, _: str) -> Lock | None:
        """Lock the home; the kernel drops it with whoever has it."""
        if self._holder is not None:
            return None
        hold = self._holder = _Hold(self)
        return hold

    def let_go(self, hold: object = None) -> None:
        if hold in (None, self._holder):
            self._holder = None

    def kill_desk(self, *, is_power: bool) -> None:
        """End the command and its mini-master, or take the power of their machine."""
        for host in (self.desk, self.world.host(MINI_MASTER)):
            if host.is_up:
                host.crash() if is_power else host.kill()
        self._close_mini_masters()
        self.let_go()

    def kill_mini_master(self) -> None:
        """End the mini-master alone, if it runs."""
        if self.desk.is_up and self.desk.kill_programs(_is_mini_master):
            self._end_mini_master()

    @property
    def mini_master_runs(self) -> bool:
        return bool(self._mini_masters)

    @property
    def mini_master_database(self) -> DB | None:
        return self._mini_masters[-1] if self._mini_masters else None

    async def _run_mini_master(self, program: Program, process: Process) -> Exit:
        await process.sleep(self.entropy.uniform(*STARTING_SECONDS))
        self._begin_mini_master(program)
        try:
            await Deferred()
        except CancelledError:
            await self.world.host(MINI_MASTER).stop_services()
            self._end_mini_master()
        return Exit(0)

    def _begin_mini_master(self, program: Program) -> None:
        words = program.argv[program.argv.index("master") + 1 :]
        given = dict(zip(words[::2], words[1::2], strict=True))
        host, _, port = given["--listen"].rpartition(":")
        config = Config(
            given["--store"],
            TcpAddress(host.strip("[]"), int(port)),
            is_loopback_only=False,
            identity_directory=given["--identity"],
            documents_directory=given["--documents"],
        )

        def build(runtime: Runtime) -> Any:
            # Its files are those of the desk.
            shared = evolve(runtime, file_tree=self.desk.runtime.file_tree)
            return build_service(config, shared, opening=self._open_mini_master)

        found = self.world.host(MINI_MASTER)
        if not self._is_mini_master_booted:
            self._is_mini_master_booted = True
            if not found.is_up:
                found.boot()
            found.boot(build)
        else:
            found.boot()

    def _open_mini_master(self, uri: str, calendar: Any) -> DB:
        database = open_database(uri, calendar)
        self._mini_masters.append(database)
        database.storage.listen(lambda _: self.tell_committed())
        return database

    def _end_mini_master(self) -> None:
        host = self.world.host(MINI_MASTER)
        if host.is_up:
            host.kill()
        self._close_mini_masters()

    def _close_mini_masters(self) -> None:
        """Let the next one have the file, as the kernel does."""
        while self._mini_masters:
            self._mini_masters.pop().storage.close()

    # -- computers

    async def _have_join(self, program: Program, process: Process) -> Exit:
        """What ``slapcluster node join`` does at a computer; the agent waits for it."""
        _, title, *_ = program.argv
        token = program.argv[program.argv.index("join") + 2]
        site = self.sites[title]
        host = self.world.host(host_of(title))
        await process.sleep(self.entropy.uniform(*JOINING_SECONDS))
        if not host.is_up:
            return Exit(255, output=b"no route to host\n")
        directory = IdentityDirectory(host.runtime.file_tree(IDENTITY_DIRECTORY))
        directory.tree.make_directory("", 0o700)
        key = directory.make_key(host.runtime.keys.new_private_key)
        asked = calls.join(token, title, render_request(key, "a computer"))
        client = SlapClient(host.runtime, Replicas((self.cloud.mini_master_url,)))
        try:
            admission = await client.perform(asked)
        except SlapError as error:
            return Exit(1, output=f"{error.sentence}\n".encode())
        finally:
            await client.close()
        assert isinstance(admission, Admission)
        if site.computer is None:
            site.computer_id = admission.computer_id
            site.computer = self._build_computer(site)
            formatted = await site.computer.format()
            if formatted is not ExitStatus.OK:
                site.computer = None
                return Exit(1, output=b"it is not formatted\n")
            self._boot_computer(site)
        answer = json.dumps({"computer_id": admission.computer_id}, indent=1)
        return Exit(0, output=f"{answer}\n".encode())

    def _build_computer(self, site: Site) -> Computer:
        settings = {
            "computer_id": site.computer_id,
            "region": site.region,
            "recheck_seconds": 60.0,
            "sign_seconds": SIGN_SECONDS,
        }

        def tell(seen: OfAgent) -> None:
            if isinstance(seen, Took):
                site.etag = seen.etag
                self.tell(evolve(seen, computer=site.computer_id))

        return Computer(
            self.world.host(host_of(site.title)),
            (self.cloud.mini_master_url,),
            BuildoutModel(BUILDING_SECONDS, has_promises=False),
            PARTITIONS,
            settings,
            tell=tell,
        )

    def _boot_computer(self, site: Site) -> None:
        assert site.computer is not None
        site.computer.boot()
        config = site.computer.config
        site.computer.host.boot(
            lambda runtime: HostedMaster(
                runtime,
                config,
                IDENTITY_DIRECTORY,
                RELEASE,
                lambda: site.etag,
                self._begin_replica,
            )
        )

    # -- replicas

    @property
    def listed(self) -> tuple[ListedReplica, ...]:
        """All replicas, wherever they are."""
        hosts = {it: self.world.host(replica_of(it)) for it in REGIONS}
        return tuple(ListedReplica(url_of_master(hosts[it]), it) for it in REGIONS)

    @property
    def replica_urls(self) -> tuple[str, ...]:
        return tuple(it.url for it in self.listed)

    def _begin_replica(self, region: str) -> str:
        host = self.world.host(replica_of(region))
        if region not in self._replicas:
            self._replicas.add(region)
            clock = self.world.host(DIRECTOR).runtime.clock
            clock.callLater(REPLICA_SECONDS, self._boot_replica, region)
        return url_of_master(host)

    def _boot_replica(self, region: str) -> None:
        name = replica_of(region)
        host = self.world.host(name)
        config = Config(
            "memory:",
            TcpAddress(host.address, PORT),
            is_loopback_only=False,
            documents_directory=str(self.root / name),
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

        if not host.is_up:
            host.boot()
        host.boot(build)

    def cut(self, region: str) -> None:
        self.world.sever(region)
        self.store.cut_off(replica_of(region))

    def heal(self, region: str) -> None:
        self.world.heal(region)
        self.store.find(replica_of(region))

    async def close(self) -> None:
        for site in self.sites.values():
            if site.computer is not None:
                await site.computer.stop()


class _Hold:
    """The lock of a home; whoever was killed has none any more."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def release(self) -> None:
        self._place.let_go(self)


def _is_mini_master(program: Program) -> bool:
    return "master" in program.argv and "--store" in program.argv
