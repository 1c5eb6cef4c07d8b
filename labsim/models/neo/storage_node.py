"""Shell. A storage node: one primary at a time, promises, tables, votes, locks, copies.

It serves clients, and storage nodes that copy from it, while a primary lets it operate;
when that is lost, so is all that it was asked and did not answer.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort

from labsim.models.neo.places import NeoPlaces
from labsim.models.neo.sessions import Message, Session, Silences, Welcoming
from labsim.models.neo.storage_disk import NO_TID, Oid, StorageDisk, Vote
from labsim.models.neo.tables import raw_table, read_table
from replication.observation import Tid, Ttid
from runtime.ports import Runtime

RETRY_SECONDS = 0.5
"""Between two attempts to find a primary, as in NEO."""

LAZY_SECONDS = 1.0
"""How long NEO leaves what it unlocked uncommitted: it can be done again."""

ABORTED_MAX = 1000
"""Aborted transactions that are remembered: what a client voted may come later."""


_Changes = tuple[tuple[Oid, Tid, bytes], ...]
_Checks = tuple[tuple[Oid, Tid], ...]


class Refused(Exception):
    """What a storage node was told and does not do: it goes."""


@frozen(eq=False)
class _Delayed:
    """What waits until a transaction ended: who asked, and what."""

    session: Session
    message: Message


class StorageNode(Service):
    """One life of a storage node."""

    def __init__(
        self, runtime: Runtime, places: NeoPlaces, disk: StorageDisk, rule: ModuleType
    ) -> None:
        self.silences = Silences(runtime)
        self._runtime = runtime
        self._places = places
        self._rule = rule
        self._disk = disk
        disk.roll_back()
        self._port: IListeningPort | None = None
        self._primary: Session | None = None
        self._source: Session | None = None
        self._last_place = runtime.entropy.randrange(len(places.neo_masters))
        self._is_stopping = False
        self._guests: dict[Session, None] = {}
        self._calls: dict[str, IDelayedCall] = {}
        self._end_session()

    def startService(self) -> None:
        endpoint = self._runtime.network.server_endpoint(
            self._places.storage_nodes[self._disk.storage]
        )
        welcoming = Welcoming(self._runtime, self)
        endpoint.listen(welcoming).addCallback(self._listening)
        self._seek(self._last_place)

    async def stopService(self) -> None:
        self._is_stopping = True
        self._end_session()
        for call in self._calls.values():
            if call.active():
                call.cancel()
        self._disk.commit()
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)

    def _listening(self, port: IListeningPort) -> None:
        self._port = port

    # -- sessions

    def heard(self, session: Session, message: Message) -> None:
        verb, *values = message
        try:
            if session is self._primary:
                getattr(self, f"_do_{verb}")(*values)
            elif session is self._source:
                self._on_fetched(*values)
            elif self._is_operating:
                self._guests[session] = None
                getattr(self, f"_serve_{verb}")(session, *values)
            else:
                session.close()
        except Refused as error:
            self._runtime.log.info("refused: {error}", error=error)
            self._restart(RETRY_SECONDS)

    def lost(self, session: Session) -> None:
        if session is self._primary:
            self._restart(0.0 if self._is_welcome else RETRY_SECONDS)
        elif session is self._source:
            self._source = None
            self._later("replicate", RETRY_SECONDS, self._ask_to_replicate)
        else:
            self._guests.pop(session, None)

    def _seek(self, place: int) -> None:
        self._last_place = place
        self._primary = Session(self._runtime, self)
        self._primary.send("storage", self._disk.storage)
        self._primary.dial(self._places.neo_masters[place])

    def _restart(self, delay_seconds: float) -> None:
        place, addresses = self._last_place, self._places.neo_masters
        is_known = self._promised is not None or self._is_adopted
        if not is_known or not self.silences.may_try(addresses[place]):
            place = self.silences.next_place(addresses, place)
        self._end_session()
        self._later("seek", delay_seconds, lambda: self._seek(place))

    def _end_session(self) -> None:
        """Forget what belongs to a primary."""
        if self._primary is not None:
            self._primary.close()
            self._primary = None
        for guest in tuple(self._guests):
            guest.close()
        self._guests.clear()
        self._is_welcome = False
        self._is_adopted = False
        self._is_operating = False
        self._promised: int | None = None
        self._verdict: dict[Ttid, Tid] = {}
        self._delayed: list[_Delayed] = []
        self._writers: dict[Oid, Ttid] = {}
        self._aborted: dict[Ttid, None] = {}
        self._started_after: Tid = NO_TID
        if self._source is not None:
            self._source.close()
            self._source = None

    def _later(self, name: str, delay_seconds: float, call: Any) -> None:
        """Call once, and not what was to be called under this name before."""
        known = self._calls.get(name)
        if known is not None and known.active():
            known.cancel()
        if not self._is_stopping:
            self._calls[name] = self._runtime.clock.callLater(delay_seconds, call)

    def _tell(self, *message: Any) -> None:
        if self._primary is not None:
            self._primary.send(*message)

    # -- what a neo_master says

    def _do_follow(self, place: int | None) -> None:
        self._end_session()
        if place is not None:
            self._later("seek", 0.0, lambda: self._seek(place))
            return
        addresses = self._places.neo_masters
        other = self.silences.next_place(addresses, self._last_place)
        self._later("seek", RETRY_SECONDS, lambda: self._seek(other))

    def _do_come_again(self) -> None:
        self._end_session()
        self._later("seek", RETRY_SECONDS, lambda: self._seek(self._last_place))

    def _do_ask_recovery(self) -> None:
        self._is_welcome = True
        disk = self._disk
        raw = raw_table(disk.table) if disk.table else None
        self._tell("recovery", disk.promise, raw)

    def _do_ask_locked(self) -> None:
        disk = self._disk
        unfinished: dict[Ttid, Tid | None] = {
            ttid: disk.locks.get(ttid) for ttid in disk.votes
        }
        self._tell("locked_are", {**unfinished, **disk.verdict})

    def _do_ask_final(self, ttids: tuple[Ttid, ...]) -> None:
        known = self._disk.final_tids
        self._tell("final", {ttid: known[ttid] for ttid in ttids if ttid in known})

    def _do_promise(self, epoch: int) -> None:
        disk = self._disk
        verdict = self._rule.may_promise(disk.promise, disk.table_id.epoch, epoch)
        if not verdict:
            raise Refused(verdict.reason)
        disk.promise = epoch
        disk.commit()
        self._promised = epoch

    def _do_table(self, raw: Any) -> None:
        disk = self._disk
        table = read_table(raw)
        self._check_adoptable(raw)
        epoch = table.table_id.epoch
        if self._promised not in {None, epoch}:
            raise Refused(f"promised {self._promised}, not {epoch}")
        is_readable = disk.storage in table.readable
        if is_readable and self._promised is None:
            raise Refused("readable in a table that was not promised")
        settlement = self._rule.settle(
            is_readable=is_readable,
            voted=tuple(disk.votes),
            verdict=self._verdict,
            needed=[it for it in self._verdict if it not in disk.final_tids],
        )
        if settlement.missing:
            raise Refused(f"never voted {sorted(settlement.missing)}")
        for ttid in settlement.to_drop:
            disk.drop(ttid)
        disk.locks.update(settlement.to_lock)
        disk.verdict = dict(self._verdict)
        disk.adopt(table)
        disk.commit()
        self._is_adopted = True

    def _do_change(self, raw: Any) -> None:
        self._check_adoptable(raw)
        if self._is_adopted:
            self._disk.adopt(read_table(raw))
            self._disk.commit()

    def _check_adoptable(self, raw: Any) -> None:
        disk = self._disk
        own = disk.table_id if disk.table else None
        verdict = self._rule.may_adopt(disk.promise, own, read_table(raw).table_id)
        if not verdict:
            raise Refused(verdict.reason)

    def _do_validate(self, ttid: Ttid, tid: Tid) -> None:
        if not self._is_adopted:
            self._verdict[ttid] = tid
        elif ttid in self._verdict:
            self._disk.unlock(ttid, tid)
        else:
            raise Refused(f"{ttid.hex()} is not in the verdict")

    def _do_ask_last(self) -> None:
        self._disk.commit()
        self._tell("last", self._disk.last_tid, self._disk.last_oid)

    def _do_start(self, last_tid: Tid) -> None:
        if not self._is_adopted:
            raise Refused("a start without a table")
        self._disk.forget_verdict()
        self._is_operating = True
        self._started_after = last_tid
        self._tell("ready")
        if not self._disk.is_readable:
            self._ask_to_replicate()

    def _do_lock(self, ttid: Ttid, tid: Tid) -> None:
        disk = self._disk
        if not self._is_operating or ttid not in disk.votes:
            raise Refused(f"{ttid.hex()} is not voted")
        disk.locks[ttid] = tid
        disk.commit()
        self._tell("locked", ttid)

    def _do_unlock(self, ttid: Ttid, tid: Tid) -> None:
        self._disk.unlock(ttid, tid)
        self._later("commit", LAZY_SECONDS, self._disk.commit)
        self._release(ttid)

    def _do_abort(self, ttid: Ttid) -> None:
        self._aborted[ttid] = None
        if len(self._aborted) > ABORTED_MAX:
            del self._aborted[next(iter(self._aborted))]
        self._disk.drop(ttid)
        self._disk.commit()
        self._release(ttid)

    # -- copying

    def _ask_to_replicate(self) -> None:
        if self._is_operating and not self._disk.is_readable:
            self._tell("unfinished")

    def _do_replicate(self, source: int, upto: Tid) -> None:
        """Copy from a storage node: nothing until this tid passes this one by."""
        if self._source is not None:
            self._source.close()
        self._source = Session(self._runtime, self)
        self._source.send("fetch", self._disk.floor or NO_TID, upto)
        self._source.dial(self._places.storage_nodes[source])

    def _on_fetched(self, rows: tuple[Any, ...]) -> None:
        for tid, ttid, changes, description in rows:
            self._disk.add(tid, ttid, Vote(changes, description))
        self._disk.commit()
        if self._source is not None:
            self._source.close()
            self._source = None
        self._tell("replicated")

    def _serve_fetch(self, session: Session, floor: Tid, upto: Tid) -> None:
        if not self._disk.is_readable:
            session.close()
        elif any(tid <= upto for tid in self._disk.locks.values()):
            self._delay(session, "fetch", floor, upto)
        else:
            rows = tuple(
                (tid, ttid, vote.changes, vote.description)
                for tid, ttid, vote in self._disk.above(floor, upto)
            )
            session.send("fetched", rows)

    # -- clients

    def _serve_hello(self, session: Session, epoch: int) -> None:
        """Let a client stay that has the same primary; NEO asks who let it in."""
        if epoch != self._disk.table_id.epoch:
            session.close()

    def _serve_load(self, session: Session, number: int, oid: Oid, before: Tid) -> None:
        if self._is_locked(oid):
            self._delay(session, "load", number, oid, before)
        elif self._disk.is_readable:
            session.send("answer", number, self._disk.revisions(oid).before(before))
        else:
            session.close()

    def _serve_vote(
        self,
        session: Session,
        number: int,
        ttid: Ttid,
        wanted: tuple[_Changes, _Checks, tuple[bytes, bytes, bytes]],
    ) -> None:
        """Keep what a transaction changes, or answer with what is in its way."""
        changes, checks, description = wanted
        if ttid <= self._started_after:
            # Its end will not be told to this storage node.
            session.send("answer", number, ("late", ()))
            return
        if ttid in self._aborted:
            session.send("answer", number, ("gone", ()))
            return
        known = (*((oid, serial) for oid, serial, _ in changes), *checks)
        # One that is out of date keeps what the others agree to.
        if self._disk.is_readable:
            holders = [self._writers[oid] for oid, _ in known if oid in self._writers]
            others = [it for it in holders if it != ttid]
            if any(it < ttid for it in others):
                # Who is younger waits, so nobody waits for each other.
                self._delay(session, "vote", number, ttid, wanted)
                return
            if others:
                session.send("answer", number, ("busy", ()))
                return
            conflicts = self._conflicts(known)
            if conflicts:
                session.send("answer", number, ("conflicts", conflicts))
                return
        vote = Vote(tuple((oid, data) for oid, _, data in changes), description)
        self._disk.votes[ttid] = vote
        self._disk.commit()
        self._writers.update((oid, ttid) for oid, _ in known)
        session.send("answer", number, ("voted", ()))

    def _conflicts(self, known: _Checks) -> _Checks:
        """Return the present serials of those objects that have others by now."""
        present = ((oid, self._disk.revisions(oid).last_tid) for oid, _ in known)
        return tuple(
            now for now, before in zip(present, known, strict=True) if now != before
        )

    def _is_locked(self, oid: Oid) -> bool:
        """Whether it is about to get a revision that was acknowledged by now.

        Who asks for an earlier one waits too: they would keep that as the present one,
        and may have been told of the next one already.
        """
        return self._writers.get(oid) in self._disk.locks

    def _delay(self, session: Session, *message: Any) -> None:
        self._delayed.append(_Delayed(session, message))

    def _release(self, ttid: Ttid) -> None:
        for oid in [oid for oid, held in self._writers.items() if held == ttid]:
            del self._writers[oid]
        delayed, self._delayed = self._delayed, []
        for it in delayed:
            if not it.session.is_over:
                self.heard(it.session, it.message)
