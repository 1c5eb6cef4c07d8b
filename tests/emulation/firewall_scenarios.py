"""The rules of the agent in a real kernel.

Run by ``test_firewall.py`` as root of a user and network namespace of its own.
"""

from __future__ import annotations

import json
import socket
import subprocess  # noqa: TID251 - ip is a program
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import frozen

from runtime.real import build_runtime
from slap.model import (
    Computer,
    NetworkAddress,
    Partition,
    PartitionInstance,
    PartitionKey,
    RequestedState,
)
from slap.replicas import Replicas
from slapgrid.config import Config
from slapgrid.convergence.plans import wanted_stamp
from slapgrid.grants.filtering import Filtering
from slapgrid.grants.settings import GrantSettings
from slapgrid.layout import RULESET_FILE, TREE_ADDRESSES_FILE, WHITELIST_FILE
from slapgrid.service import observe_platform
from slapgrid.slap_client import SlapClient
from tests.reactor import ReactorBench

OURS, TREE, STRANGER = "10.9.0.1", "10.9.0.2", "10.9.0.3"
NOWHERE = "http://127.0.0.1:9"


@frozen
class Bench:
    """A computer with one partition, whose user is whoever runs the test."""

    run_real: ReactorBench
    root: Path
    config: Config
    filtering: Filtering
    port: int

    def apply(self, *partitions: Partition) -> None:
        async def applying() -> None:
            await self.filtering.apply(Computer("COMP-1", partitions))

        self.run_real(applying())

    def reaches(self, target: str, source: str = "0.0.0.0") -> bool:
        with socket.socket() as client:
            client.settimeout(2)
            client.bind((source, 0))
            return client.connect_ex((target, self.port)) == 0

    def matrix(self) -> list[bool]:
        """Who reaches us: the tree, and a stranger."""
        return [self.reaches(OURS, TREE), self.reaches(OURS, STRANGER)]


def a_partition(**allocation_filter: str) -> Partition:
    instance = PartitionInstance(
        "SOFTINST-1",
        "t",
        "t",
        "http://release/x.cfg",
        "default",
        "1",
        allocation_filter=allocation_filter,
    )
    return Partition(
        PartitionKey("COMP-1", "slappart1"),
        RequestedState.STARTED,
        (NetworkAddress("route_slaptap1", OURS),),
        instance,
    )


def a_bench(run_real: ReactorBench, root: Path, grants: GrantSettings) -> Bench:
    config = Config(
        "COMP-1", (NOWHERE,), str(root / "s"), str(root / "i"), grants=grants
    )
    runtime = build_runtime(run_real.reactor)
    client = SlapClient(runtime, Replicas(config.master_urls))
    filtering = Filtering(config, runtime, observe_platform(), client)
    (root / "i" / "slappart1").mkdir(parents=True, exist_ok=True)
    return Bench(run_real, root / "i", config, filtering, 7000)


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    """Three addresses, a listener on each."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    with ExitStack() as listeners:
        for address in (OURS, TREE, STRANGER):
            argv = ["ip", "address", "replace", f"{address}/32", "dev", "lo"]
            subprocess.run(argv, check=True)
            listener = socket.create_server((address, 7000), backlog=64)
            listeners.enter_context(listener)
        yield


def test_a_whitelist_is_obeyed_as_long_as_it_is_there(
    run_real: ReactorBench, tmp_path: Path
) -> None:
    """Listed or not; a list that cannot be read lets nothing out; without, all."""
    bench = a_bench(run_real, tmp_path, GrantSettings(("whitelistfirewall",)))
    path = bench.root / "slappart1" / WHITELIST_FILE

    bench.apply(a_partition())
    assert [bench.reaches(TREE), bench.reaches(STRANGER)] == [True, True]
    path.write_text(json.dumps([TREE]))
    bench.apply(a_partition())
    assert [bench.reaches(TREE), bench.reaches(STRANGER)] == [True, False]
    path.write_text("[")
    bench.apply(a_partition())
    assert [bench.reaches(TREE), bench.reaches(STRANGER)] == [False, False]
    assert "is no JSON" in bench.filtering.refusals["slappart1"]
    path.unlink()
    bench.apply(a_partition())
    assert [bench.reaches(TREE), bench.reaches(STRANGER)] == [True, True]
    assert not (bench.root / RULESET_FILE).exists()


def test_an_address_of_a_route_is_reached_by_its_tree_alone(
    run_real: ReactorBench, tmp_path: Path
) -> None:
    """Unless its filter is off; the master is away, what it said once is on disk."""
    bench = a_bench(run_real, tmp_path, GrantSettings(firewall_command="firewall-cmd"))
    closed = a_partition()
    off = a_partition(fw_restricted_access="off", fw_rejected_sources=STRANGER)
    known = {"slappart1": [wanted_stamp(closed), [OURS, TREE]]}
    path = bench.root / TREE_ADDRESSES_FILE
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(known))

    bench.apply(closed)
    assert bench.matrix() == [True, False]
    bench.apply(off)
    assert bench.matrix() == [True, False]
    bench.apply(a_partition(fw_authorized_sources=STRANGER))
    assert bench.matrix() == [True, True]
    bench.apply(a_partition(fw_restricted_access="off"))
    assert bench.matrix() == [True, True]
    bench.apply(a_partition(fw_authorized_sources="everybody"))
    assert bench.matrix() == [True, False]
    assert "fw_authorized_sources must name" in bench.filtering.refusals["slappart1"]


def test_rules_are_back_after_a_boot_without_a_master(
    run_real: ReactorBench, tmp_path: Path
) -> None:
    """Before anything is started."""
    grants = GrantSettings(("whitelistfirewall",))
    bench = a_bench(run_real, tmp_path, grants)
    (bench.root / "slappart1" / WHITELIST_FILE).write_text(json.dumps([TREE]))
    bench.apply(a_partition())
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    assert bench.reaches(STRANGER)

    async def restoring() -> None:
        await a_bench(run_real, tmp_path, grants).filtering.restore()

    run_real(restoring())

    assert [bench.reaches(TREE), bench.reaches(STRANGER)] == [True, False]


def test_other_tables_are_left_alone(run_real: ReactorBench, tmp_path: Path) -> None:
    """Ours alone is replaced and removed."""
    subprocess.run(["nft", "add", "table", "inet", "theirs"], check=True)
    bench = a_bench(run_real, tmp_path, GrantSettings(("whitelistfirewall",)))
    path = bench.root / "slappart1" / WHITELIST_FILE
    path.write_text("[]")
    bench.apply(a_partition())
    path.unlink()
    bench.apply(a_partition())

    listed = subprocess.run(
        ["nft", "list", "tables"], check=True, capture_output=True, text=True
    )
    assert listed.stdout == "table inet theirs\n"
