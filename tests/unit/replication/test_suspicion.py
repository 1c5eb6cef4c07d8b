"""What a recovery waits for is said with whom it may not wait for."""

from __future__ import annotations

from replication.observation import Claim, Table, TableId, build_row
from replication.quorum import Wait, find_source

OURS = Table(TableId(4, 1), (build_row([100_001, 200_001, 300_001]),))
FOREIGN = Table(TableId(9, 0), (build_row([100_777, 200_777, 300_777]),))
LATER = Table(TableId(9, 0), (build_row([100_777, 200_001, 300_001]),))


def test_a_later_table_of_strangers_is_named() -> None:
    """All of ours are there, and wait: the later table may be the right one."""
    ours = [Claim(it, 4, OURS) for it in sorted(OURS.holders)]

    found = find_source([*ours, Claim(100_777, 9, FOREIGN)])

    assert found == Wait(
        "regions [1] of [1, 2, 3]: 2 are needed. Storage nodes [100777] have a later "
        "table, in which the others have no cell: stop them if they are of another "
        "neo_cluster"
    )


def test_a_later_table_with_one_of_ours_is_no_stranger() -> None:
    found = find_source([Claim(100_001, 4, OURS), Claim(100_777, 9, LATER)])

    assert found == Wait("regions [1] of [1, 2, 3]: 2 are needed")
