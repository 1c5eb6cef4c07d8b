"""Shell. Has the cells of NEO made, once, from the first region.

A program of that region does it, since a pass of the agent ends before the programs of
the region begin. When there are cells it bangs: so all regions and the root publish
that, and this program is wanted no more.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from replication.neo.neoctl import ask, start_neo_cluster
from runtime.ports import Runtime
from slapcluster.hosting.banging import bang_until_heard
from slapcluster.hosting.configuring import read_asked, read_in_force
from slapcluster.hosting.planning import has_cells, may_create
from slapcluster.pausing import pause
from slapcluster.printing import print_note

LOOK_SECONDS = 2.0
"""Each look is a Python program of its own."""


async def have_cells_made(runtime: Runtime, home: str) -> None:
    """Wait until cells may be made, have them made, tell the master; never return."""
    told = ""
    while True:
        obstacle = await _look(runtime, home)
        if obstacle is None:
            break
        if obstacle != told:
            print_note(f"no cells yet: {obstacle}")
            told = obstacle
        await pause(runtime.clock, LOOK_SECONDS)
    print_note("there are cells")
    await bang_until_heard(runtime, home, "the neo_cluster has cells")
    # What ended would be started again.
    await Deferred()


async def _look(runtime: Runtime, home: str) -> str | None:
    """Have cells made if all is there; say what is not, ``None`` if there are some."""
    tree = runtime.file_tree(home)
    in_force = read_in_force(tree)
    if in_force is None or not in_force.admin_node:
        return "the region is not configured"
    (answer, *_) = await ask(runtime, (in_force.admin_node,))
    if has_cells(answer):
        return None
    obstacle = may_create(read_asked(tree).wanted, in_force.published, answer)
    if obstacle:
        return obstacle
    # Refused when a storage node is just entering; the next turn asks again.
    refusal = await start_neo_cluster(runtime, answer.admin_node)
    return refusal or "they are being made"
