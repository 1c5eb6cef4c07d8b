"""Shell. A neo_master: a candidate, a follower, or the primary, which asks the rule.

Candidates compare how often they yielded. A primary recovers in the steps of
``replication.neo.recovering``, each answered by all participants before the next, and
runs as ``replication.neo.serving`` does. What stands against going on sends it back to
the beginning of a recovery: ``_Stopped``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from enum import Enum, auto
from types import ModuleType
from typing import Any

from attrs import define, evolve, field
from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from ZODB.utils import p64, u64  # type: ignore[import-untyped]

from labsim import history
from labsim.models.neo.places import NeoPlaces
from labsim.models.neo.sessions import Message, Session, Silences, Welcoming
from labsim.models.neo.storage_disk import NO_TID, Oid
from labsim.models.neo.tables import raw_table, read_table
from master_cluster.store.storages import later_tid
from replication.observation import (
    Claim,
    Row,
    StorageId,
    Table,
    TableId,
    Tid,
    Ttid,
    region_of,
)
from replication.pacing import (
    EXCLUDED_SECONDS,
    GRACE_SECONDS,
    JUMPS,
    YIELD_SECONDS,
)
from runtime.ports import Runtime

TICK_SECONDS = 0.5
"""How long NEO's candidates wait at most before they look again."""

OIDS_PER_CALL = 100


class _Phase(Enum):
    FOLLOWING = auto()
    RECOVERING = auto()
    DECIDING = auto()
    RUNNING = auto()


class _Stopped(Exception):
    """Back to recovery; the text says why."""


@define(eq=False)
class _Transaction:
    """``ready`` were there when it began; ``lockers`` answered their lock.

    ``checkers`` could see its conflicts: they had all when it began.
    """

    ttid: Ttid
    client: Session
    ready: set[StorageId]
    checkers: frozenset[StorageId]
    number: int = 0
    tid: Tid = NO_TID
    oids: tuple[Oid, ...] = ()
    waiting: set[StorageId] = field(factory=set)
    lockers: set[StorageId] = field(factory=set)


