"""Shell. A neo_master that obeys the quorum of regions. Imports NEO.

``python neo_master.py OPTIONS``: those of NEO's neomaster, and ``--verdict FILE``.
"""

from __future__ import annotations

import json
import random
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from neo.lib import logging  # type: ignore[import-untyped]
from neo.lib.app import buildOptionParser  # type: ignore[import-untyped]
from neo.lib.exception import StoppedOperation  # type: ignore[import-untyped]
from neo.lib.protocol import Errors  # type: ignore[import-untyped]
from neo.master.app import (  # type: ignore[import-untyped]
    Application,
    RecoveryManager,
    VerificationManager,
    monotonic_time,
)

from replication import quorum
from replication.neo.dismissal import DISMISSED
from replication.neo.recovering import Deciding, Plan, Recovering
from replication.neo.serving import (
    Administration,
    QuorumTable,
    StorageService,
    Transactions,
)
from replication.observation import StorageId, region_of
from replication.pacing import EXCLUDED_SECONDS

MANAGERS = {RecoveryManager: Recovering, VerificationManager: Deciding}


@buildOptionParser
class NeoMaster(Application):  # type: ignore[misc] # NEO has no types
    """A candidate, a primary or a follower of one."""

    @classmethod
    def _buildOptionParser(cls) -> None:
        super()._buildOptionParser()
        group = cls.option_parser.group("quorum")
        group.path("verdict", help="file for what it last decided, and why, in JSON")

    newPartitionTable: Any

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.tm = Transactions(self.onTransactionCommitted)
        self.newPartitionTable = partial(QuorumTable, *self.newPartitionTable.args)
        self.storage_service_handler = StorageService(self)
        self.administration_handler = Administration(self)
        self.verdict = ""
        self.verdict_file = config.get("verdict")
        #: What the recovery that goes on was decided to do.
        self.plan: Plan | None = None
        #: Holders that an operator wants, and those of a new neo_cluster.
        self.change: quorum.Change | None = None
        self.creation_layout: frozenset[StorageId] | None = None
        self._yielded_count = 0
        self._excluded: dict[StorageId, float] = {}

    def runManager(self, manager_klass: Any) -> None:
        super().runManager(MANAGERS[manager_klass])

    # -- elections

    def newElection(self) -> float:
        """Return what candidates compare, lower first: not a time of any clock."""
        return 1 + self._yielded_count + random.random()  # noqa: S311

    def yieldElection(self) -> None:
        """Let others try: no majority came to this candidate."""
        self._yielded_count += 1
        self.primary = self.newElection()

    def playSecondaryRole(self) -> None:
        # Whoever asked for it asks the other primary now.
        self.change = None
        host, port, *_ = self.primary_master.getAddress()
        self.tellVerdict(f"follows the neo_master of {host} port {port}")
        super().playSecondaryRole()

    def provideService(self) -> None:
        self._yielded_count = 0
        self.tellVerdict("runs")
        super().provideService()

    # -- the rule

    def onTransactionCommitted(self, txn: Any) -> None:
        waiting = txn._lock_wait_uuid_set
        lockers = txn._uuid_set - waiting
        rows = self.pt.rows_of(txn.offsets)
        ending = quorum.decide_ending(rows, waiting, lockers)
        if ending is not quorum.Ending.ACKNOWLEDGE:
            self.stop("a transaction is in doubt: too few regions locked it")
        super().onTransactionCommitted(txn)

    def stop(self, reason: str) -> None:
        """Go back to recovery. Never returns."""
        self.tellVerdict(reason)
        # An argument would be an id to truncate at.
        raise StoppedOperation

    def connectedStorages(self) -> frozenset[StorageId]:
        return frozenset(
            peer.getUUID() for peer in self.nm.getStorageList(only_identified=True)
        )

    def exclude(self, storage: StorageId) -> None:
        """Keep a storage node out for a while: clients do not reach it."""
        self._excluded[storage] = self.seconds() + EXCLUDED_SECONDS

    def isExcluded(self, storage: StorageId) -> bool:
        return self.seconds() < self._excluded.get(storage, 0.0)

    def refuses(self, conn: Any) -> bool:
        """Whether a storage node has no region, and was sent away."""
        if region_of(conn.getUUID()):
            return False
        self.refuse(conn, "a storage node with a region is expected")
        return True

    @staticmethod
    def refuse(conn: Any, reason: str) -> None:
        """Send a storage node away; it writes the reason into its log."""
        logging.warning("%r is refused: %s", conn, reason)
        conn.send(Errors.ProtocolError(reason))
        conn.abort()

    def dismiss(self, conn: Any, reason: str) -> None:
        """Send a storage node away for good: its program ends with the reason."""
        self.refuse(conn, f"{DISMISSED}{reason}")

    # -- what it says

    @staticmethod
    def seconds() -> float:
        return time.monotonic()  # noqa: TID251 - NEO has its own event loop

    def wakeAfter(self, seconds: float) -> None:
        """Have the event loop turn once more then, though nothing comes."""
        at = time.time() + seconds  # noqa: TID251 - the clock of its timeouts
        self.em.setTimeout(at, lambda: None)

    @staticmethod
    def newTimestamp() -> float:
        return monotonic_time()  # type: ignore[no-any-return]

    def tellVerdict(self, reason: str) -> None:
        """Keep what was decided last, where `storage status` finds it."""
        if reason == self.verdict:
            return
        logging.warning("verdict: %s", reason)
        self.verdict = reason
        if self.verdict_file:
            told = {"verdict": reason, "since": time.time()}  # noqa: TID251
            keep_verdict(Path(self.verdict_file), json.dumps(told))


def keep_verdict(path: Path, text: str) -> None:
    """Write it, or leave nothing: a full disk is no reason to end."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text)
        new.replace(path)
    except OSError as error:
        logging.warning("the verdict is not kept: %s", error)
        for stale in (path, new):
            with suppress(OSError):
                stale.unlink()


def main() -> None:
    config = NeoMaster.option_parser.parse()
    logging.setup(config.get("logfile"))
    NeoMaster(config).run()


if __name__ == "__main__":
    main()
