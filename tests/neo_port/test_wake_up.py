"""A change at one replica wakes the polls that wait at another, over a real NEO."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.neo_port.test_cluster import NAME, NeoCluster
from tests.neo_port.wakes import HOST, Replica, wake_seconds
from tests.programs import eventually, free_port, is_listening, running

BIN = Path(__file__).parents[2] / "bin"
PROGRAM = (sys.executable, "-c", "from slapcluster.cli import main; main()")
START_SECONDS_MAX = 30.0

WAKES = 50
WAKE_SECONDS_MAX = 1.0
"""D5 of the architecture."""


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    """Two masters, each a process of its own, on one neo_cluster."""
    with ExitStack() as stack:
        neo = NeoCluster(tmp_path, BIN, stack)
        masters = neo.master_nodes.replace(" ", ",")
        ports = (free_port(), free_port())
        for port in ports:
            argv = (*PROGRAM, "proxy", "--store", f"neo:{NAME}@{masters}")
            argv += ("--listen", f"{HOST}:{port}")
            stack.enter_context(running(argv, tmp_path / f"master-{port}.log"))
        for port in ports:
            eventually(
                lambda at=port: is_listening(HOST, at), START_SECONDS_MAX, "a master"
            )
        yield Replica(ports[0]), Replica(ports[1])


def test_a_change_wakes_waiting_polls_of_another_replica_within_a_second(
    replicas: tuple[Replica, Replica],
) -> None:
    seconds = sorted(wake_seconds(*replicas, WAKES))

    sys.stdout.write(
        f"woken after {seconds[WAKES // 2]:.3f} s in the median,"
        f" {seconds[-1]:.3f} s at worst of {WAKES}\n"
    )
    assert seconds[-1] < WAKE_SECONDS_MAX
