"""What is true of a store at all times."""

from __future__ import annotations

from master_cluster.store.cloud import Cloud
from master_cluster.store.invariants import find_flaws


def check_cloud(cloud: Cloud) -> None:
    """Fail when an index and the records disagree, or a partition is used twice."""
    assert list(find_flaws(cloud)) == []
