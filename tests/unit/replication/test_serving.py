"""What a primary may do with its table, as an object of NEO."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from neo.lib.exception import StoppedOperation
from neo.lib.node import NodeManager
from neo.lib.protocol import CellStates, ClusterStates, NodeStates

from replication.neo.recovering import Recovering
from replication.neo.serving import QuorumTable, StorageService, Transactions
from replication.neo.views import view_partition_table
from replication.observation import COUNTER_MAX, TableId, encode_table_id

STORAGES = (100_001, 200_001, 300_001)


def a_table(counter: int = 0, running: tuple[int, ...] = STORAGES) -> QuorumTable:
    """Three regions with a readable copy of two neo_partitions each."""
    nodes = NodeManager()
    for number, storage in enumerate(STORAGES):
        wanted = NodeStates.RUNNING if storage in running else NodeStates.DOWN
        address = ("127.0.0.1", 20_000 + number)
        nodes.createStorage(uuid=storage, address=address, state=wanted)
    table = QuorumTable(2, 2)
    row = [(storage, CellStates.UP_TO_DATE) for storage in STORAGES]
    table.load(encode_table_id(TableId(2, counter)), 2, [row, row], nodes)
    return table


def test_the_last_table_of_an_epoch_is_followed_by_a_recovery() -> None:
    """Its successor would read as one of an epoch that nobody promised."""
    almost, last = a_table(COUNTER_MAX - 1), a_table(COUNTER_MAX)

    almost.setNextID()

    assert view_partition_table(almost).table_id == TableId(2, COUNTER_MAX)
    with pytest.raises(StoppedOperation):
        last.setNextID()


@pytest.mark.parametrize(
    ("running", "excluded", "is_operational"),
    [
        (STORAGES, (), True),
        (STORAGES[1:], (), True),
        (STORAGES[2:], (), False),
        (STORAGES, STORAGES[:1], True),
        (STORAGES[1:], STORAGES[1:2], False),
    ],
)
def test_a_table_works_with_a_majority(
    running: tuple[int, ...], excluded: tuple[int, ...], is_operational: bool
) -> None:
    """One readable copy is enough for NEO."""
    assert a_table(running=running).operational(excluded) is is_operational


class Begun(Exception):
    """A recovery has begun."""


def a_primary(cluster_state: Any) -> SimpleNamespace:
    """As much of one as is asked; with one transaction that waits for its locks."""

    def begin() -> None:
        raise Begun

    def acknowledge(txn: object) -> None:
        pytest.fail(f"{txn} is acknowledged")

    primary = SimpleNamespace(
        tm=Transactions(acknowledge),
        cluster_state=cluster_state,
        seconds=lambda: 0.0,
        listening_conn=SimpleNamespace(setHandler=lambda _: None),
        newPartitionTable=begin,
    )
    # A whole transaction would need clients, storage nodes and their votes.
    primary.tm._ttid_dict[b"ttid"] = SimpleNamespace(lock=lambda _: True)  # noqa: SLF001
    primary.tm._queue.append(b"ttid")  # noqa: SLF001
    return primary


def test_a_lock_that_is_answered_after_a_recovery_began_acknowledges_nothing() -> None:
    """A primary that was stopped for a while finds both in its buffers."""
    primary = a_primary(ClusterStates.RECOVERING)
    service = StorageService(primary)
    storage = SimpleNamespace(getUUID=lambda: STORAGES[0])
    with pytest.raises(Begun):
        Recovering(primary).run()

    service.answerInformationLocked(storage, b"ttid")
    service.answerRecovery(storage, 0, None, None)
