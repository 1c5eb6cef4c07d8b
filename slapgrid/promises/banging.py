"""Banging: asking the master to process an instance tree again, once per deployment.

The agent bangs for promises, the watchdog for services; both do it here. The mark that
says so is written when the master has acknowledged, while the partition is held: of two
that bang at the same time the second finds the mark. Losing power between the
acknowledgement and the mark is the one way to bang twice.
"""

from __future__ import annotations

from collections.abc import Callable

from runtime.ports import IFileTree, Runtime
from slap import calls
from slap.model import PartitionKey
from slapgrid.convergence.banging import Deployment
from slapgrid.convergence.views import BangMark
from slapgrid.instance.reading import read_if_there
from slapgrid.layout import BANG_FILE, TIMESTAMP_FILE
from slapgrid.platform import Hold
from slapgrid.slap_client import SlapClient

#: The clock of a master is none of ours; a timestamp is a short text.
TIMESTAMP_BYTES_MAX = 4096


class Bangs:
    """Bangs for the partitions of a computer."""

    def __init__(
        self,
        computer_id: str,
        runtime: Runtime,
        tree: IFileTree,
        client: SlapClient,
        hold: Callable[[str], Hold | None],
    ) -> None:
        self._computer_id = computer_id
        self._runtime = runtime
        self._tree = tree
        self._client = client
        self._hold = hold

    def deployment(self, partition_id: str) -> Deployment:
        """What is deployed in a partition now."""
        files = self._tree.subtree(partition_id)
        return Deployment(read_timestamp(files), read_bang_mark(files))

    async def bang(
        self, partition_id: str, timestamp: str | None, message: str
    ) -> str | None:
        """Bang for a deployment unless it had its bang; the reason when that fails.

        One that is no longer deployed needs none. Raises what the client raises.
        """
        hold = self._hold(self._tree.path(partition_id))
        if hold is None:
            return f"another program bangs for {partition_id}"
        try:
            deployment = self.deployment(partition_id)
            if deployment.timestamp != timestamp or deployment.is_banged:
                return None
            key = PartitionKey(self._computer_id, partition_id)
            self._runtime.log.info(
                "bang for {partition}: {reason}", partition=partition_id, reason=message
            )
            await self._client.perform(calls.bang_instance(key, message))
            self._tree.subtree(partition_id).write(
                BANG_FILE, deployment.next_mark.encode()
            )
        finally:
            hold.release()
        return None


def read_timestamp(files: IFileTree) -> str | None:
    """The deployment of a partition; ``None`` while it has none."""
    content = read_if_there(files, TIMESTAMP_FILE, TIMESTAMP_BYTES_MAX)
    return None if content is None else content.decode(errors="replace")


def read_bang_mark(files: IFileTree) -> BangMark | None:
    """The deployment that a partition banged for last."""
    status = files.status(BANG_FILE)
    content = read_if_there(files, BANG_FILE, TIMESTAMP_BYTES_MAX)
    if status is None or content is None:
        return None
    return BangMark(content.decode(errors="replace"), status.modified)
