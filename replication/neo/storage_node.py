"""Shell. A storage node that promises, and refuses what is below. Imports NEO.

``python storage_node.py OPTIONS``: those of NEO's neostorage, and ``--region NUMBER``.
"""

from __future__ import annotations

import errno
import json
import os
import random
import sqlite3
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from neo.lib import logging, util  # type: ignore[import-untyped]
from neo.lib.app import buildOptionParser  # type: ignore[import-untyped]
from neo.lib.bootstrap import BootstrapManager  # type: ignore[import-untyped]
from neo.lib.protocol import (  # type: ignore[import-untyped]
    NodeTypes,
    Packets,
    ProtocolError,
)
from neo.storage.app import Application  # type: ignore[import-untyped]
from neo.storage.database import DatabaseFailure  # type: ignore[import-untyped]
from neo.storage.handlers.initialization import (  # type: ignore[import-untyped]
    InitializationHandler,
)

from replication import quorum
from replication.neo.dismissal import dismissal_of
from replication.neo.views import view_table
from replication.observation import (
    REGION_ID_MAX,
    REGION_SPAN,
    TableId,
    decode_table_id,
    encode_table_id,
    region_of,
)
from replication.programs import ROOM_BYTES

ROOM_SECONDS = 1.0
"""How often a storage node looks whether somebody made room."""


class Keeper:
    """What a database keeps besides NEO's tables, in its configuration."""

    def __init__(self, dm: Any) -> None:
        self._dm = dm

    @property
    def promise(self) -> int:
        return int(self._dm.getConfiguration("promise") or 0)

    @promise.setter
    def promise(self, epoch: int) -> None:
        self._dm._setConfiguration("promise", str(epoch))

    @property
    def verdict(self) -> dict[bytes, bytes]:
        found = json.loads(self._dm.getConfiguration("verdict") or "{}")
        return {util.bin(ttid): util.bin(tid) for ttid, tid in found.items()}

    @verdict.setter
    def verdict(self, verdict: dict[bytes, bytes]) -> None:
        told = {util.dump(ttid): util.dump(tid) for ttid, tid in verdict.items()}
        text = json.dumps(told) if told else None
        self._dm._setConfiguration("verdict", text)

    def lock(self, ttid: bytes, tid: bytes) -> None:
        """As ``lockTransaction``, which would commit."""
        self._dm.query(
            "UPDATE ttrans SET tid=? WHERE ttid=?", (util.u64(tid), util.u64(ttid))
        )

    def drop(self, ttid: bytes) -> None:
        dm = self._dm
        data_ids = [
            data_id
            for (data_id,) in dm.query(
                "SELECT data_id FROM tobj WHERE tid=? AND data_id IS NOT NULL",
                (util.u64(ttid),),
            )
        ]
        dm.abortTransaction(ttid)
        dm.releaseData(data_ids, True)

    def has_committed(self, partition: int, ttid: bytes) -> bool:
        number = util.u64(ttid)
        found = self._dm.query(
            "SELECT 1 FROM trans WHERE partition=? AND tid>=? AND ttid=?",
            (partition, number, number),
        )
        return found.fetchone() is not None


class Bootstrap(BootstrapManager):  # type: ignore[misc] # NEO has no types
    """Looks for a primary."""

    def protocolError(self, conn: Any, message: str) -> None:
        super().protocolError(conn, message)
        end_if_dismissed(message)


