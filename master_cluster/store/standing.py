"""Shell. The standing of a state, as it is kept, and how nothing gets past it.

A decision that changes anything runs to its end before the state is frozen, or is
refused: it conflicts with the freeze, and meets the frozen state when it runs again.
Where decisions have marks, a freeze writes all marks; else each decision relies on the
standing. One object that all rely on would have them wait for each other in NEO.
"""

from __future__ import annotations

from master_cluster.store.relying import rely_on
from master_cluster.store.schema import StoredCloud, StoredStanding
from master_cluster.transferring import KeptStanding, refusal_of_changes
from slap.replicas import ListedReplica
from slap.transfer import Standing


class StandingOfState:
    """The standing of one snapshot."""

    def __init__(self, stored: StoredCloud) -> None:
        self._stored = stored

    @property
    def oid(self) -> bytes:
        """The id of what is committed whenever the standing changes."""
        oid: bytes = self._kept._p_oid  # noqa: SLF001 - the interface of persistence
        return oid

    def read(self) -> KeptStanding:
        kept = self._kept
        replicas = tuple(ListedReplica(*it) for it in kept.replicas)
        return KeptStanding(Standing(kept.standing), replicas, kept.digest)

    def write(self, standing: KeptStanding) -> None:
        """Write it, if it is another one; then no decision of before passes any more.

        A mark that is written again still tells that its commit was made.
        """
        if standing == self.read():
            return
        kept = self._kept
        kept.standing = str(standing.standing)
        kept.replicas = tuple((it.url, it.region) for it in standing.replicas)
        kept.digest = standing.digest
        for mark in self._stored.marks.values():
            mark._p_changed = True  # noqa: SLF001 - the interface of persistence

    def check_changeable(self) -> None:
        """Refuse what changes a state that is not open, but for its standing."""
        if self._kept._p_changed:  # noqa: SLF001 - the interface of persistence
            return
        refusal = refusal_of_changes(self.read())
        if refusal is not None:
            raise refusal

    def rely(self) -> None:
        """Let the transaction fail when somebody else changes the standing."""
        if not self._kept._p_changed:  # noqa: SLF001 - the interface of persistence
            rely_on(self._kept)

    @property
    def _kept(self) -> StoredStanding:
        kept: StoredStanding = self._stored.standing
        return kept
