"""Shell. What a running primary may do, and what an operator may ask of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# First: its other modules import it, and it imports them.
import neo.master.app  # type: ignore[import-untyped] # noqa: F401
from neo.lib.exception import StoppedOperation  # type: ignore[import-untyped]
from neo.lib.handler import AnswerDenied  # type: ignore[import-untyped]
from neo.lib.protocol import (  # type: ignore[import-untyped]
    ClusterStates,
    Errors,
    NodeStates,
    Packets,
)
from neo.master.handlers.administration import (  # type: ignore[import-untyped]
    AdministrationHandler,
)
from neo.master.handlers.storage import (  # type: ignore[import-untyped]
    StorageServiceHandler,
)
from neo.master.pt import PartitionTable  # type: ignore[import-untyped]
from neo.master.transactions import TransactionManager  # type: ignore[import-untyped]

from replication import quorum
from replication.neo.views import view_partition_table, view_row
from replication.observation import (
    COUNTER_MAX,
    Claim,
    Row,
    StorageId,
    decode_table_id,
)


class QuorumTable(PartitionTable):  # type: ignore[misc] # NEO has no types
    """Works only with a majority of each neo_partition."""

    def operational(self, exclude_list: Iterable[StorageId] = ()) -> bool:
        if not super().operational(exclude_list):
            return False
        running = {
            peer.getUUID() for peer in self.getNodeSet() if peer.isRunning()
        } - set(exclude_list)
        return bool(quorum.check_majority(view_partition_table(self).rows, running))

    def setNextID(self) -> int:
        table_id, _ = decode_table_id(self.getID())
        if table_id.counter >= COUNTER_MAX:
            # One more would read as the next epoch, which nobody promised.
            raise StoppedOperation
        number: int = super().setNextID()
        return number

    def rows_of(self, offsets: Iterable[int]) -> list[Row]:
        return [view_row(self.getRow(offset)) for offset in offsets]


class Transactions(TransactionManager):  # type: ignore[misc]
    """Keeps of each transaction which neo_partitions it touches."""

    def prepare(
        self, app: Any, ttid: bytes, oid_list: Any, checked_list: Any, msg_id: Any
    ) -> Any:
        for storage in self[ttid]._failed:
            # Its client did not reach it, we may: it would come back at once, and be
            # lost again with the next transaction.
            app.exclude(storage)
        tid, nodes = super().prepare(app, ttid, oid_list, checked_list, msg_id)
        if tid:
            touched = (ttid, *oid_list, *checked_list)
            self[ttid].offsets = set(map(app.pt.getPartition, touched))
        return tid, nodes


class StorageService(StorageServiceHandler):  # type: ignore[misc]
    """Storage nodes while a neo_cluster runs."""

    def handlerSwitched(self, conn: Any, new: bool) -> None:
        if self.app.refuses(conn):
            return
        if new and self.app.isExcluded(conn.getUUID()):
            self.app.refuse(conn, "clients did not reach it a moment ago")
        elif new or not self._is_holder(conn):
            # It may have promised another primary more than this epoch.
            conn.ask(Packets.AskRecovery())
        else:
            super().handlerSwitched(conn, new)

    def answerRecovery(
        self, conn: Any, ptid: int | None, backup_tid: Any, truncate_tid: Any
    ) -> None:
        if not self._is_running():
            return
        table_id, promise = decode_table_id(ptid or 0)
        heard = (table_id.epoch, promise)
        if table_id.epoch and not self._is_holder(conn):
            # Of an addition that was interrupted, if it has nothing.
            conn.ask(Packets.AskLastIDs(), heard=heard)
            return
        self._check_change(heard=heard)
        peer = self.app.nm.getByUUID(conn.getUUID())
        if not table_id.epoch and not promise and peer.isRunning():
            # A holder that lost its disk, and with it what it promised. One that never
            # had a table promised something before it became a holder.
            self.app.refuse(conn, "a storage node that lost its disk is a new one")
            return
        super().handlerSwitched(conn, True)

    def answerInformationLocked(self, conn: Any, ttid: bytes) -> None:
        # A recovery has begun meanwhile, which forgets what it has to decide.
        if ttid in self.app.tm:
            super().answerInformationLocked(conn, ttid)

    def answerLastIDs(
        self, conn: Any, oid: bytes | None, tid: bytes | None, heard: tuple[int, ...]
    ) -> None:
        """Nobody is asked whose cells are known: it has a past that is not ours."""
        if not self._is_running():
            return
        if tid is not None:
            # Whatever it promised: those who have a cell did not.
            self.app.dismiss(
                conn,
                "its database has transactions, and it has no cell here: it was "
                "removed, or is of another neo_cluster of that name. Put it aside "
                "and start with none",
            )
            return
        self._check_change(heard=heard)
        super().handlerSwitched(conn, True)

    def _is_running(self) -> bool:
        """Whether no recovery began since something was asked: it asks for itself."""
        return bool(self.app.cluster_state == ClusterStates.RUNNING)

    def _is_holder(self, conn: Any) -> bool:
        return conn.getUUID() in view_partition_table(self.app.pt).holders

    def connectionLost(self, conn: Any, new_state: Any) -> None:
        app = self.app
        peer = app.nm.getByUUID(conn.getUUID())
        if app.listening_conn and peer is not None and peer.isRunning():
            try:
                self._check_change(lost=conn.getUUID())
            except StoppedOperation:
                # The table stays as it is: who is right about it is decided there.
                peer.setDown()
                app.broadcastNodesInformation([peer])
                raise
        super().connectionLost(conn, new_state)

    def _check_change(
        self, heard: tuple[int, ...] = (), lost: StorageId | None = None
    ) -> None:
        app = self.app
        connected = app.connectedStorages() - {lost}
        table = view_partition_table(app.pt)
        verdict = quorum.may_change(table, connected, heard)
        if not verdict:
            app.stop(verdict.reason)


class Administration(AdministrationHandler):  # type: ignore[misc]
    """What an operator may ask: nothing that a majority has to decide."""

    def setClusterState(self, conn: Any, cluster_state: Any) -> None:
        if cluster_state == ClusterStates.VERIFYING:
            self._create(conn)
        elif cluster_state == ClusterStates.STOPPING:
            super().setClusterState(conn, cluster_state)
        else:
            raise AnswerDenied(
                "this neo_cluster is copied by `slapcluster storage backup`"
            )

    def _create(self, conn: Any) -> None:
        app = self.app
        if app.cluster_state != ClusterStates.RECOVERING:
            raise AnswerDenied("it runs already")
        if app.pt.filled():
            raise AnswerDenied(f"it starts by itself; it waits: {app.verdict}")
        holders = app.connectedStorages()
        table = quorum.plan_first_table(holders, app.pt.getPartitions())
        verdict = quorum.check_layout(table)
        if not verdict:
            raise AnswerDenied(f"not created: {verdict.reason}")
        app.creation_layout = holders
        conn.answer(Errors.Ack("Cluster state changed"))

    def setNodeState(self, conn: Any, uuid: StorageId, node_state: Any) -> None:
        peer = self.app.nm.getByUUID(uuid)
        if peer is None or not peer.isStorage():
            super().setNodeState(conn, uuid, node_state)
        elif node_state == NodeStates.UNKNOWN:
            self._change(conn, quorum.Change(removed=frozenset({uuid})))
        else:
            raise AnswerDenied("stop its program instead: the others go on without it")

    def addPendingNodes(self, conn: Any, uuid_list: Iterable[StorageId]) -> None:
        pending = {
            peer.getUUID()
            for peer in self.app.nm.getStorageList(only_identified=True)
            if peer.isPending()
        }
        added = frozenset(uuid_list) & pending
        if not added:
            raise AnswerDenied("none of them is a storage node that waits to be added")
        self._change(conn, quorum.Change(added=added))

    def _change(self, conn: Any, change: quorum.Change) -> None:
        app = self.app
        if app.cluster_state != ClusterStates.RUNNING:
            raise AnswerDenied(f"it does not run: {app.verdict}")
        table = view_partition_table(app.pt)
        epoch = table.table_id.epoch
        present = app.connectedStorages() | change.added
        claims = [
            Claim(it, epoch, table if it in table.holders else None) for it in present
        ]
        source = quorum.Source(table, present & table.holders, epoch + 1)
        verdict = quorum.may_replace(source, claims, change.apply(table))
        if not verdict:
            raise AnswerDenied(verdict.reason)
        app.change = change
        conn.answer(Errors.Ack("it begins another epoch with other holders"))
        app.stop("the holders change")

    def tweakPartitionTable(self, conn: Any, *_: Any) -> None:
        raise AnswerDenied("each storage node has everything: add or drop one instead")

    def setNumReplicas(self, conn: Any, *_: Any) -> None:
        raise AnswerDenied("each region has a copy: add or drop a storage node instead")

    def truncate(self, conn: Any, *_: Any) -> None:
        raise AnswerDenied("restore a backup into a new neo_cluster instead")
