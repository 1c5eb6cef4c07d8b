"""Core. Which instances to remove: those to be destroyed whose programs stopped.

Apart from the other plans because one-shot passes of stock nodes perform it apart.
"""

from __future__ import annotations

from slap.model import Computer, Partition, PartitionInstance, RequestedState
from slapgrid.convergence.departure import (
    BeginRetention,
    Departure,
    Keep,
    Remove,
    RunRemovalPrograms,
    decide_departure,
)
from slapgrid.convergence.draft import Draft
from slapgrid.convergence.plans import (
    DestroyInstance,
    PartitionAction,
    Plan,
    RetainInstance,
    RetireInstance,
    Verdict,
)
from slapgrid.convergence.quiet import in_order
from slapgrid.convergence.retrying import RetryMemory
from slapgrid.convergence.views import LocalPartition, LocalView

#: Each may run a program of the instance for minutes; they run side by side.
DESTROYS_PER_PLAN_MAX = 16


def has_departures(desired: Computer) -> bool:
    """Whether any instance is to be destroyed."""
    return any(
        each.requested_state is RequestedState.DESTROYED and each.instance is not None
        for each in desired.partitions
    )


def plan_destruction(
    desired: Computer, observed: LocalView, memory: RetryMemory, now: float
) -> Plan:
    """Remove the instances that are to be destroyed and have stopped."""
    draft = Draft(memory, now)
    for partition in in_order(desired):
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
        if local.has_content or local.side_groups:
            _plan_departure(draft, partition, instance, local)
        else:
            draft.report(partition, instance, Verdict.DESTROYED)
    draft.bound(DestroyInstance, DESTROYS_PER_PLAN_MAX)
    return draft.finished()


def _plan_departure(
    draft: Draft,
    partition: Partition,
    instance: PartitionInstance,
    local: LocalPartition,
) -> None:
    partition_id, guid = local.partition_id, instance.instance_guid
    departure = local.departure or Departure()
    action: PartitionAction
    match decide_departure(partition_id, departure, draft.now):
        case Keep(reason, until):
            draft.say(reason)
            if until is not None:
                draft.wake(until)
            return
        case BeginRetention(until):
            action = RetainInstance(partition_id, until)
        case RunRemovalPrograms(ended, resting):
            action = RetireInstance(partition_id, guid, ended, resting)
        case Remove():
            action = DestroyInstance(partition_id, guid)
    draft.add(action)
    failure = draft.departure_failure(partition_id)
    if failure is not None:
        draft.report(partition, instance, Verdict.ERROR, failure)
