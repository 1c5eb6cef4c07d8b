"""Shell. Finds the service that the master of a cloud is, if it is one of its own."""

from __future__ import annotations

from slap.errors import MethodNotAllowed, NotFound
from slap.reports import CloudReport, TreeReport
from slapcluster.hosting.outlook import candidates, is_of_master
from slapcluster.master import Master


async def find_tree_of_master(master: Master, cloud: CloudReport) -> TreeReport | None:
    """Return its tree; ``None`` for a master that is hosted nowhere."""
    try:
        listed = (await master.replicas()).replicas
    except (MethodNotAllowed, NotFound):
        # A master of others, or an older one.
        return None
    if not listed:
        return None
    for title in candidates(cloud.trees):
        tree = await master.tree(title)
        if is_of_master(tree, listed):
            return tree
    return None
