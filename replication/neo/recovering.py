"""Shell. How a primary comes to run: rules 3 and 4 of ``docs/protocols/quorum.md``.

``Recovering`` collects a claim of each storage node until ``quorum`` names a source.
``Deciding`` then asks, of the nodes of that source and in this order, for their
promise, for what they have unfinished, to take the table with the verdict, and to
commit it. Each step is answered by all before the next; whoever is lost sends everybody
back to the beginning.

Protocol 6 has no packet for a promise: it is a SendPartitionTable without any row whose
number has the promise above the epoch. A storage node that does not know of promises
refuses it and goes.
"""

from __future__ import annotations

import random
from typing import Any

# First: its other modules import it, and it imports them.
import neo.master.app  # type: ignore[import-untyped] # noqa: F401
from attrs import evolve, frozen
from neo.lib import logging  # type: ignore[import-untyped]
from neo.lib.protocol import (  # type: ignore[import-untyped]
    CellStates,
    ClusterStates,
    NodeStates,
    NodeTypes,
    NotReadyError,
    Packets,
    ProtocolError,
)
from neo.lib.util import addTID  # type: ignore[import-untyped]
from neo.master.handlers.identification import (  # type: ignore[import-untyped]
    IdentificationHandler,
)
from neo.master.recovery import RecoveryManager  # type: ignore[import-untyped]
from neo.master.verification import VerificationManager  # type: ignore[import-untyped]

from replication import quorum
from replication.neo.dismissal import DISMISSED
from replication.neo.views import view_table
from replication.observation import (
    Claim,
    Row,
    StorageId,
    Table,
    TableId,
    decode_table_id,
    encode_table_id,
)
from replication.pacing import GRACE_SECONDS, JUMPS, YIELD_SECONDS


@frozen
class Plan:
    """What a recovery was decided to do."""

    source: quorum.Source
    table: Table
    replica_count: int
    claims: tuple[Claim, ...]

    @property
    def is_creation(self) -> bool:
        return self.table.table_id.epoch == quorum.FIRST_EPOCH


class Identification(IdentificationHandler):  # type: ignore[misc] # NEO has no types
    """Who comes to a primary."""

    def requestIdentification(
        self,
        conn: Any,
        node_type: Any,
        uuid: Any,
        address: Any,
        name: str,
        *more: Any,
    ) -> None:
        self.checkClusterName(name)
        there = self.app.nm.getByUUID(uuid) if node_type == NodeTypes.STORAGE else None
        if (
            there is not None
            and there.isIdentified()
            and there.getAddress() not in {None, address}
        ):
            host, port, *_ = there.getAddress()
            raise ProtocolError(
                f"{DISMISSED}storage node S{uuid} is here already, at {host} port "
                f"{port}: a disk and its copy do not run at the same time. Put the "
                "copy aside and start with none"
            )
        known = self.app.nm.getByAddress(address) if address else None
        if (
            node_type == NodeTypes.STORAGE
            and known is not None
            and known.getUUID() not in {None, uuid}
            and not known.isIdentified()
        ):
            # NEO would give the cells of who was there to whoever is there now.
            known.setAddress(None)
            self.app.broadcastNodesInformation([known])
        super().requestIdentification(conn, node_type, uuid, address, name, *more)


