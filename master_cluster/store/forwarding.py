"""Shell. What was forwarded to other masters, within one transaction.

Keys are hashes of the tree and the title, so that concurrent requests write different
buckets. ``leaving`` has the keys of those whose removal is not settled: after a crash
it is where to go on. ``trees`` has the keys of a tree, by the guid of its root.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

from BTrees.OOBTree import OOBTree, OOTreeSet  # type: ignore[import-untyped]
from persistent import Persistent  # type: ignore[import-untyped]

from master_cluster.forwarding import ForwardedInstance, decide_leaving
from master_cluster.store.relying import rely_on, rely_on_member
from master_cluster.store.schema import Stored, StoredCloud, hashed

MASTER_ID_BITS = 62
"""Of chance; a first revision is drawn from as many, and grows."""


class StoredForwarding(Persistent):  # type: ignore[misc] # persistent has no types
    """Everything that was forwarded; ``master_id`` names this store among masters."""

    def __init__(self, master_id: str) -> None:
        self.master_id = master_id
        self.forwarded = OOBTree()
        self.trees = OOBTree()
        self.leaving = OOTreeSet()


def drawn_master_id(entropy: Random) -> str:
    return f"{entropy.getrandbits(MASTER_ID_BITS):016x}"


class Forwarding:
    """The forwarded instances of one snapshot."""

    def __init__(self, stored: StoredCloud) -> None:
        self._cloud = stored

    def name(self, drawn_id: str) -> str:
        """Return what this master is called; ``drawn_id`` when it has no name yet."""
        if self._stored is None:
            self._cloud.forwarding = StoredForwarding(drawn_id)
        assert self._stored is not None
        return self._stored.master_id

    def find(self, root_guid: str, title: str) -> ForwardedInstance | None:
        return self._read(_key(root_guid, title))

    def rely_on_absence(self, root_guid: str, title: str) -> None:
        """Let the transaction fail when somebody else forwards a title meanwhile."""
        if self._stored is None:
            rely_on(self._cloud)
        else:
            rely_on_member(self._stored.forwarded, _key(root_guid, title))

    def of_tree(self, root_guid: str) -> tuple[ForwardedInstance, ...]:
        """Return what a tree forwarded, by title; of persons with an empty guid."""
        if self._stored is None:
            return ()
        found = map(self._read, self._stored.trees.get(root_guid, ()))
        return tuple(sorted(filter(None, found), key=lambda it: it.title))

    def count(self, root_guid: str) -> int:
        if self._stored is None:
            return 0
        return len(self._stored.trees.get(root_guid, ()))

    def leaving(self, after: str, limit: int) -> dict[str, ForwardedInstance]:
        """Return some whose removal is not settled, by their keys, which follow."""
        found = {key: self._read(key) for key in islice(self._keys(after), limit)}
        return {key: it for key, it in found.items() if it is not None}

    def has_leaving(self) -> bool:
        return next(self._keys(""), None) is not None

    def is_empty(self) -> bool:
        return self._stored is None or not self._stored.forwarded

    def write(self, record: ForwardedInstance) -> None:
        """Write a record, unless it is written so already; there is a name by then."""
        stored = self._stored
        assert stored is not None
        key = _key(record.root_guid, record.title)
        if key not in stored.forwarded:
            stored.forwarded[key] = Stored(record)
            if record.root_guid not in stored.trees:
                stored.trees[record.root_guid] = OOTreeSet()
            stored.trees[record.root_guid].insert(key)
        elif self._read(key) != record:
            stored.forwarded[key].write(record)
        if record.is_leaving != (key in stored.leaving):
            (stored.leaving.insert if record.is_leaving else stored.leaving.remove)(key)

    def claim(self, record: ForwardedInstance) -> None:
        """Write a record as it is."""
        assert self._stored is not None
        key = _key(record.root_guid, record.title)
        self._stored.forwarded[key]._p_changed = True  # noqa: SLF001 - persistent's

    def forget(self, record: ForwardedInstance) -> None:
        """Forget a record."""
        stored = self._stored
        assert stored is not None
        key = _key(record.root_guid, record.title)
        stored.forwarded.pop(key).is_gone = True
        stored.trees[record.root_guid].remove(key)
        if record.root_guid and not stored.trees[record.root_guid]:
            del stored.trees[record.root_guid]
        if key in stored.leaving:
            stored.leaving.remove(key)

    def let_leave(self, root_guid: str) -> None:
        """Let everything go that a tree forwarded."""
        for record in decide_leaving(self.of_tree(root_guid)):
            self.write(record)

    @property
    def _stored(self) -> StoredForwarding | None:
        found: StoredForwarding | None = self._cloud.forwarding
        return found

    def _keys(self, after: str) -> Iterator[str]:
        if self._stored is None:
            return
        for key in self._stored.leaving.keys(after):
            if key != after:
                yield key

    def _read(self, key: str) -> ForwardedInstance | None:
        stored = self._stored.forwarded.get(key) if self._stored is not None else None
        return None if stored is None else stored.read(ForwardedInstance)


def _key(root_guid: str, title: str) -> str:
    return hashed(root_guid, title)
