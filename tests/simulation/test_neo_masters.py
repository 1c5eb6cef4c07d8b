"""Two masters of a simulated cloud on one simulated neo_cluster."""

from __future__ import annotations

import pytest
from ZODB.utils import p64  # type: ignore[import-untyped]

from labsim.computers import Computer
from labsim.models.buildout import BuildoutModel
from labsim.models.neo.neo_cluster import NeoCluster, StartedSuspendable
from labsim.models.neo.storage_disk import Vote
from labsim.world.world import World
from master_cluster import config as master_config
from master_cluster.service import build_service as build_master
from runtime.ports import TcpAddress
from slap import calls, model
from slap.model import SoftwareInstallation
from slap.replicas import Replicas
from slapgrid.passes import ExitStatus
from slapgrid.slap_client import SlapClient

PORT = 5000
URLS = tuple(f"http://releases.example/{n}.cfg" for n in range(12))
WHOLE_SECONDS_MAX = 60.0


class Masters:
    """A neo_cluster, two masters on it, a computer, and a person for each master."""

    def __init__(self, seed: int) -> None:
        self.world = world = World(seed)
        self.neo_cluster = NeoCluster(
            [world.host(f"neo-master-{it}") for it in (1, 2, 3)],
            [(it, world.host(f"storage-{it}")) for it in (1, 2, 3)],
        )
        self.neo_cluster.boot()
        world.run_until(self.neo_cluster.is_whole, WHOLE_SECONDS_MAX)
        self.urls = [self._boot_master(f"master-{it}") for it in (1, 2)]
        world.run_for(10.0)
        computer = Computer(
            world.host("COMP-0"), self.urls[:1], BuildoutModel(), partition_count=2
        )
        assert world.result(computer.format()) is ExitStatus.OK
        runtime = world.host("person").runtime
        self.persons = [SlapClient(runtime, Replicas((url,))) for url in self.urls]

    def perform(self, master: int, call: calls.Call) -> object:
        return self.world.result(self.persons[master].perform(call), 200.0)

    def installed(self, master: int) -> set[str]:
        found = self.perform(master, calls.get_computer("COMP-0"))
        assert isinstance(found, model.Computer)
        return {it.software_release_url for it in found.installations}

    def finish(self) -> None:
        for person in self.persons:
            self.world.result(person.close())
        self.world.finish()

    def _boot_master(self, name: str) -> str:
        host = self.world.host(name)
        config = master_config.Config(
            "neo:lab@[::1]:2051",
            TcpAddress(host.address, PORT),
            is_loopback_only=False,
        )
        host.boot(
            lambda runtime: StartedSuspendable(
                build_master(config, runtime, self.neo_cluster.opening(runtime))
            )
        )
        return f"http://[{host.address}]:{PORT}"


def supply(number: int) -> calls.Call:
    return calls.supply(SoftwareInstallation(URLS[number], "COMP-0"))


@pytest.mark.parametrize("seed", [1, 2])
def test_what_one_master_wrote_the_other_one_reads(seed: int) -> None:
    masters = Masters(seed)

    for number in range(4):
        masters.perform(number % 2, supply(number))
        assert masters.installed((number + 1) % 2) == set(URLS[: number + 1])

    masters.finish()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_masters_go_on_without_the_primary(seed: int) -> None:
    """Commits that its end leaves in doubt are found, or made again."""
    masters = Masters(seed)
    place = masters.neo_cluster.primary_place()
    assert place is not None
    primary = masters.neo_cluster.neo_master_hosts[place]
    asked = [masters.persons[n % 2].perform(supply(n)) for n in range(len(URLS))]

    masters.world.run_for(0.1 * seed)
    primary.kill()
    for answer in asked:
        masters.world.result(answer, 200.0)

    assert masters.installed(0) == masters.installed(1) == set(URLS)
    primary.boot()
    masters.world.run_until(masters.neo_cluster.is_whole, WHOLE_SECONDS_MAX)
    masters.world.run_for(5.0)
    masters.finish()
    first, *others = masters.neo_cluster.disks
    assert all(it.committed == first.committed for it in others)


class Reader:
    """Who asks a storage node, and what it says."""

    def __init__(self) -> None:
        self.is_over = False
        self.sent: list[tuple[object, ...]] = []

    def send(self, *message: object) -> None:
        self.sent.append(message)

    def close(self) -> None:
        self.is_over = True


def test_what_is_locked_is_not_read_as_of_before_either() -> None:
    """Its reader may have heard of the lock's commit, and would keep what is over.

    Seed 34 of `links` found it: a master gave an agent an older instance for ever.
    """
    masters = Masters(5)
    node = masters.neo_cluster.storage_node(0)
    disk, oid = masters.neo_cluster.disks[0], p64(0)
    late = p64(2**63)
    disk.votes[late] = Vote(((oid, b"later"),), (b"", b"", b""))
    node._writers[oid] = late  # noqa: SLF001 - as after a lock, before its end
    disk.locks[late] = late
    reader = Reader()

    node.heard(reader, ("load", 1, oid, p64(2**62)))  # type: ignore[arg-type]

    assert reader.sent == []
    del disk.votes[late], disk.locks[late]
    node._release(late)  # noqa: SLF001
    ((verb, number, _),) = reader.sent
    assert (verb, number) == ("answer", 1)
    masters.finish()
