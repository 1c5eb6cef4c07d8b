"""Which replicas callers are told of, by all replicas."""

from __future__ import annotations

from functools import partial

import pytest

from labsim.stores import open_untold_memory
from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.service import build_service
from runtime.ports import TcpAddress
from slap import calls
from slap.errors import Refusal
from slap.polling import Unchanged
from slap.replicas import REPLICA_COUNT_MAX, ListedReplica, Replicas, ReplicasReport
from slapgrid.slap_client import SlapClient
from tests.builders import COMPUTER_ID, a_computer_definition
from tests.unit.master_cluster.benches import StoreBench

REGIONS = ("eu", "us")


class Masters:
    """A replica in each region, each of which tells of itself, and a client."""

    def __init__(self) -> None:
        self.world = World(0)
        self._open = open_untold_memory()
        self.listed = []
        for region in REGIONS:
            host = self.world.host(f"master of {region}")
            self.listed.append(ListedReplica(f"http://[{host.address}]:5000", region))
            self.boot(region)
        self.urls = tuple(it.url for it in self.listed)
        self.client = self.build_client("us")
        definition = calls.define_computer(a_computer_definition(1))
        self.world.result(self.client.perform(definition))

    def boot(self, region: str) -> None:
        host = self.world.host(f"master of {region}")
        (own,) = (it for it in self.listed if it.region == region)
        config = Config(
            "memory:",
            TcpAddress(host.address, 5000),
            is_loopback_only=False,
            announced=own,
        )
        host.boot(partial(build_service, config, opening=self._open))
        self.world.run_for(1)

    def build_client(self, region: str) -> SlapClient:
        """One that knows the first replica alone."""
        runtime = self.world.host("computer").runtime
        return SlapClient(runtime, Replicas(self.urls[:1]), region=region)

    def poll(self) -> object:
        return self.world.result(self.client.poll(COMPUTER_ID))

    def close(self) -> None:
        self.world.result(self.client.close())
        self.world.finish()


@pytest.fixture
def masters():
    masters = Masters()
    yield masters
    masters.close()


def asked(masters: Masters) -> str:
    """Where the client polled last."""
    return masters.client._polled_url  # noqa: SLF001 - no other way to see


def test_who_polls_learns_of_all_replicas_and_prefers_its_own_region(
    masters: Masters,
) -> None:
    masters.poll()
    assert masters.client.listed == tuple(masters.listed)
    assert asked(masters) == masters.urls[0]

    assert masters.poll() == Unchanged()
    assert asked(masters) == masters.urls[1]


def test_a_replica_that_is_forgotten_is_told_of_by_nobody(masters: Masters) -> None:
    """Until it begins again; what is configured is asked for ever."""
    masters.poll()
    gone, left = masters.urls
    report = masters.world.result(masters.client.perform(calls.forget_replica(gone)))
    assert report == ReplicasReport((masters.listed[1],))

    masters.poll()
    assert [it.url for it in masters.client.listed] == [left]
    masters.world.host("master of us").kill()
    masters.poll()
    assert asked(masters) == gone

    masters.world.host("master of eu").kill()
    masters.world.host("master of eu").boot()
    masters.world.run_for(1)
    masters.poll()
    assert masters.client.listed == tuple(masters.listed)


def test_what_is_told_already_is_not_written() -> None:
    bench = StoreBench()
    one = ListedReplica("http://[::1]:5000", "eu")
    bench.decide(lambda cloud, _: cloud.replicas.announce(one))
    before = bench.decide(lambda cloud, _: cloud.replicas.oid)
    tid = bench.world.result(bench.store.ask_dated(lambda _: None)).tid

    bench.decide(lambda cloud, _: cloud.replicas.announce(one))
    bench.decide(lambda cloud, _: cloud.replicas.forget("http://[::2]"))

    assert bench.world.result(bench.store.ask_dated(lambda _: None)).tid == tid
    assert bench.decide(lambda cloud, _: cloud.replicas.oid) == before


def test_replicas_are_bounded() -> None:
    bench = StoreBench()
    for number in range(REPLICA_COUNT_MAX):
        it = ListedReplica(f"http://[::{number + 1}]", "eu")
        bench.decide(lambda cloud, _, it=it: cloud.replicas.announce(it))

    another = ListedReplica("http://[::ffff]", "eu")
    with pytest.raises(Refusal, match="replica forget"):
        bench.decide(lambda cloud, _: cloud.replicas.announce(another))
