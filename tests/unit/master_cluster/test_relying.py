"""What a transaction relies on is as it was, or it is not made."""

from __future__ import annotations

import pytest
import transaction
from BTrees.OOBTree import OOBTree
from ZODB.DB import DB
from ZODB.MappingStorage import MappingStorage
from ZODB.POSException import ReadConflictError

from master_cluster.store.relying import rely_on_member
from master_cluster.store.schema import hashed

LEVELS = [0, 5, 100, 10_000]
"""Counts of keys: none, one bucket within the tree, several, and trees of trees."""


def commit_while_somebody_adds(count: int, relied: str, added: str) -> None:
    """Rely on a key, and let somebody else add one before the commit."""
    database = DB(MappingStorage())
    with database.transaction() as connection:
        connection.root.tree = OOBTree({hashed(str(it)): it for it in range(count)})
        connection.root.written = 0
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    assert hashed(relied) not in connection.root.tree
    rely_on_member(connection.root.tree, hashed(relied))
    connection.root.written = 1
    with database.transaction() as other:
        other.root.tree[hashed(added)] = added
    try:
        manager.commit()
    finally:
        manager.abort()
        connection.close()
        database.close()


@pytest.mark.parametrize("count", LEVELS)
@pytest.mark.parametrize("title", ["one", "two"])
def test_a_key_that_is_added_meanwhile_is_a_conflict(count: int, title: str) -> None:
    with pytest.raises(ReadConflictError):
        commit_while_somebody_adds(count, title, title)


def test_a_key_of_another_bucket_is_in_nobodys_way() -> None:
    commit_while_somebody_adds(10_000, "one", "two")
