"""What is told of a run: documents on the wire, transactions at the storage."""

from __future__ import annotations

from typing import Any

import pytest
import transaction
from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping
from ZODB.DB import DB
from ZODB.POSException import ConflictError

from labsim.documents import Documents, Ran, Took, Version, as_told
from labsim.history import Applied, Committed, Doubted, Placed
from labsim.overhearing import Answers
from labsim.recording import RecordedDatabase, RecordingStorage
from labsim.world.world import World
from master_cluster.store.outages import InDoubt
from master_cluster.store.relying import rely_on
from master_cluster.store.storages import MemoryStorage

QUESTION = b"GET /getFullComputerInformation?computer_id=COMP-1 HTTP/1.1\r\n\r\n"
DOCUMENT = b'HTTP/1.1 200 OK\r\nETag: W/"ab12"\r\nContent-Length: 4\r\n\r\nbody'
UNCHANGED = b'HTTP/1.1 304 Not Modified\r\nETag: "ab12"\r\n\r\n'


@pytest.mark.parametrize(
    ("sent", "came", "expected"),
    [
        (QUESTION, [DOCUMENT], ["ab12"]),
        (QUESTION, [DOCUMENT[:20], DOCUMENT[20:-1], DOCUMENT[-1:]], ["ab12"]),
        (QUESTION, [DOCUMENT[:-1]], []),
        (QUESTION, [UNCHANGED], []),
        (b"GET /getHateoasUrl HTTP/1.1\r\n\r\n", [DOCUMENT], []),
    ],
)
def test_a_document_is_heard_when_all_of_it_is_there(sent, came, expected) -> None:
    heard: list[str] = []
    answers = Answers(heard.append)

    answers.sent(sent)
    for data in came:
        answers.came(data)

    assert heard == expected


class Known(Documents):
    """One computer, whose content came back once."""

    def find(self, computer_id: str, etag: str) -> list[Version]:
        del computer_id
        versions = [("01", "a"), ("02", "b"), ("03", "a"), ("04", "c")]
        return [
            Version(tid, name, {"slappart0": f"shop-{name}"})
            for tid, name in versions
            if name == etag
        ]


def told(*seen):
    return list(as_told(seen, Known(None)))


def test_a_content_that_came_twice_lets_time_go_forward() -> None:
    taken = [Took(float(it), "COMP-1", etag) for it, etag in enumerate("aabaa")]

    tids = [it.tid for it in told(*taken) if isinstance(it, Applied)]

    assert tids == ["01", "01", "02", "03", "03"]


def test_a_content_that_is_only_older_is_told_as_it_is() -> None:
    assert told(Took(1.0, "COMP-1", "c"), Took(2.0, "COMP-1", "a")) == [
        Applied(1.0, "COMP-1", "04"),
        Applied(2.0, "COMP-1", "03"),
    ]


def test_a_document_that_no_transaction_made_is_an_error() -> None:
    with pytest.raises(AssertionError, match="no transaction made"):
        told(Took(1.0, "COMP-1", "z"))


def test_programs_are_of_the_instance_of_the_document_they_come_from() -> None:
    ran = Ran(1.0, "COMP-1", "slappart0", "b")
    broken = Ran(2.0, "COMP-1", "slappart0", "\x00")

    assert told(ran, broken) == [Placed(1.0, "COMP-1", "slappart0", "shop-b")]


class Recorded:
    """A database in memory, what is told of it, and two masters on it."""

    def __init__(self, storage_kind: type[MemoryStorage] = MemoryStorage) -> None:
        self.seen: list[Any] = []
        world = World(1)
        storage = storage_kind(world.host("master").calendar)
        recording = RecordingStorage(storage, self.seen.append, world.clock.seconds)
        database = DB(recording)
        self.masters = [
            RecordedDatabase(database, name, is_shared=True) for name in ("m1", "m2")
        ]
        connection, manager = self.begin(0)
        connection.root()["tree"] = OOBTree()
        connection.root()["record"] = PersistentMapping()
        manager.commit()
        connection.close()
        self.seen.clear()

    @property
    def told(self) -> list[Any]:
        return list(as_told(self.seen, Known(None)))

    def begin(self, master: int) -> tuple[Any, transaction.TransactionManager]:
        manager = transaction.TransactionManager(explicit=True)
        connection = self.masters[master].open(manager)
        manager.begin()
        return connection, manager


def oid_of(persistent: Any) -> str:
    return str(persistent._p_oid.hex())  # noqa: SLF001 - the interface of persistent


def test_a_commit_is_told_with_what_was_read_also_when_it_is_in_a_cache() -> None:
    recorded = Recorded()
    for master in (0, 1, 0):
        connection, manager = recorded.begin(master)
        record = connection.root()["record"]
        record["count"] = record.get("count", 0) + 1
        manager.commit()
        oid, root = oid_of(record), oid_of(connection.root())
        connection.close()

    first, second, third = recorded.told
    assert [it.master for it in recorded.told] == ["m1", "m2", "m1"]
    assert first.writes == second.writes == third.writes == (oid,)
    assert second.reads == {oid: first.tid, root: first.reads[root]}
    assert third.reads == {oid: second.tid, root: first.reads[root]}


def test_a_container_is_read_by_who_writes_or_relies_on_it() -> None:
    recorded = Recorded()
    looking, relying, writing = (recorded.begin(0) for _ in range(3))
    for connection, manager in (looking, relying):
        tree, record = connection.root()["tree"], connection.root()["record"]
        record[str(len(recorded.told))] = tree.get("key")
        if manager is relying[1]:
            rely_on(tree)
            looking[1].abort()
        oid = oid_of(tree)
    relying[1].commit()
    writing[0].root()["tree"]["key"] = 1
    writing[1].commit()
    connection, manager = recorded.begin(0)
    connection.root()["record"]["seen"] = connection.root()["tree"].get("key")
    manager.commit()

    assert [oid in it.reads for it in recorded.told] == [True, True, False]


def test_what_the_storage_merged_is_told() -> None:
    recorded = Recorded()
    both = [recorded.begin(master) for master in (0, 1)]
    for number, (connection, _) in enumerate(both):
        connection.root()["tree"][number] = number
    for _, manager in both:
        manager.commit()

    first, second = recorded.told
    assert (first.merged, second.merged) == ((), first.writes)


class Losing(MemoryStorage):
    """Loses the end of the second transaction."""

    def tpc_finish(self, transaction: object, func: Any = lambda _: None) -> Any:
        tid = super().tpc_finish(transaction, func)
        if len(self._transactions) > 2:
            raise InDoubt("it is not known")
        return tid


def test_a_lost_end_is_told_as_a_doubt() -> None:
    recorded = Recorded(Losing)
    connection, manager = recorded.begin(1)
    connection.root()["record"]["count"] = 1

    with pytest.raises(InDoubt):
        manager.commit()

    (doubted,) = recorded.told
    assert isinstance(doubted, Doubted)
    assert (doubted.master, len(doubted.writes)) == ("m2", 1)


def test_a_conflict_is_no_commit() -> None:
    recorded = Recorded()
    both = [recorded.begin(master) for master in (0, 1)]
    for number, (connection, _) in enumerate(both):
        connection.root()["record"]["count"] = number
    both[0][1].commit()
    with pytest.raises(ConflictError):
        both[1][1].commit()

    assert [type(it) for it in recorded.told] == [Committed]