class Initialization(InitializationHandler):  # type: ignore[misc]
    """One session with a primary, until it starts; rule 4 from the other side."""

    def __init__(self, app: Any) -> None:
        # NEO's __new__ has kept ``app``; having this method makes it one per session.
        self._promised: int | None = None
        self._is_adopted = False
        self._verdict: dict[bytes, bytes] = {}

    def protocolError(self, conn: Any, message: str) -> None:
        super().protocolError(conn, message)
        end_if_dismissed(message)

    @property
    def _keeper(self) -> Keeper:
        return Keeper(self.app.dm)

    @property
    def _own_id(self) -> TableId:
        return decode_table_id(self.app.dm.getPTID() or 0)[0]

    def askRecovery(self, conn: Any) -> None:
        number = encode_table_id(self._own_id, self._keeper.promise)
        dm = self.app.dm
        conn.answer(
            Packets.AnswerRecovery(
                number or None, dm.getBackupTID(), dm.getTruncateTID()
            )
        )

    def askLockedTransactions(self, conn: Any) -> None:
        unfinished = self.app.dm.getUnfinishedTIDDict()
        conn.answer(
            Packets.AnswerLockedTransactions({**unfinished, **self._keeper.verdict})
        )

    def sendPartitionTable(
        self, conn: Any, ptid: int, num_replicas: int, row_list: Any
    ) -> None:
        _, promise = decode_table_id(ptid)
        if promise:
            self._promise(promise)
        else:
            self._adopt(conn, ptid, num_replicas, row_list)

    def _promise(self, epoch: int) -> None:
        keeper = self._keeper
        verdict = quorum.may_promise(keeper.promise, self._own_id.epoch, epoch)
        if not verdict:
            raise ProtocolError(verdict.reason)
        keeper.promise = epoch
        self.app.dm.commit()
        self._promised = epoch

    def _adopt(self, conn: Any, ptid: int, num_replicas: int, row_list: Any) -> None:
        app = self.app
        keeper = self._keeper
        table = view_table(ptid, row_list)
        table_id = table.table_id
        verdict = quorum.may_adopt(keeper.promise, self._own_id, table_id)
        if not verdict:
            raise ProtocolError(verdict.reason)
        if self._promised not in {None, table_id.epoch}:
            raise ProtocolError(f"promised {self._promised}, not {table_id.epoch}")
        is_readable = app.uuid in table.readable
        if is_readable and self._promised is None:
            raise ProtocolError("readable in a table that was not promised")
        needed = []
        for ttid in self._verdict:
            partition = util.u64(ttid) % len(table.rows)
            if app.uuid in table.rows[partition].readable and not keeper.has_committed(
                partition, ttid
            ):
                needed.append(ttid)
        settlement = quorum.settle(
            is_readable=is_readable,
            voted=list(app.dm.getUnfinishedTIDDict()),
            verdict=self._verdict,
            needed=needed,
        )
        if settlement.missing:
            raise ProtocolError(
                f"never voted {sorted(map(util.dump, settlement.missing))}"
            )
        for ttid in sorted(settlement.to_drop):
            keeper.drop(ttid)
        for ttid, tid in sorted(settlement.to_lock.items()):
            keeper.lock(ttid, tid)
        keeper.verdict = self._verdict
        # In one commit with the above: nothing commits before its last line.
        super().sendPartitionTable(conn, ptid, num_replicas, row_list)
        self._is_adopted = True
        logging.info(
            "took table %s: %s locked, %s dropped",
            table_id,
            len(settlement.to_lock),
            len(settlement.to_drop),
        )

    def notifyPartitionChanges(self, conn: Any, *args: Any) -> None:
        # What comes before the whole table is part of it.
        if self._is_adopted:
            super().notifyPartitionChanges(conn, *args)

    def validateTransaction(self, conn: Any, ttid: bytes, tid: bytes) -> None:
        if not self._is_adopted:
            self._verdict[ttid] = tid
        elif ttid in self._verdict:
            self.app.dm.unlockTransaction(tid, ttid, True, True)
        else:
            raise ProtocolError(f"{util.dump(ttid)} is not in the verdict")

    def askLastIDs(self, conn: Any) -> None:
        self.app.dm.commit()
        super().askLastIDs(conn)

    def startOperation(self, conn: Any, backup: Any) -> None:
        if not self._is_adopted:
            raise ProtocolError("a start without a table")
        # All that are readable have committed it.
        self._keeper.verdict = {}
        super().startOperation(conn, backup)


@buildOptionParser
class StorageNode(Application):  # type: ignore[misc] # NEO has no types
    """A storage node with a region, which is part of its number."""

    @classmethod
    def _buildOptionParser(cls) -> None:
        super()._buildOptionParser()
        group = cls.option_parser.group("quorum")
        group.int("region", help=f"number of its region, 1 to {REGION_ID_MAX}")

    devpath: Any
    uuid: Any

    def __init__(self, config: Any) -> None:
        self._region = config.get("region")
        if not self._region or not 1 <= self._region <= REGION_ID_MAX:
            sys.exit(f"--region NUMBER is missing: 1 to {REGION_ID_MAX}")
        super().__init__(config)
        self.devpath = (str(self._region), *self.devpath)

    def loadConfiguration(self) -> None:
        super().loadConfiguration()
        if self.uuid is None:
            # Drawn: a number that was used, by a disk that is lost, is not used again.
            drawn = random.randrange(1, REGION_SPAN)  # noqa: S311
            self.uuid = self._region * REGION_SPAN + drawn
            self.dm.setUUID(self.uuid)
        elif region_of(self.uuid) != self._region:
            sys.exit(
                f"error: the database is of region {region_of(self.uuid)}, "
                f"not of {self._region}"
            )

    def connectToPrimary(self) -> None:
        own = self.uuid
        bootstrap = Bootstrap(
            self, NodeTypes.STORAGE, self.server, self.devpath, self.new_nid
        )
        self.master_node, self.master_conn = bootstrap.getPrimaryConnection()
        if self.uuid != own:
            sys.exit(f"error: another storage node has the number {own}")
        self.loadPartitionTable()

    def initialize(self) -> None:
        self.master_conn.setHandler(Initialization(self))
        while not self.operational:
            self._poll()
        self.master_conn.send(Packets.NotifyReady())


def has_room(directory: Path) -> bool:
    """Whether ``ROOM_BYTES`` may be written: no quota or reserve is overlooked."""
    try:
        with TemporaryFile(dir=directory) as file:
            os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
    except OSError as error:
        return error.errno not in {errno.ENOSPC, errno.EDQUOT}
    return True


def wait_for_room(directory: Path) -> None:
    """Return when there is room, however long that takes."""
    if has_room(directory):
        return
    logging.error(
        "the disk of %s is full: this storage node begins when %s bytes are free",
        directory,
        ROOM_BYTES,
    )
    while not has_room(directory):
        time.sleep(ROOM_SECONDS)  # noqa: TID251 - nothing runs yet
    logging.warning("there is room again")


def end_if_dismissed(refusal: str) -> None:
    """End this program when a neo_master says so, with its reason."""
    reason = dismissal_of(refusal)
    if reason:
        sys.exit(f"error: {reason}")


def main() -> None:
    config = StorageNode.option_parser.parse()
    logging.setup(config.get("logfile"))
    wait_for_room(Path(config["database"]).expanduser().resolve().parent)
    try:
        StorageNode(config).run()
    except (DatabaseFailure, sqlite3.Error) as error:
        sys.exit(f"error: database {config['database']}: {error}")


if __name__ == "__main__":
    main()
