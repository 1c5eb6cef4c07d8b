"""Memory in little room gives back what memory gives back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ZODB.Connection import TransactionMetaData
from ZODB.utils import p64

from labsim.compact_storage import CompactStorage
from labsim.world.world import World
from master_cluster.store.storages import MemoryStorage

COMMON = bytes(range(256)) * 4
"""What versions of an object have in common."""

COMMITS = st.lists(
    st.dictionaries(
        st.integers(0, 3),
        st.tuples(st.integers(0, len(COMMON)), st.binary(max_size=20)),
        min_size=1,
    ),
    max_size=12,
)


def commit(
    storage: MemoryStorage, serials: dict[int, bytes], written: dict[int, bytes]
) -> bytes:
    """Write all of it upon ``serials``, which are of what is there."""
    transaction = TransactionMetaData()
    storage.tpc_begin(transaction)
    for number, data in written.items():
        serial = serials.get(number, p64(0))
        storage.store(p64(number), serial, data, "", transaction)
    storage.tpc_vote(transaction)
    tid: bytes = storage.tpc_finish(transaction)
    serials.update(dict.fromkeys(written, tid))
    return tid


def filled(
    kind: type[MemoryStorage], commits: list[dict[int, tuple[int, bytes]]]
) -> tuple[MemoryStorage, list[bytes]]:
    """A storage with these commits, and their transactions."""
    storage = kind(World(1).host("master").calendar)
    serials: dict[int, bytes] = {}
    tids = [
        commit(
            storage,
            serials,
            {
                number: COMMON[:place] + data + COMMON[place:]
                for number, (place, data) in written.items()
            },
        )
        for written in commits
    ]
    return storage, tids


@given(COMMITS)
def test_each_version_is_what_was_written(commits) -> None:
    whole, tids = filled(MemoryStorage, commits)
    compact, same = filled(CompactStorage, commits)
    assert same == tids

    for number in range(4):
        oid = p64(number)
        if any(number in written for written in commits):
            for tid in [*tids, p64(2**64 - 1)]:
                assert compact.loadBefore(oid, tid) == whole.loadBefore(oid, tid)
            kept = [it["tid"] for it in compact.history(oid, size=100)]
            assert kept == [it["tid"] for it in whole.history(oid, size=100)]
            for tid in kept:
                assert compact.loadSerial(oid, tid) == whole.loadSerial(oid, tid)


def test_versions_that_differ_in_little_take_little() -> None:
    commits = [{0: (number, b"changed")} for number in range(100)]

    whole, _ = filled(MemoryStorage, commits)
    compact, _ = filled(CompactStorage, commits)

    # The rest is what a version costs without its data.
    assert whole.getSize() > 100 * len(COMMON)
    assert compact.getSize() < whole.getSize() / 5


def test_transactions_that_are_not_kept_are_not_made_up() -> None:
    compact, _ = filled(CompactStorage, [{0: (0, b"")}])

    with pytest.raises(NotImplementedError, match="transactions are not kept"):
        compact.iterator()
