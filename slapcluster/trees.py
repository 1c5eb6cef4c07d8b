"""Shell. Requests a root instance and follows its whole tree."""

from __future__ import annotations

from collections.abc import Callable

from slap.errors import NotFound, NotReady
from slap.model import InstanceRequest, RequestedInstance, RequestedState
from slap.reports import InstanceReport, TreeReport
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed
from slapcluster.settling import changed_at_of, gone_activity, tree_activity
from slapcluster.waiting import wait_for


async def request_and_wait(
    master: Master,
    wanted: InstanceRequest,
    show: Callable[[str], None],
    limit_seconds: float,
) -> RequestedInstance:
    """Request until accepted, and wait until the whole tree is as wanted."""

    async def ask() -> RequestedInstance | None:
        try:
            return await master.request_instance(wanted)
        except NotReady:
            return None

    accepted = await wait_for(
        master,
        ask,
        lambda instance: "" if instance else "accepted, not placed yet",
        show,
        limit_seconds,
    )
    assert accepted is not None
    if wanted.requested_state is RequestedState.DESTROYED:
        await wait_until_gone(master, wanted.title, show, limit_seconds)
        return accepted
    changed_at = changed_at_of(accepted.timestamp)
    await wait_for(
        master,
        lambda: master.tree(wanted.title),
        lambda tree: tree_activity(tree, changed_at),
        show,
        limit_seconds,
    )
    # Asking again changes nothing and gives what was published meanwhile.
    return await master.request_instance(wanted)


async def wait_until_gone(
    master: Master, title: str, show: Callable[[str], None], limit_seconds: float
) -> None:
    """Wait until no instance of the tree is left in a partition."""

    async def tree() -> TreeReport:
        try:
            return await master.tree(title)
        except NotFound:
            return TreeReport(title)

    await wait_for(master, tree, gone_activity, show, limit_seconds)


async def root_of(master: Master, title: str) -> InstanceReport:
    """Return the root instance of a tree, or say that there is none."""
    tree = await master.tree(title)
    if not tree.instances:
        raise CommandFailed(
            f"There is no service {title!r}. `slapcluster service list` shows all."
        )
    return tree.instances[0]


def request_of(
    root: InstanceReport, requested_state: RequestedState
) -> InstanceRequest:
    """Return the request that changes the state of a root instance and nothing else."""
    return InstanceRequest(
        title=root.title,
        software_release_url=root.software_release_url,
        software_type=root.software_type,
        parameters=root.parameters,
        # A shared instance stays with its host; an instance stays in its partition.
        allocation_filter={},
        requested_state=requested_state,
        is_shared=root.is_shared,
    )
