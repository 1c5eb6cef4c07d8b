"""Core. Which programs to start again, with or without a master."""

from __future__ import annotations

from slapgrid.convergence.draft import Draft
from slapgrid.convergence.plans import (
    Plan,
    ResumePrograms,
    ReviveProgram,
    StartPrograms,
)
from slapgrid.convergence.retrying import RetryMemory
from slapgrid.convergence.views import (
    LIVE_STATES,
    LocalPartition,
    LocalView,
    ProgramState,
)
from slapgrid.layout import redirection_group


def plan_resumption(draft: Draft, local: LocalPartition) -> None:
    """Start what never ran since supervision began."""
    resting = tuple(
        program.name
        for program in local.programs or ()
        if program.program_state is ProgramState.STOPPED
    )
    if resting and not any(
        isinstance(action, StartPrograms) and action.name == local.partition_id
        for action in draft.actions
    ):
        draft.add(ResumePrograms(local.partition_id, resting))


def ended_programs(local: LocalPartition) -> tuple[str, ...]:
    """The watched programs that ended though they never should."""
    return tuple(
        program.name
        for program in local.programs or ()
        if program.is_watched and program.has_ended
    )


def plan_resumed_redirections(draft: Draft, local: LocalPartition) -> None:
    """Start the programs that lead ports to an instance, when they rest or ended."""
    name = redirection_group(local.partition_id)
    resting = tuple(
        program.name
        for program in local.side_groups.get(name, ())
        if program.program_state not in LIVE_STATES
    )
    if resting:
        draft.add(ReviveProgram(name, resting))


def plan_offline(observed: LocalView, memory: RetryMemory, now: float) -> Plan:
    """Without a master: what was started runs on, what was stopped stays so.

    A stopped partition has no group, so every known group may run. Programs that ran
    and ended are revived only when they are watched.
    """
    draft = Draft(memory, now)
    for partition_id, local in sorted(observed.partitions.items()):
        plan_resumption(draft, local)
        plan_resumed_redirections(draft, local)
        ended = ended_programs(local)
        if ended:
            draft.add(ReviveProgram(partition_id, ended))
    return draft.finished()