class NeoMaster(Service):
    """One life of a neo_master; ``place`` is its own in ``places.neo_masters``."""

    def __init__(
        self,
        runtime: Runtime,
        places: NeoPlaces,
        place: int,
        *,
        host: str,
        tell: Callable[[history.Happening], None],
        rule: ModuleType,
    ) -> None:
        self.silences = Silences(runtime)
        self._runtime = runtime
        self._places = places
        self._place = place
        self._host = host
        self._tell_history = tell
        self._rule = rule
        self.reason = ""
        self._port: IListeningPort | None = None
        self._yielded_count = 0
        self._election = self._new_election()
        self._followed = place
        self._phase = _Phase.RECOVERING
        self._epoch = 0
        self._tick: IDelayedCall | None = None
        self._is_stopping = False
        self._others: dict[int, Session] = {}
        self._followers: dict[Session, None] = {}
        self._excluded: dict[StorageId, float] = {}
        self._change: Any = None
        self._storages: dict[StorageId, Session] = {}
        self._clients: dict[Session, None] = {}
        self._clear()

    def _clear(self) -> None:
        """Forget what belongs to one recovery and the life after it."""
        for session in (*self._storages.values(), *self._clients):
            session.close()
        self._storages = {}
        self._clients = {}
        self._claims: dict[StorageId, Claim] = {}
        self._begun = self._now()
        self._ready_since: float | None = None
        self._waiting: set[StorageId] = set()
        self._answers: dict[StorageId, Any] = {}
        self._then: Callable[[], None] = lambda: None
        self._source: Any = None
        self._table = Table(TableId(0, 0), ())
        self._starting: set[StorageId] = set()
        self._ready: set[StorageId] = set()
        self._begins: list[tuple[Session, int]] = []
        self._transactions: dict[Ttid, _Transaction] = {}
        self._queue: deque[_Transaction] = deque()
        self._replicating: dict[StorageId, set[Ttid]] = {}

    def _now(self) -> float:
        return self._runtime.clock.seconds()

    def startService(self) -> None:
        endpoint = self._runtime.network.server_endpoint(
            self._places.neo_masters[self._place]
        )
        welcoming = Welcoming(self._runtime, self)
        endpoint.listen(welcoming).addCallback(self._listening)
        self._become_candidate()

    async def stopService(self) -> None:
        self._is_stopping = True
        if self._tick is not None and self._tick.active():
            self._tick.cancel()
        self._clear()
        for session in (*self._others.values(), *self._followers):
            session.close()
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)

    def _listening(self, port: IListeningPort) -> None:
        self._port = port

    @property
    def is_running(self) -> bool:
        return self._phase is _Phase.RUNNING

    @property
    def is_deciding(self) -> bool:
        """Whether it knows with whom it goes on, and waits for them."""
        return self._phase is _Phase.DECIDING

    @property
    def table(self) -> Table:
        return self._table

    # -- sessions

    def heard(self, session: Session, message: Message) -> None:
        verb, *values = message
        self._guarded(lambda: getattr(self, f"_on_{verb}")(session, *values))

    def lost(self, session: Session) -> None:
        self._guarded(lambda: self._lose(session))

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except _Stopped as stopped:
            self.reason = str(stopped)
            self._runtime.log.info("back to recovery: {why}", why=self.reason)
            self._recover()

    def _lose(self, session: Session) -> None:
        if session.role == "storage":
            if self._storages.get(session.number) is session:
                self._lose_storage(session.number)
        elif session.role == "client":
            self._lose_client(session)
        elif session.role == "other":
            if self._others.get(session.number) is session:
                del self._others[session.number]
            if self._phase is _Phase.FOLLOWING and session.number == self._followed:
                # Another one may send it there again at once.
                self._become_candidate(0.0 if session.connected else TICK_SECONDS)
        else:
            self._followers.pop(session, None)

    # -- elections

    def _become_candidate(self, delay_seconds: float = 0.0) -> None:
        self._followed = self._place
        self._election = self._new_election()
        self._recover(delay_seconds)

    def _new_election(self) -> float:
        """Return what candidates compare, lower first."""
        return 1 + self._yielded_count + self._runtime.entropy.random()

    def _recover(self, delay_seconds: float = 0.0) -> None:
        self._phase = _Phase.RECOVERING
        self._clear()
        self._look_later(delay_seconds)

    def _look_later(self, delay_seconds: float) -> None:
        if self._tick is not None and self._tick.active():
            self._tick.cancel()
        if not self._is_stopping:
            self._tick = self._runtime.clock.callLater(
                delay_seconds, lambda: self._guarded(self._look)
            )

    def _look(self) -> None:
        """Challenge the others, and see whether to go on or to yield."""
        if self._phase is not _Phase.RECOVERING:
            return
        self._look_later(TICK_SECONDS)
        for place, address in enumerate(self._places.neo_masters):
            if place != self._place and place not in self._others:
                self._dial(place, "candidate").dial(address)
        self._consider()
        waited_seconds = self._now() - self._begun
        if self._phase is not _Phase.RECOVERING or self._ready_since is not None:
            return
        if waited_seconds > YIELD_SECONDS:
            self._yielded_count += 1
            self._election = self._new_election()
            for session in self._others.values():
                session.close()
            self._others = {}
            # They find whoever is primary elsewhere.
            self._clear()

    def _dial(self, place: int, verb: str) -> Session:
        session = Session(self._runtime, self)
        session.role, session.number = "other", place
        self._others[place] = session
        session.send(verb, self._election, self._place)
        return session

    def _on_candidate(self, session: Session, election: float, place: int) -> None:
        if self._phase is _Phase.FOLLOWING and self._named_primary() is not None:
            session.send("follow", self._followed)
            return
        theirs, own = (election, place), (self._election, self._place)
        if self._phase is _Phase.FOLLOWING:
            if place != self._followed:
                # Else two that lost the same primary would name it to each other.
                self._follow(place)
        elif self._phase is _Phase.RECOVERING and theirs < own:
            self._follow(place)
        else:
            session.send("follow", self._place)

    def _on_follower(self, session: Session, _election: float, _place: int) -> None:
        if self._phase is _Phase.FOLLOWING:
            session.send("follow", self._named_primary())
        else:
            self._followers[session] = None

    def _named_primary(self) -> int | None:
        """The neo_master that is followed, once it has said something."""
        session = self._others.get(self._followed)
        return self._followed if session is not None and session.is_heard else None

    def _on_follow(self, session: Session, place: int | None) -> None:
        if self._phase is _Phase.RECOVERING:
            if place is not None and place != self._place:
                self._follow(place)
        elif self._phase is _Phase.FOLLOWING and session.number == self._followed:
            if place is None or place == self._place:
                self._become_candidate()
            else:
                self._follow(place)

    def _follow(self, place: int) -> None:
        self._phase = _Phase.FOLLOWING
        self._followed = place
        self._change = None
        self._clear()
        for session in (*self._others.values(), *self._followers):
            session.close()
        self._others = {}
        self._followers = {}
        self._dial(place, "follower").dial(self._places.neo_masters[place])

    # -- storage nodes come

    def _on_storage(self, session: Session, storage: StorageId) -> None:
        if self._phase is _Phase.FOLLOWING:
            session.send("follow", self._named_primary())
        elif self._phase is _Phase.DECIDING or storage in self._storages:
            session.send("come_again")
        elif self._is_excluded(storage) or not region_of(storage):
            session.close()
        else:
            session.role, session.number = "storage", storage
            self._storages[storage] = session
            session.send("ask_recovery")

    def _is_excluded(self, storage: StorageId) -> bool:
        until = self._excluded.get(storage, 0.0)
        return self._phase is _Phase.RUNNING and self._now() < until

    def _on_recovery(self, session: Session, promise: int, raw: Any) -> None:
        storage = session.number
        table = read_table(raw) if raw else None
        if self._phase is _Phase.RECOVERING:
            self._claims[storage] = Claim(storage, promise, table)
            self._consider()
        elif self._phase is _Phase.DECIDING:
            self._answer(session, (promise, table.table_id if table else None))
        else:
            self._welcome(session, promise, table)

    def _lose_storage(self, storage: StorageId) -> None:
        session = self._storages.pop(storage)
        session.close()
        if self._phase is _Phase.RECOVERING:
            self._claims.pop(storage, None)
            self._ready_since = None
        elif self._phase is _Phase.DECIDING:
            raise _Stopped(f"storage node {storage} was lost during recovery")
        elif self._phase is _Phase.RUNNING:
            self._outdate(storage)

    # -- recovery

    def _consider(self) -> None:
        """Go on when the rule names a source, and all are there or were waited for."""
        claims = tuple(self._claims[it] for it in sorted(self._claims))
        if not claims:
            return
        decided = self._decide(claims)
        if decided is None:
            self._ready_since = None
            return
        source, table = decided
        if self._ready_since is None:
            self._ready_since = self._now()
        is_whole = table.holders <= source.participants
        waited_seconds = self._now() - self._ready_since
        if not is_whole and waited_seconds < GRACE_SECONDS:
            return
        for storage in sorted(set(self._storages) - source.participants):
            # It comes again: its claim would be of before.
            self._storages.pop(storage).close()
        self._phase = _Phase.DECIDING
        self._source, self._table, self._epoch = source, table, source.epoch
        participants = sorted(source.participants)
        self._ask_all(
            participants,
            [("promise", source.epoch), ("ask_recovery",)],
            lambda: self._promised(participants),
        )

    def _decide(self, claims: tuple[Claim, ...]) -> tuple[Any, Table] | None:
        rule = self._rule
        if not any(claim.table for claim in claims):
            founders = self._places.founders
            if not founders <= {claim.storage for claim in claims}:
                self.reason = "storage nodes of a new neo_cluster are missing"
                return None
            table = rule.plan_first_table(founders, 1)
            return rule.Source(table, founders, rule.FIRST_EPOCH), table
        source = rule.find_source(claims)
        if isinstance(source, rule.Wait):
            self.reason = source.reason
            return None
        table = rule.plan_table(source)
        if self._change is not None:
            new = self._change.apply(table)
            verdict = rule.may_replace(source, claims, new)
            if verdict:
                return rule.replace(source, claims, new), new
            self.reason = verdict.reason
        return source, table

    def _ask_all(
        self,
        storages: Iterable[StorageId],
        messages: list[Message],
        then: Callable[[], None],
    ) -> None:
        self._answers = {}
        self._then = then
        asked = list(storages)
        self._waiting = set(asked)
        for storage in asked:
            for message in messages:
                self._storages[storage].send(*message)
        if not asked:
            then()

    def _answer(self, session: Session, value: Any) -> None:
        if session.number in self._waiting:
            self._waiting.remove(session.number)
            self._answers[session.number] = value
            if not self._waiting:
                self._then()

    def _promised(self, participants: list[StorageId]) -> None:
        for storage, (promise, _) in self._answers.items():
            if promise != self._epoch:
                raise _Stopped(f"storage node {storage} promised {promise}")
        self._ask_all(participants, [("ask_locked",)], lambda: self._told(participants))

    def _told(self, participants: list[StorageId]) -> None:
        source = self._source
        claims = [
            evolve(claim, unfinished=self._answers[claim.storage])
            for claim in self._claims.values()
            if claim.storage in self._answers
        ]
        verdict: dict[Ttid, Tid] = dict(self._rule.find_locked(source, claims))
        voted = tuple(sorted(self._rule.find_open(source, claims)))
        row = source.table.rows[0]
        asked = sorted(row.readable & source.participants) if voted else []

        def told_final() -> None:
            for storage in asked:
                verdict.update(self._answers[storage])
            self._give_table(participants, verdict)

        self._ask_all(asked, [("ask_final", voted)], told_final)

    def _on_locked_are(self, session: Session, unfinished: Any) -> None:
        self._answer(session, unfinished)

    def _on_final(self, session: Session, tids: Any) -> None:
        self._answer(session, tids)

    def _give_table(
        self, participants: list[StorageId], verdict: dict[Ttid, Tid]
    ) -> None:
        told = [("validate", *each) for each in sorted(verdict.items())]
        self._ask_all(
            participants,
            [*told, ("table", raw_table(self._table)), ("ask_recovery",)],
            lambda: self._stored(participants, verdict),
        )

    def _stored(self, participants: list[StorageId], verdict: dict[Ttid, Tid]) -> None:
        for storage, (promise, table_id) in self._answers.items():
            if (promise, table_id) != (self._epoch, self._table.table_id):
                raise _Stopped(f"storage node {storage} kept {table_id}")
        if self._epoch == self._rule.FIRST_EPOCH:
            raise _Stopped("created; now it starts")
        self._change = None
        for storage in participants:
            if storage in self._table.readable:
                for each in sorted(verdict.items()):
                    self._storages[storage].send("validate", *each)
        self._ask_all(
            participants, [("ask_last",)], lambda: self._run(participants, verdict)
        )

    def _on_last(self, session: Session, tid: Tid, oid: Oid) -> None:
        self._answer(session, (tid, oid))

    def _run(self, participants: list[StorageId], verdict: dict[Ttid, Tid]) -> None:
        last_tids = [tid for tid, _ in self._answers.values()]
        self._last_acknowledged = max(*last_tids, *verdict.values(), NO_TID)
        self._last_oid = max(oid for _, oid in self._answers.values())
        jump = self._runtime.entropy.randrange(*JUMPS)
        self._last_tid: Tid = p64(u64(self._last_acknowledged) + jump)
        self._phase = _Phase.RUNNING
        self._yielded_count = 0
        self.reason = "runs"
        self._tell_history(history.Epoch(self._now(), self._host, self._epoch))
        for storage in participants:
            self._start(storage)

    def _start(self, storage: StorageId) -> None:
        self._starting.add(storage)
        self._storages[storage].send("start", self._last_tid)

    # -- running: the table

    def _check_change(
        self, connected: Collection[StorageId], heard: tuple[int, ...] = ()
    ) -> None:
        verdict = self._rule.may_change(self._table, connected, heard)
        if not verdict:
            raise _Stopped(verdict.reason)

    def _welcome(self, session: Session, promise: int, table: Table | None) -> None:
        """Let a storage node come back, unless it knows of a later epoch."""
        storage = session.number
        epoch = table.table_id.epoch if table else 0
        self._check_change(set(self._storages), (epoch, promise))
        if storage not in self._table.holders:
            return
        if table is None and not promise:
            # A holder that lost its disk, and with it what it promised.
            self._storages.pop(storage).close()
            return
        session.send("table", raw_table(self._table))
        self._start(storage)

    def _on_ready(self, session: Session) -> None:
        self._starting.discard(session.number)
        self._ready.add(session.number)
        self._tell_clients()
        self._begin_transactions()
        self._let_replicate()

    def _outdate(self, storage: StorageId) -> None:
        self._ready.discard(storage)
        self._starting.discard(storage)
        self._replicating.pop(storage, None)
        self._check_change(set(self._storages))
        for transaction in self._transactions.values():
            transaction.ready.discard(storage)
            transaction.waiting.discard(storage)
            transaction.lockers.discard(storage)
        rows = tuple(
            Row(row.holders, row.readable - {storage}) for row in self._table.rows
        )
        if rows != self._table.rows:
            if not all(row.readable & self._storages.keys() for row in rows):
                raise _Stopped("nobody who has all is left")
            self._replace_rows(rows)
        self._end_transactions()
        self._begin_transactions()

    def _replace_rows(self, rows: tuple[Row, ...]) -> None:
        number = self._table.table_id
        number = TableId(number.epoch, number.counter + 1)
        self._table = Table(number, rows)
        raw = raw_table(self._table)
        for session in self._storages.values():
            session.send("change", raw)
        self._tell_clients()

    def _tell_clients(self) -> None:
        for client in self._clients:
            client.send("table", raw_table(self._table), sorted(self._ready))

    def _on_unfinished(self, session: Session) -> None:
        """A storage node wants to copy: when all ended that passed it by."""
        storage = session.number
        self._replicating[storage] = {
            transaction.ttid
            for transaction in self._transactions.values()
            if storage not in transaction.ready
        }
        self._let_replicate()

    def _let_replicate(self) -> None:
        for storage in sorted(self._replicating):
            self._replicating[storage] &= self._transactions.keys()
            sources = sorted(self._table.readable & self._ready)
            if not self._replicating[storage] and sources:
                del self._replicating[storage]
                source = self._runtime.entropy.choice(sources)
                self._storages[storage].send(
                    "replicate", source, self._last_acknowledged
                )

    def _on_replicated(self, session: Session) -> None:
        self._check_change(set(self._storages))
        self._replace_rows(
            tuple(
                Row(row.holders, row.readable | {session.number})
                for row in self._table.rows
            )
        )

    # -- running: transactions

    def _on_client(self, session: Session) -> None:
        if self._phase is _Phase.FOLLOWING:
            session.send("follow", self._named_primary())
        elif self._phase is not _Phase.RUNNING:
            session.send("come_again")
        else:
            session.role = "client"
            self._clients[session] = None
            session.send("welcome", self._last_acknowledged)
            session.send("table", raw_table(self._table), sorted(self._ready))

    def _lose_client(self, session: Session) -> None:
        self._clients.pop(session, None)
        for transaction in tuple(self._transactions.values()):
            if transaction.client is session and transaction.tid == NO_TID:
                self._abort(transaction)

    def _on_ask(self, session: Session, number: int, verb: str, *values: Any) -> None:
        if self._phase is _Phase.RUNNING and session in self._clients:
            getattr(self, f"_on_ask_{verb}")(session, number, *values)

    def _on_ask_last(self, session: Session, number: int) -> None:
        session.send("answer", number, self._last_acknowledged)

    def _on_ask_oids(self, session: Session, number: int) -> None:
        first = u64(self._last_oid) + 1
        self._last_oid = p64(first + OIDS_PER_CALL - 1)
        session.send("answer", number, first)

    def _on_ask_begin(self, session: Session, number: int) -> None:
        self._begins.append((session, number))
        self._begin_transactions()

    def _begin_transactions(self) -> None:
        """Begin what was asked for, unless a storage node is about to be ready."""
        if self._starting:
            return
        begins, self._begins = self._begins, []
        for session, number in begins:
            if session in self._clients:
                ttid = self._next_tid()
                self._transactions[ttid] = _Transaction(
                    ttid, session, set(self._ready), self._table.readable
                )
                session.send("answer", number, (ttid, sorted(self._ready)))

    def _on_abort(self, session: Session, ttid: Ttid) -> None:
        transaction = self._transactions.get(ttid)
        if session in self._clients and transaction and transaction.tid == NO_TID:
            self._abort(transaction)

    def _abort(self, transaction: _Transaction) -> None:
        del self._transactions[transaction.ttid]
        for storage in sorted(transaction.ready):
            self._storages[storage].send("abort", transaction.ttid)
        self._let_replicate()

    def _on_ask_finish(
        self,
        session: Session,
        number: int,
        ttid: Ttid,
        oids: tuple[Oid, ...],
        failed: tuple[StorageId, ...],
    ) -> None:
        transaction = self._transactions.get(ttid)
        if transaction is None:
            session.send("answer", number, None)
            return
        # The client may count those that came while it was there, too.
        unreached = transaction.ready & set(failed)
        is_checked = transaction.checkers & transaction.ready - unreached
        if not is_checked or (
            unreached and not self._is_operational(self._ready - unreached)
        ):
            self._abort(transaction)
            session.send("answer", number, None)
            return
        for storage in sorted(unreached):
            self._excluded[storage] = self._now() + EXCLUDED_SECONDS
            if storage in self._storages:
                self._lose_storage(storage)
        transaction.number, transaction.oids = number, oids
        transaction.tid = self._next_tid()
        transaction.waiting = set(transaction.ready)
        self._queue.append(transaction)
        for storage in sorted(transaction.waiting):
            self._storages[storage].send("lock", ttid, transaction.tid)

    def _is_operational(self, storages: set[StorageId]) -> bool:
        rows = self._table.rows
        return bool(self._rule.check_majority(rows, storages)) and all(
            row.readable & storages for row in rows
        )

    def _next_tid(self) -> Tid:
        self._last_tid = later_tid(self._runtime.calendar.now(), self._last_tid)
        return self._last_tid

    def _on_locked(self, session: Session, ttid: Ttid) -> None:
        transaction = self._transactions.get(ttid)
        if transaction is not None and session.number in transaction.waiting:
            transaction.waiting.remove(session.number)
            transaction.lockers.add(session.number)
            self._end_transactions()

    def _end_transactions(self) -> None:
        """End in the order of their tids those that wait for nobody."""
        ending = self._rule.Ending
        while self._queue:
            transaction = self._queue[0]
            decided = self._rule.decide_ending(
                self._table.rows, transaction.waiting, transaction.lockers
            )
            if decided is ending.WAIT:
                return
            if decided is ending.IN_DOUBT:
                raise _Stopped("a transaction is in doubt: too few regions locked it")
            self._queue.popleft()
            self._acknowledge(transaction)

    def _acknowledge(self, transaction: _Transaction) -> None:
        tid = transaction.tid
        del self._transactions[transaction.ttid]
        self._last_acknowledged = tid
        if transaction.client in self._clients:
            transaction.client.send("answer", transaction.number, tid)
        for client in self._clients:
            if client is not transaction.client:
                client.send("invalidate", tid, transaction.oids)
        for storage in sorted(transaction.lockers):
            self._storages[storage].send("unlock", transaction.ttid, tid)
        self._let_replicate()

    # -- an operator

    def change_holders(self, change: Any) -> None:
        """Let the next recovery take other holders: it begins at once."""
        self._change = change

        def stop() -> None:
            raise _Stopped("the holders change")

        self._guarded(stop)