class Recovering(RecoveryManager):  # type: ignore[misc] # NEO has no types
    """Waits for a majority, whoever else is primary elsewhere."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._claims: dict[StorageId, Claim] = {}
        self._promises: dict[StorageId, int] = {}
        self._begun = app.seconds()
        self._ready_since: float | None = None

    def run(self) -> None:
        self.app.plan = None
        # What is not acknowledged yet is decided here, whoever answers its lock now.
        self.app.tm.reset()
        self.app.listening_conn.setHandler(Identification(self.app))
        super().run()

    def handlerSwitched(self, conn: Any, new: bool) -> None:
        if self.app.refuses(conn):
            return
        self._forget(conn.getUUID())
        super().handlerSwitched(conn, new)

    def connectionLost(self, conn: Any, new_state: Any) -> None:
        self._forget(conn.getUUID())
        super().connectionLost(conn, new_state)

    def _forget(self, storage: StorageId) -> None:
        self._claims.pop(storage, None)
        self._promises.pop(storage, None)
        self._ready_since = None

    def answerRecovery(
        self, conn: Any, ptid: int | None, backup_tid: Any, truncate_tid: Any
    ) -> None:
        table_id, promise = decode_table_id(ptid or 0)
        storage = conn.getUUID()
        if table_id.epoch:
            self._promises[storage] = promise
            conn.ask(Packets.AskPartitionTable())
        else:
            self._claims[storage] = Claim(storage, promise, None)

    def answerPartitionTable(
        self, conn: Any, ptid: int, num_replicas: int, row_list: Any
    ) -> None:
        storage = conn.getUUID()
        table = view_table(ptid, row_list)
        self._claims[storage] = Claim(storage, self._promises.pop(storage), table)
        known = self.app.pt.getID()
        if known is None or known < ptid:
            new_nodes = self.app.pt.load(ptid, num_replicas, row_list, self.app.nm)
            self._notifyAdmins(
                Packets.NotifyNodeInformation(self.app.newTimestamp(), new_nodes),
                Packets.SendPartitionTable(ptid, num_replicas, row_list),
            )

    def _challenge(self) -> None:
        now = self.app.seconds()
        if self._ready_since is None and now - self._begun > YIELD_SECONDS:
            self._begun = now
            self.app.yieldElection()
            self.try_secondary = True
            # They find whoever is primary elsewhere.
            for peer in self.app.nm.getStorageList(only_identified=True):
                peer.getConnection().close()
        super()._challenge()

    def _getStartingNodeList(self) -> Any:
        app = self.app
        nodes = {
            peer.getUUID(): peer
            for peer in app.nm.getStorageList(only_identified=True)
            if peer.isPending() and not peer.getConnection().isPending()
        }
        claims = tuple(it for it in self._claims.values() if it.storage in nodes)
        found = self._decide(claims)
        if isinstance(found, quorum.Wait):
            self._ready_since = None
            app.tellVerdict(found.reason)
            return None
        now = app.seconds()
        if self._ready_since is None:
            self._ready_since = now
            present, holders = len(found.source.participants), len(found.table.holders)
            logging.info("a majority is there: %s of %s", present, holders)
            # Else it would be noticed with whatever comes next, a second later.
            app.wakeAfter(GRACE_SECONDS)
        is_whole = found.table.holders <= set(found.source.participants)
        if not is_whole and now - self._ready_since < GRACE_SECONDS:
            return None
        # Who is not among them comes again: its claim would be of before.
        for storage in sorted(found.table.holders - found.source.participants):
            peer = app.nm.getByUUID(storage)
            if peer is not None and peer.isConnected(True):
                peer.getConnection().close()
        app.plan = found
        app.tellVerdict(f"begins epoch {found.source.epoch}")
        return [nodes[it] for it in sorted(found.source.participants)]

    def _decide(self, claims: tuple[Claim, ...]) -> Plan | quorum.Wait:
        app = self.app
        if app.creation_layout and not any(claim.table for claim in claims):
            return self._plan_creation(claims)
        source = quorum.find_source(claims)
        if isinstance(source, quorum.Wait):
            return source
        table = quorum.plan_table(source)
        if app.change is not None:
            new = app.change.apply(table)
            verdict = quorum.may_replace(source, claims, new)
            if verdict:
                source = quorum.replace(source, claims, new)
                table = new
            else:
                logging.warning("the holders do not change: %s", verdict.reason)
        return Plan(source, table, app.pt.getReplicas(), claims)

    def _plan_creation(self, claims: tuple[Claim, ...]) -> Plan | quorum.Wait:
        holders = frozenset(claim.storage for claim in claims)
        table = quorum.plan_first_table(holders, self.app.pt.getPartitions())
        verdict = quorum.check_layout(table)
        if not verdict or holders != self.app.creation_layout:
            return quorum.Wait(verdict.reason or "storage nodes changed since `start`")
        source = quorum.Source(table, holders, quorum.FIRST_EPOCH)
        return Plan(source, table, len(holders) - 1, claims)

    def _makePartitionTable(self, node_list: Any) -> None:
        app = self.app
        plan = app.plan
        rows = [
            [(it, _cell_state(row, it)) for it in sorted(row.holders)]
            for row in plan.table.rows
        ]
        number = encode_table_id(plan.table.table_id)
        new_nodes = app.pt.load(number, plan.replica_count, rows, app.nm)
        self._notifyAdmins(
            Packets.NotifyNodeInformation(app.newTimestamp(), new_nodes),
            Packets.SendPartitionTable(number, plan.replica_count, rows),
        )


def _cell_state(row: Row, storage: StorageId) -> Any:
    return CellStates.UP_TO_DATE if storage in row.readable else CellStates.OUT_OF_DATE


class Deciding(VerificationManager):  # type: ignore[misc] # NEO has no types
    """Promise, verdict, table, commit: each answered by all participants."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self._plan: Plan = app.plan
        self._unfinished: dict[StorageId, dict[bytes, bytes | None]] = {}
        self._tid: bytes | None = None
        self._expected: TableId | None = None

    def identifyStorageNode(self, known: bool) -> Any:
        # It would have to be asked for everything. It comes again in a second.
        raise NotReadyError("a recovery goes on without you: come again")

    def handlerSwitched(self, conn: Any, new: bool) -> None:
        """Nothing is sent before the promise."""

    def connectionLost(self, conn: Any, new_state: Any) -> None:
        app = self.app
        peer = app.nm.getByUUID(conn.getUUID())
        if peer is None or peer.isDown() or not app.listening_conn:
            return
        self._uuid_set.discard(conn.getUUID())
        is_participant = peer.isRunning()
        peer.setState(NodeStates.DOWN)
        app.broadcastNodesInformation([peer])
        if is_participant:
            app.stop(f"storage node {conn.getUUID()} was lost during recovery")

    def run(self) -> None:
        app = self.app
        app.changeClusterState(ClusterStates.VERIFYING)
        app.tm.reset()
        storages = sorted(self._plan.source.participants)
        nodes = [app.nm.getByUUID(it) for it in storages]
        self._promise(nodes)
        verdict = self._find_verdict(nodes)
        self._give_table(nodes, verdict)
        if self._plan.is_creation:
            app.creation_layout = None
            app.stop("created; now it starts")
        app.change = None
        self._commit(nodes, verdict)
        self._askStorageNodesAndWait(Packets.AskLastIDs(), nodes)
        last = app.tm.getLastTID()
        app.setLastTransaction(last)
        app.tm.setLastTID(addTID(last, random.randrange(*JUMPS)))  # noqa: S311

    def _promise(self, nodes: list[Any]) -> None:
        plan = self._plan
        own = {claim.storage: claim.table for claim in plan.claims}
        for peer in nodes:
            table = own[peer.getUUID()]
            table_id = table.table_id if table else TableId(0, 0)
            number = encode_table_id(table_id, promise=plan.source.epoch)
            peer.send(Packets.SendPartitionTable(number, plan.replica_count, []))
        self._askStorageNodesAndWait(Packets.AskRecovery(), nodes)

    def _find_verdict(self, nodes: list[Any]) -> dict[bytes, bytes]:
        source = self._plan.source
        self._askStorageNodesAndWait(Packets.AskLockedTransactions(), nodes)
        claims = [
            evolve(claim, unfinished=self._unfinished[claim.storage])
            for claim in self._plan.claims
            if claim.storage in self._unfinished
        ]
        verdict = quorum.find_locked(source, claims)
        for ttid in sorted(quorum.find_open(source, claims)):
            tid = self._find_final(ttid)
            if tid is not None:
                verdict[ttid] = tid
        return verdict

    def _give_table(self, nodes: list[Any], verdict: dict[bytes, bytes]) -> None:
        plan = self._plan
        number = encode_table_id(plan.table.table_id)
        rows = self.app.pt.getRowList()
        for peer in nodes:
            self._send_verdict(peer, verdict)
            peer.send(Packets.SendPartitionTable(number, plan.replica_count, rows))
        self._expected = plan.table.table_id
        self._askStorageNodesAndWait(Packets.AskRecovery(), nodes)

    def _commit(self, nodes: list[Any], verdict: dict[bytes, bytes]) -> None:
        for peer in nodes:
            if peer.getUUID() in self._plan.table.readable:
                self._send_verdict(peer, verdict)
        for tid in verdict.values():
            self.app.tm.setLastTID(tid)
        epoch = self._plan.source.epoch
        logging.info("epoch %s finishes %s transactions", epoch, len(verdict))

    def _send_verdict(self, peer: Any, verdict: dict[bytes, bytes]) -> None:
        for ttid, tid in sorted(verdict.items()):
            peer.send(Packets.ValidateTransaction(ttid, tid))

    def _find_final(self, ttid: bytes) -> bytes | None:
        """Return the tid of a transaction that a readable participant committed."""
        source = self._plan.source
        row = source.table.rows[self.app.pt.getPartition(ttid)]
        for storage in sorted(row.readable & source.participants):
            peer = self.app.nm.getByUUID(storage)
            self._askStorageNodesAndWait(Packets.AskFinalTID(ttid), [peer])
            if self._tid is not None:
                return self._tid
        return None

    def answerRecovery(
        self, conn: Any, ptid: int | None, backup_tid: Any, truncate_tid: Any
    ) -> None:
        table_id, promise = decode_table_id(ptid or 0)
        self._uuid_set.remove(conn.getUUID())
        if promise != self._plan.source.epoch:
            self.app.stop(f"storage node {conn.getUUID()} promised {promise}")
        if self._expected not in {None, table_id}:
            self.app.stop(f"storage node {conn.getUUID()} kept {table_id}")

    def answerLockedTransactions(self, conn: Any, tid_dict: Any) -> None:
        self._uuid_set.remove(conn.getUUID())
        self._unfinished[conn.getUUID()] = tid_dict
