"""The watchdog: it tells the master of services that ended, once per deployment.

1. A complaint is on disk before supervisord has its answer: it survives the watchdog.
2. There is one complaint for each partition, the first since its deployment: a second
   end says nothing new, and another deployment makes the first one moot.
3. It is told to any replica that answers, after growing delays while none does.
4. What the agent banged for is not banged for again (``slapgrid.promises.banging``).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from runtime.ports import FileKind, IFileTree, Runtime
from slap.errors import SlapError
from slapgrid.convergence.banging import BANG_SECONDS_MIN
from slapgrid.convergence.retrying import BACKOFFS, Effort
from slapgrid.layout import BANG_SPOOL
from slapgrid.promises.banging import Bangs
from slapgrid.supervision.events import (
    Complaint,
    ProgramEnd,
    complain,
    decode_complaint,
    encode_complaint,
)

#: A complaint is a sentence.
COMPLAINT_BYTES_MAX = 64 * 1024


class Watchdog:
    """Complaints of a computer's partitions, kept until the master has heard them.

    ``learn`` is called before each try: which replicas there are, the agent hears.
    """

    def __init__(
        self,
        runtime: Runtime,
        tree: IFileTree,
        bangs: Bangs,
        bang_seconds_min: float = BANG_SECONDS_MIN,
        learn: Callable[[], None] = lambda: None,
    ) -> None:
        self._runtime = runtime
        self._tree = tree
        self._bangs = bangs
        self._bang_seconds_min = bang_seconds_min
        self._learn = learn
        self._pending: dict[str, Complaint] = {}
        self._delivering: dict[str, Deferred[None]] = {}

    def start(self) -> None:
        """Go on with what an earlier watchdog left."""
        self._tree.make_directory(BANG_SPOOL, 0o700)
        for partition_id in self._tree.list(BANG_SPOOL):
            try:
                document = self._tree.read(_spooled(partition_id), COMPLAINT_BYTES_MAX)
                complaint = decode_complaint(document)
            except (OSError, ValueError) as error:
                self._warn(f"{_spooled(partition_id)} is not readable: {error}")
                continue
            self._deliver_soon(partition_id, complaint)

    async def stop(self) -> None:
        """Leave what is not told on disk."""
        for delivering in tuple(self._delivering.values()):
            delivering.cancel()

    def take(self, end: ProgramEnd) -> None:
        """Keep a complaint; it is told later. Ends of what is no partition are not."""
        partition_id = end.partition_id
        found = self._tree.status(partition_id)
        if found is None or found.kind is not FileKind.DIRECTORY:
            return
        deployment = self._bangs.deployment(partition_id)
        pending = self._pending.get(partition_id)
        is_known = pending is not None and pending.timestamp == deployment.timestamp
        if deployment.is_banged or is_known:
            return
        complaint = complain(end, deployment.timestamp)
        try:
            self._tree.write(_spooled(partition_id), encode_complaint(complaint), 0o600)
        except OSError as error:
            # It is told all the same, if this process lives so long.
            self._warn(f"the end of {end.process_name} is not on disk: {error}")
        self._deliver_soon(partition_id, complaint)

    def _deliver_soon(self, partition_id: str, complaint: Complaint) -> None:
        self._pending[partition_id] = complaint
        if partition_id not in self._delivering:
            # A call that is on its way must not be cut off: it may have been heard.
            self._delivering[partition_id] = Deferred()
            delivering = Deferred.fromCoroutine(self._deliver_all(partition_id))
            if partition_id in self._delivering:
                self._delivering[partition_id] = delivering
            delivering.addErrback(lambda failure: failure.trap(CancelledError) and None)

    async def _deliver_all(self, partition_id: str) -> None:
        while True:
            complaint = self._pending[partition_id]
            await self._deliver(partition_id, complaint)
            if self._pending[partition_id] is complaint:
                break
        self._tree.remove(_spooled(partition_id))
        del self._pending[partition_id], self._delivering[partition_id]

    async def _deliver(self, partition_id: str, complaint: Complaint) -> None:
        """Until the master has heard it, or it is moot."""
        failure_count = 0
        while True:
            deployment = self._bangs.deployment(partition_id)
            if deployment.timestamp != complaint.timestamp or deployment.is_banged:
                return
            now = self._runtime.calendar.now()
            wait = deployment.due_at(now, self._bang_seconds_min) - now
            if wait > 0:
                await deferLater(self._runtime.clock, wait)
                continue
            self._learn()
            try:
                failure = await self._bangs.bang(
                    partition_id, complaint.timestamp, complaint.message
                )
            except (SlapError, OSError) as error:
                failure = str(error)
            if failure is None:
                return
            failure_count += 1
            delay = BACKOFFS[Effort.BANG].delay_seconds(failure_count)
            self._warn(
                f"{complaint.message}: not told, again in {delay:g} s: {failure}"
            )
            await deferLater(self._runtime.clock, delay)

    def _warn(self, sentence: str) -> None:
        self._runtime.log.warn("{sentence}", sentence=sentence)  # noqa: G010 - Twisted's name


def _spooled(partition_id: str) -> str:
    return f"{BANG_SPOOL}/{partition_id}"
