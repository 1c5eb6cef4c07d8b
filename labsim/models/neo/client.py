"""Shell. A storage of ZODB over a simulated neo_cluster, as ``NeoStorage`` is over NEO.

It promises what ``master_cluster.store.neo_client`` promises. Its calls wait in virtual
time, so they are made by store calls alone; so is the opening of a database on it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from attrs import define, field
from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from ZODB.ConflictResolution import (  # type: ignore[import-untyped]
    ConflictResolvingStorage,
)
from ZODB.POSException import (  # type: ignore[import-untyped]
    ConflictError,
    POSKeyError,
    ReadConflictError,
    StorageError,
    StorageTransactionError,
)
from ZODB.utils import p64, u64  # type: ignore[import-untyped]

from labsim.models.neo.neo_master import OIDS_PER_CALL
from labsim.models.neo.places import NeoPlaces
from labsim.models.neo.sessions import Message, Session, Silences
from labsim.models.neo.storage_disk import NO_TID, Oid
from labsim.models.neo.tables import read_table
from labsim.world.threads import wait_for
from master_cluster.store.outages import InDoubt
from replication.observation import StorageId, Table, Tid, Ttid
from runtime.ports import Runtime

RETRY_SECONDS = 0.5
WAIT_SECONDS = 4.0
"""That of ``neo_uri.NeoPlace``."""

CACHED_COUNT_MAX = 20_000

Revision = tuple[bytes, Tid, Tid | None]


class Away(TransientError):  # type: ignore[misc] # transaction has no types
    """No running neo_cluster is found; nothing was written."""


@define(eq=False)
class _Commit:
    """A transaction of this client."""

    ttid: Ttid
    storages: tuple[StorageId, ...]
    primary: Session
    description: tuple[bytes, bytes, bytes]
    changes: dict[Oid, tuple[Tid, bytes]] = field(factory=dict)
    checks: dict[Oid, Tid] = field(factory=dict)
    failed: set[StorageId] = field(factory=set)


@define(eq=False)
class _Flight:
    """An object that is being loaded; an invalidation may come before it."""

    oid: Oid
    is_outdated: bool = False


class NeoClient(ConflictResolvingStorage):  # type: ignore[misc] # ZODB has no types
    """One client of a neo_cluster, for the whole life of its host's program."""

    loses_ends = True

    def __init__(
        self,
        runtime: Runtime,
        places: NeoPlaces,
        rule: ModuleType,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.silences = Silences(runtime)
        self._runtime = runtime
        self._places = places
        self._rule = rule
        self.wait_seconds = wait_seconds
        self._wrapper: Any = None
        self._last_tid = NO_TID
        self._primary: Session | None = None
        self._is_connected = False
        self._is_closed = False
        self._lost_at = runtime.clock.seconds()
        self._place = runtime.entropy.randrange(len(places.neo_masters))
        self._table: Table | None = None
        self._ready: tuple[StorageId, ...] = ()
        self._storages: dict[StorageId, Session] = {}
        self._asked: dict[int, tuple[Session, Deferred[Any]]] = {}
        self._last_number = 0
        self._arrivals: list[Deferred[None]] = []
        self._seeking: IDelayedCall | None = None
        self._cache: dict[Oid, Revision] = {}
        self._flights: list[_Flight] = []
        self._oids: list[int] = []
        self._commits: dict[Any, _Commit] = {}
        self._seek()

    # -- sessions

    def _seek(self) -> None:
        self._primary = Session(self._runtime, self)
        self._primary.send("client")
        self._primary.dial(self._places.neo_masters[self._place])

    def heard(self, session: Session, message: Message) -> None:
        verb, *values = message
        if verb == "answer":
            number, value = values
            _, awaited = self._asked.pop(number, (session, None))
            if awaited is not None:
                awaited.callback(value)
        elif session is self._primary:
            getattr(self, f"_on_{verb}")(*values)

    def lost(self, session: Session) -> None:
        if session is self._primary:
            self._lose_primary(RETRY_SECONDS if not self._is_connected else 0.0)
            return
        if self._storages.get(session.number) is session:
            del self._storages[session.number]
        self._fail_asked(session)

    def _lose_primary(self, delay_seconds: float) -> None:
        addresses = self._places.neo_masters
        if self._is_connected:
            self._lost_at = self._runtime.clock.seconds()
        if not self._is_connected or not self.silences.may_try(addresses[self._place]):
            self._place = self.silences.next_place(addresses, self._place)
        self._is_connected = False
        self._table = None
        lost = [self._primary, *self._storages.values()]
        self._storages = {}
        self._primary = None
        self._seek_later(delay_seconds)
        for session in lost:
            if session is not None:
                session.close()
                self._fail_asked(session)

    def _seek_later(self, delay_seconds: float) -> None:
        if not self._is_closed:
            self._seeking = self._runtime.clock.callLater(delay_seconds, self._seek)

    def _fail_asked(self, session: Session) -> None:
        failed = [it for it, (asked, _) in self._asked.items() if asked is session]
        for number in failed:
            _, awaited = self._asked.pop(number)
            awaited.errback(_Lost())

    def _on_follow(self, place: int | None) -> None:
        if place is None:
            self._on_come_again()
            return
        self._leave()
        self._place = place
        self._seek_later(0.0)

    def _on_come_again(self) -> None:
        self._leave()
        self._place = self.silences.next_place(self._places.neo_masters, self._place)
        self._seek_later(RETRY_SECONDS)

    def _leave(self) -> None:
        if self._primary is not None:
            self._primary.close()
        self._primary = None

    def _on_welcome(self, last_tid: Tid) -> None:
        self._is_connected = True
        # Another primary knows what was stored, and may give the rest to anybody.
        self._oids = []
        if last_tid != self._last_tid:
            self._cache.clear()
            self._last_tid = max(last_tid, self._last_tid)
            if self._wrapper is not None:
                self._wrapper.invalidateCache()

    def _on_table(self, raw: Any, ready: list[StorageId]) -> None:
        self._table = read_table(raw)
        self._ready = tuple(ready)
        if self._has_readable:
            arrivals, self._arrivals = self._arrivals, []
            for arrival in arrivals:
                arrival.callback(None)

    def _on_invalidate(self, tid: Tid, oids: tuple[Oid, ...]) -> None:
        self._outdate(tid, oids)
        if self._wrapper is not None:
            self._wrapper.invalidate(tid, oids)
        self._last_tid = tid

    def _outdate(self, tid: Tid, oids: tuple[Oid, ...]) -> None:
        for oid in oids:
            if oid in self._cache and self._cache[oid][2] is None:
                data, serial, _ = self._cache[oid]
                self._cache[oid] = data, serial, tid
        for flight in self._flights:
            flight.is_outdated = flight.is_outdated or flight.oid in oids

    def _remember(self, oid: Oid, revision: Revision) -> None:
        if len(self._cache) >= CACHED_COUNT_MAX:
            del self._cache[next(iter(self._cache))]
        self._cache[oid] = revision

    # -- waiting

    @property
    def _has_readable(self) -> bool:
        return bool(self._table and self._table.readable & set(self._ready))

    def _wait_for_primary(self) -> Session:
        """Return the primary, or raise ``Away`` when it stays away."""
        clock = self._runtime.clock
        while not (self._is_connected and self._has_readable):
            left_seconds = self._lost_at + self.wait_seconds - clock.seconds()
            if left_seconds <= 0 or self._is_closed:
                raise Away("no running neo_cluster is found")
            arrival: Deferred[None] = Deferred()
            self._arrivals.append(arrival)
            timer = clock.callLater(left_seconds, self._give_up, arrival)
            wait_for(arrival)
            if timer.active():
                timer.cancel()
        assert self._primary is not None
        return self._primary

    def _give_up(self, arrival: Deferred[None]) -> None:
        self._arrivals.remove(arrival)
        arrival.callback(None)

    def _ask(self, session: Session, *words: Any) -> Any:
        """Ask and wait; ``_Lost`` when the connection breaks before the answer."""
        if session.is_over:
            raise _Lost
        return wait_for(self._begin_to_ask(session, *words))

    def _begin_to_ask(self, session: Session, verb: str, *words: Any) -> Deferred[Any]:
        self._last_number += 1
        number = self._last_number
        awaited: Deferred[Any] = Deferred()
        self._asked[number] = session, awaited
        if session.number:
            session.send(verb, number, *words)
        else:
            session.send("ask", number, verb, *words)
        return awaited

    def _storage(self, storage: StorageId) -> Session:
        if storage not in self._storages:
            session = Session(self._runtime, self)
            session.number = storage
            self._storages[storage] = session
            assert self._table is not None
            session.send("hello", self._table.table_id.epoch)
            session.dial(self._places.storage_nodes[storage])
        return self._storages[storage]

    def _ask_primary(self, *words: Any) -> Any:
        try:
            return self._ask(self._wait_for_primary(), *words)
        except _Lost as error:
            raise ReadConflictError("the primary neo_master was lost") from error

    # -- a storage of ZODB

    def registerDB(self, wrapper: Any) -> None:
        super().registerDB(wrapper)
        self._wrapper = wrapper

    def getName(self) -> str:
        return "simulated neo_cluster"

    def sortKey(self) -> str:
        return self.getName()

    def getSize(self) -> int:
        return 0

    def __len__(self) -> int:
        return len(self._cache)

    def isReadOnly(self) -> bool:
        return False

    def supportsUndo(self) -> bool:
        return False

    @property
    def epoch(self) -> int:
        """That of the primary that it has, 0 without one."""
        return self._table.table_id.epoch if self._table else 0

    def lastTransaction(self) -> Tid:
        return self._last_tid

    def sync(self, force: bool = True) -> None:
        del force
        self._ask_primary("last")

    def new_oid(self) -> Oid:
        if not self._oids:
            first = self._ask_primary("oids")
            self._oids = list(range(first + OIDS_PER_CALL - 1, first - 1, -1))
        oid: Oid = p64(self._oids.pop())
        return oid

    def loadBefore(self, oid: Oid, tid: Tid) -> Revision | None:
        if oid in self._cache:
            data, serial, next_tid = self._cache[oid]
            if serial < tid and (next_tid is None or tid <= next_tid):
                return data, serial, next_tid
        flight = _Flight(oid)
        self._flights.append(flight)
        try:
            found = self._load(oid, tid)
        finally:
            self._flights.remove(flight)
        if found is None:
            raise POSKeyError(oid)
        if found[2] is None and not flight.is_outdated:
            self._remember(oid, found)
        return found

    def loadSerial(self, oid: Oid, serial: Tid) -> bytes:
        found = self._load(oid, p64(u64(serial) + 1))
        if found is None or found[1] != serial:
            raise POSKeyError(oid)
        return found[0]

    def _load(self, oid: Oid, before: Tid) -> Revision | None:
        """Ask readable storage nodes, one after the other."""
        self._wait_for_primary()
        assert self._table is not None
        readable = sorted(self._table.readable & set(self._ready))
        self._runtime.entropy.shuffle(readable)
        for storage in readable:
            if self._table is None:
                break
            try:
                found: Revision | None = self._ask(
                    self._storage(storage), "load", oid, before
                )
            except _Lost:
                continue
            else:
                return found
        raise ReadConflictError("no storage node answers")

    # -- commits

    def tpc_begin(self, transaction: Any, tid: Tid | None = None) -> None:
        assert tid is None, "the primary neo_master makes the ids"
        primary = self._wait_for_primary()
        try:
            ttid, storages = self._ask(primary, "begin")
        except _Lost as error:
            raise ReadConflictError("the primary neo_master was lost") from error
        user, text, more = (
            transaction.user,
            transaction.description,
            transaction.extension_bytes,
        )
        self._commits[transaction] = _Commit(
            ttid, tuple(storages), primary, (user, text, more)
        )

    def store(
        self, oid: Oid, serial: Tid, data: bytes, _version: str, transaction: Any
    ) -> None:
        self._commit(transaction).changes[oid] = serial, data

    def checkCurrentSerialInTransaction(
        self, oid: Oid, serial: Tid, transaction: Any
    ) -> None:
        self._commit(transaction).checks[oid] = serial

    def _commit(self, transaction: Any) -> _Commit:
        try:
            return self._commits[transaction]
        except KeyError:
            raise StorageTransactionError(self, transaction) from None

    def tpc_vote(self, transaction: Any) -> list[Oid]:
        commit = self._commit(transaction)
        resolved: dict[Oid, None] = {}
        while conflicts := self._vote(commit):
            for oid, current in sorted(conflicts.items()):
                if oid in commit.checks and oid not in commit.changes:
                    raise ReadConflictError(
                        oid=oid, serials=(current, commit.checks[oid])
                    )
                serial, data = commit.changes[oid]
                data = self.tryToResolveConflict(oid, current, serial, data)
                commit.changes[oid] = current, data
                resolved[oid] = None
        if not set(commit.storages) - commit.failed:
            raise StorageError("no storage node took the transaction")
        return list(resolved)

    def _vote(self, commit: _Commit) -> dict[Oid, Tid]:
        """Let all storage nodes keep it; return the objects that changed since."""
        self._check_primary(commit)
        changes = tuple((oid, *known) for oid, known in commit.changes.items())
        checks = tuple(commit.checks.items())
        wanted = changes, checks, commit.description
        asked = [
            (it, self._begin_to_ask(self._storage(it), "vote", commit.ttid, wanted))
            for it in commit.storages
            if it not in commit.failed
        ]
        conflicts: dict[Oid, Tid] = {}
        busy = ""
        for storage, awaited in asked:
            try:
                word, found = wait_for(awaited)
            except _Lost:
                commit.failed.add(storage)
                continue
            if word == "late":
                commit.failed.add(storage)
            conflicts.update(found)
            if word in {"busy", "gone"}:
                busy = word
        self._check_primary(commit)
        if busy:
            raise ConflictError("another transaction has an object of this one")
        return conflicts

    def _check_primary(self, commit: _Commit) -> None:
        if commit.primary is not self._primary:
            raise ReadConflictError("the primary neo_master was lost")

    def tpc_finish(
        self, transaction: Any, f: Callable[[Tid], None] | None = None
    ) -> Tid:
        commit = self._commits.pop(transaction)
        oids = tuple(commit.changes)
        failed = tuple(sorted(commit.failed))
        try:
            tid: Tid | None = self._ask(
                commit.primary, "finish", commit.ttid, oids, failed
            )
        except _Lost as error:
            raise InDoubt("the primary neo_master was lost") from error
        if tid is None:
            raise InDoubt("the primary neo_master did not finish it")
        self._outdate(tid, oids)
        if f is not None:
            f(tid)
        self._last_tid = tid
        for oid, (_, data) in commit.changes.items():
            self._remember(oid, (data, tid, None))
        return tid

    def tpc_abort(self, transaction: Any) -> None:
        commit = self._commits.pop(transaction, None)
        if commit is not None:
            commit.primary.send("abort", commit.ttid)

    def close(self) -> None:
        self._is_closed = True
        if self._seeking is not None and self._seeking.active():
            self._seeking.cancel()
        for session in (self._primary, *self._storages.values()):
            if session is not None:
                session.close()
                self._fail_asked(session)
        self._storages = {}


class _Lost(Exception):
    """A connection broke before its answer."""
