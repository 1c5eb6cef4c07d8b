"""What single hooks owe, asked of the objects of NEO themselves, without processes.

A storage node has a real database, and is told packets one by one; what is on its disk
is read by another connection. Each case is given modules, changed or not, and a folder.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from attrs import define, field
from neo.lib.exception import StoppedOperation
from neo.lib.handler import AnswerDenied
from neo.lib.node import NodeManager
from neo.lib.protocol import CellStates, ClusterStates, NodeStates, ProtocolError
from neo.lib.pt import PartitionTable
from neo.storage.database import buildDatabaseManager

from labsim.mutants.changing import run, texts_of
from labsim.mutants.mutant import Change
from replication.observation import COUNTER_MAX, TableId, encode_table_id
from tests.neo_port.hook_mutants import (
    NEO_MASTER,
    RECOVERING,
    SERVING,
    STORAGE_NODE,
)
from tests.source_tree import TOP

STORAGES = (100_001, 200_001, 300_001)
OWN = STORAGES[0]
ROW_COUNT = 2
T1, T2 = (number.to_bytes(8, "big") for number in (2**32 + 2, 2**32 + 4))
TID = (2**33).to_bytes(8, "big")


@define
class Hooks:
    """Modules of ``replication/neo``, loaded anew with these changes."""

    changes: tuple[Change, ...]
    _loaded: dict[str, ModuleType] = field(factory=dict)

    def load(self, path: str) -> ModuleType:
        if path not in self._loaded:
            text = texts_of(self.changes).get(path) or (TOP / path).read_text()
            self._loaded[path] = run(path, text)
        return self._loaded[path]


def known_nodes(running: tuple[int, ...] = STORAGES) -> Any:
    nodes = NodeManager()
    for number, storage in enumerate(STORAGES):
        wanted = NodeStates.RUNNING if storage in running else NodeStates.DOWN
        address = ("127.0.0.1", 20_000 + number)
        nodes.createStorage(uuid=storage, address=address, state=wanted)
    return nodes


def rows(outdated: tuple[int, ...] = ()) -> list[list[tuple[int, Any]]]:
    readable, behind = CellStates.UP_TO_DATE, CellStates.OUT_OF_DATE
    row = [(it, behind if it in outdated else readable) for it in STORAGES]
    return [row] * ROW_COUNT


class Peer(SimpleNamespace):
    """A connection of which only what is said on it is of interest."""

    def answer(self, packet: Any) -> None:
        self.said = packet

    send = ask = answer

    def getUUID(self) -> int:
        return STORAGES[1]

    def close(self) -> None:
        self.is_closed = True


@define
class Storage:
    """A storage node with the table of epoch 2, that was promised."""

    hooks: Hooks
    place: Path
    app: Any = field(init=False)
    session: Any = field(init=False)
    peer: Peer = field(factory=Peer)

    def __attrs_post_init__(self) -> None:
        dm = buildDatabaseManager("SQLite", (str(self.database), None, 0))
        dm.setup()
        self.app = SimpleNamespace(
            dm=dm,
            uuid=OWN,
            nm=known_nodes(),
            pt=PartitionTable(0, 0),
            operational=False,
            replicator=SimpleNamespace(startOperation=lambda _: None),
            _handlers={},
        )
        self.meet()
        self.promise(2)
        self.give(TableId(2, 0))

    @property
    def database(self) -> Path:
        return self.place / "database.sqlite"

    def meet(self) -> None:
        """Another primary, or the same one again."""
        module = self.hooks.load(STORAGE_NODE)
        self.session = module.Initialization(self.app)

    def promise(self, epoch: int) -> None:
        number = encode_table_id(TableId(2, 0), promise=epoch)
        self.session.sendPartitionTable(self.peer, number, 2, [])

    def give(self, table_id: TableId, outdated: tuple[int, ...] = ()) -> None:
        number = encode_table_id(table_id)
        self.session.sendPartitionTable(self.peer, number, 2, rows(outdated))

    def vote(self, ttid: bytes) -> None:
        oid = bytes(8)
        description = ((oid,), b"", b"", b"", False, ttid)
        self.app.dm.storeTransaction(ttid, ((oid, None, None),), description)
        self.app.dm.commit()

    def on_disk(self, question: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as opened:
            return opened.execute(question).fetchall()

    def configured(self, name: str) -> Any:
        found = self.on_disk(f"SELECT value FROM config WHERE name='{name}'")
        return found[0][0] if found else None

    def close(self) -> None:
        self.app.dm.close()


def a_storage(case: Callable[[Storage], None]) -> Case:
    def play(hooks: Hooks, place: Path) -> None:
        storage = Storage(hooks, place)
        try:
            case(storage)
        finally:
            storage.close()

    return play


def promise_kept(storage: Storage) -> None:
    storage.meet()
    storage.promise(3)

    assert storage.configured("promise") == "3"


def promise_not_repeated(storage: Storage) -> None:
    storage.meet()
    storage.promise(5)
    storage.meet()

    with pytest.raises(ProtocolError):
        storage.promise(4)


def promise_binds_to_tables(storage: Storage) -> None:
    storage.meet()
    storage.promise(5)
    storage.meet()

    with pytest.raises(ProtocolError):
        storage.give(TableId(2, 1), outdated=(OWN,))


def table_as_promised(storage: Storage) -> None:
    storage.meet()
    storage.promise(3)

    with pytest.raises(ProtocolError):
        storage.give(TableId(4, 0))


def readable_as_promised(storage: Storage) -> None:
    storage.meet()

    with pytest.raises(ProtocolError):
        storage.give(TableId(3, 0))


def start_after_table(storage: Storage) -> None:
    storage.meet()
    storage.promise(3)

    with pytest.raises(ProtocolError):
        storage.session.startOperation(storage.peer, backup=False)


def drops_the_rest(storage: Storage) -> None:
    """A lock of an epoch that ended without it is none in the next."""
    storage.vote(T1)
    storage.app.dm.lockTransaction(TID, T1)
    storage.vote(T2)
    storage.meet()
    storage.promise(3)
    storage.session.validateTransaction(storage.peer, T2, TID)
    storage.give(TableId(3, 0))

    assert storage.on_disk("SELECT ttid FROM ttrans") == [(int.from_bytes(T2, "big"),)]


def one_commit(storage: Storage) -> None:
    """A disk that is full in the middle has what it had before."""
    storage.vote(T1)
    storage.meet()
    storage.promise(3)
    storage.session.validateTransaction(storage.peer, T1, TID)
    before = storage.on_disk("SELECT tid FROM ttrans")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError

    storage.app.dm.changePartitionTable = fail
    with pytest.raises(OSError):  # noqa: PT011 - the one from above
        storage.give(TableId(3, 0))

    assert storage.on_disk("SELECT tid FROM ttrans") == before
    assert storage.configured("verdict") is None


def missing_vote_stops(storage: Storage) -> None:
    storage.meet()
    storage.promise(3)
    storage.session.validateTransaction(storage.peer, T1, TID)

    with pytest.raises(ProtocolError):
        storage.give(TableId(3, 0))


def only_the_verdict(storage: Storage) -> None:
    storage.vote(T1)
    storage.meet()
    storage.promise(3)
    storage.give(TableId(3, 0))

    with pytest.raises(ProtocolError):
        storage.session.validateTransaction(storage.peer, T1, TID)


def committed_when_told(storage: Storage) -> None:
    """Who answers has on its disk what it was told to commit before."""
    storage.vote(T1)
    storage.meet()
    storage.promise(3)
    storage.session.validateTransaction(storage.peer, T1, TID)
    storage.give(TableId(3, 0))
    storage.session.validateTransaction(storage.peer, T1, TID)
    storage.session.askLastIDs(storage.peer)

    assert storage.on_disk("SELECT tid FROM trans") == [(2**33,)]


def early_changes(storage: Storage) -> None:
    """What comes before the whole table is part of it."""
    storage.meet()
    storage.promise(3)
    cells = [[0, OWN, CellStates.OUT_OF_DATE]]
    before = encode_table_id(TableId(2, 0))
    storage.session.notifyPartitionChanges(storage.peer, before + 1, 2, cells)

    assert storage.app.dm.getPTID() == before


def a_table(hooks: Hooks, counter: int = 0, running: tuple[int, ...] = STORAGES) -> Any:
    table = hooks.load(SERVING).QuorumTable(ROW_COUNT, 2)
    number = encode_table_id(TableId(2, counter))
    table.load(number, 2, rows(), known_nodes(running))
    return table


def work_with_a_majority(hooks: Hooks, _: Path) -> None:
    assert a_table(hooks, running=STORAGES[1:]).operational()
    assert not a_table(hooks, running=STORAGES[2:]).operational()


def numbers_end(hooks: Hooks, _: Path) -> None:
    with pytest.raises(StoppedOperation):
        a_table(hooks, COUNTER_MAX).setNextID()


@define
class Primary:
    """What handlers ask of a primary, and what they do to it."""

    pt: Any
    nm: Any
    connected: frozenset[int]
    changes: list[Any] = field(factory=list)
    cluster_state: Any = ClusterStates.RUNNING
    creation_layout: Any = None
    truncate_tid: Any = None
    listening_conn: bool = True
    verdict: str = ""
    packing: Any = None
    tm: Any = field(factory=lambda: SimpleNamespace(storageLost=lambda _: None))
    _handlers: dict[type, Any] = field(factory=dict, init=False)

    def connectedStorages(self) -> frozenset[int]:
        return self.connected

    def stop(self, _reason: str) -> None:
        raise StoppedOperation

    def nothing(self, *_: Any) -> None:
        """Nobody listens."""

    broadcastNodesInformation = setStorageNotReady = startStorage = nothing

    def getClusterState(self) -> Any:
        return self.cluster_state

    def broadcastPartitionChanges(self, cells: Any) -> None:
        self.changes.append(cells)


def a_primary(hooks: Hooks, connected: tuple[int, ...]) -> Primary:
    table = a_table(hooks)
    nodes = known_nodes()
    table.load(encode_table_id(TableId(2, 0)), 2, rows(), nodes)
    return Primary(table, nodes, frozenset(connected))


def minority_changes_nothing(hooks: Hooks, _: Path) -> None:
    primary = a_primary(hooks, STORAGES[:2])
    service = hooks.load(SERVING).StorageService(primary)

    with pytest.raises(StoppedOperation):
        service.connectionLost(Peer(), NodeStates.DOWN)

    assert not primary.changes


def stale_primary_stops(hooks: Hooks, _: Path) -> None:
    primary = a_primary(hooks, STORAGES)
    service = hooks.load(SERVING).StorageService(primary)
    heard = encode_table_id(TableId(2, 0), promise=3)

    with pytest.raises(StoppedOperation):
        service.answerRecovery(Peer(), heard, None, None)


def creation_in_three(hooks: Hooks, _: Path) -> None:
    primary = a_primary(hooks, STORAGES[:2])
    primary.cluster_state = ClusterStates.RECOVERING
    primary.pt.clear()
    service = hooks.load(SERVING).Administration(primary)

    with pytest.raises(AnswerDenied):
        service.setClusterState(Peer(), ClusterStates.VERIFYING)


def no_truncation(hooks: Hooks, _: Path) -> None:
    service = hooks.load(SERVING).Administration(a_primary(hooks, STORAGES))

    try:
        with pytest.raises(AnswerDenied):
            service.truncate(Peer(), TID)
    except StoppedOperation:
        pytest.fail("it stops, and truncates")


def yields(hooks: Hooks, _: Path) -> None:
    """Its storage nodes are free to find another primary."""
    module = hooks.load(RECOVERING)
    peers = [Peer(is_closed=False) for _ in STORAGES]
    nodes = [SimpleNamespace(getConnection=lambda peer=it: peer) for it in peers]
    app = Candidate(nodes)
    recovering = module.Recovering(app)
    recovering.try_secondary = False

    recovering._challenge()  # noqa: SLF001 - NEO calls it
    assert not app.yielded_count
    app.now = module.YIELD_SECONDS + 1
    recovering._challenge()  # noqa: SLF001

    assert app.yielded_count == 1
    assert all(it.is_closed for it in peers)


@define
class Candidate:
    """What a recovery asks of a neo_master that waits."""

    nodes: list[Any]
    now: float = 0.0
    yielded_count: int = 0
    _handlers: dict[type, Any] = field(factory=dict, init=False)

    @property
    def nm(self) -> Any:
        return SimpleNamespace(
            getStorageList=lambda **_: self.nodes, getMasterList=list
        )

    def seconds(self) -> float:
        return self.now

    def yieldElection(self) -> None:
        self.yielded_count += 1


def loses_who_yields(hooks: Hooks, _: Path) -> None:
    """The lower one wins; one clock is a day behind."""
    module = hooks.load(NEO_MASTER)
    NeoMaster = module.NeoMaster  # noqa: N806 - a class
    here = SimpleNamespace(_yielded_count=1)
    there = SimpleNamespace(_yielded_count=0)
    module.monotonic_time = lambda: 1_000_000.0
    yielded = NeoMaster.newElection(here)
    module.monotonic_time = lambda: 1_086_400.0

    assert yielded > NeoMaster.newElection(there)


def kept_out(hooks: Hooks, _: Path) -> None:
    module = hooks.load(NEO_MASTER)
    NeoMaster = module.NeoMaster  # noqa: N806 - a class
    now = [1000.0]
    primary = SimpleNamespace(_excluded={}, seconds=lambda: now[0])
    NeoMaster.exclude(primary, OWN)

    assert NeoMaster.isExcluded(primary, OWN)
    assert not NeoMaster.isExcluded(primary, STORAGES[1])
    now[0] += module.EXCLUDED_SECONDS
    assert not NeoMaster.isExcluded(primary, OWN)


Case = Callable[[Hooks, Path], None]
CASES: Mapping[str, Case] = {
    "a promise is on the disk before it is answered": a_storage(promise_kept),
    "nothing lower is promised": a_storage(promise_not_repeated),
    "a promise binds to tables": a_storage(promise_binds_to_tables),
    "the table is the one that was promised": a_storage(table_as_promised),
    "readable only with a promise": a_storage(readable_as_promised),
    "no start without a table": a_storage(start_after_table),
    "a lock that the verdict lacks is dropped": a_storage(drops_the_rest),
    "a table is taken in one commit": a_storage(one_commit),
    "a missing vote stops": a_storage(missing_vote_stops),
    "only what is in the verdict is committed": a_storage(only_the_verdict),
    "committed before the answer": a_storage(committed_when_told),
    "changes before the table are nothing": a_storage(early_changes),
    "a table works with a majority": work_with_a_majority,
    "the numbers of an epoch end": numbers_end,
    "a minority changes nothing": minority_changes_nothing,
    "a stale primary stops": stale_primary_stops,
    "a creation has three regions": creation_in_three,
    "a candidate without a majority yields": yields,
    "who yields loses, whatever its clock": loses_who_yields,
    "whom clients do not reach is kept out for a while": kept_out,
    "an operator does not truncate": no_truncation,
}
