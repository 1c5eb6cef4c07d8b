"""Core. Which instances to remove: those to be destroyed whose programs stopped.

Apart from the other plans because one-shot passes of stock nodes perform it apart.
"""

from __future__ import annotations

from slap.model import Computer, RequestedState
from slapgrid.convergence.draft import Draft
from slapgrid.convergence.plans import DestroyInstance, Plan, Verdict
from slapgrid.convergence.retrying import Effort, RetryMemory
from slapgrid.convergence.views import LocalPartition, LocalView


def plan_destruction(
    desired: Computer, observed: LocalView, memory: RetryMemory, now: float
) -> Plan:
    """Remove the instances that are to be destroyed and have stopped."""
    draft = Draft(memory, now)
    for partition in sorted(desired.partitions, key=lambda each: each.key):
        instance = partition.instance
        partition_id = partition.key.partition_id
        local = observed.partitions.get(
            partition_id, LocalPartition(partition_id, is_formatted=False)
        )
        if (
            instance is None
            or partition.requested_state is not RequestedState.DESTROYED
            or local.programs is not None
        ):
            continue
        if not local.has_content:
            draft.report(partition, instance, Verdict.DESTROYED)
        elif not draft.add(DestroyInstance(partition_id)):
            failure = draft.failure(Effort.DESTROY, partition_id)
            assert failure is not None, "only a failure delays a destruction"
            draft.report(partition, instance, Verdict.ERROR, failure.message)
    return draft.finished()
