"""Shell. The replicas of the master as they are kept: each tells of itself."""

from __future__ import annotations

from master_cluster.store.schema import StoredReplicas
from slap.errors import Refusal
from slap.replicas import REPLICA_COUNT_MAX, ListedReplica, ReplicasReport


class Replicas:
    """The replicas of one snapshot."""

    def __init__(self, stored: StoredReplicas) -> None:
        self._stored = stored

    @property
    def oid(self) -> bytes:
        """The id of what is committed whenever the list changes."""
        oid: bytes = self._stored._p_oid  # noqa: SLF001 - the interface of persistence
        return oid

    def list(self) -> tuple[ListedReplica, ...]:
        """Return all, by address."""
        return tuple(ListedReplica(*it) for it in sorted(self._stored.regions.items()))

    def announce(self, replica: ListedReplica) -> None:
        """Tell of a replica; nothing is written when it is told of already."""
        known = self._stored.regions
        if known.get(replica.url) == replica.region:
            return
        if len({*known, replica.url}) > REPLICA_COUNT_MAX:
            raise Refusal(
                f"there are {REPLICA_COUNT_MAX} replicas already; take one that is gone"
                " out with `slapcluster replica forget URL`"
            )
        self._stored.regions = {**known, replica.url: replica.region}

    def forget(self, url: str) -> ReplicasReport:
        """Tell of a replica no more; of who is not told of, nothing is written."""
        known = dict(self._stored.regions)
        if known.pop(url, None) is not None:
            self._stored.regions = known
        return ReplicasReport(self.list())
