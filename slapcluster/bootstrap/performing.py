"""Shell. Steps, one after the other; those of a bootstrap."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from slap.errors import MasterAway
from slapcluster.bootstrap.gathering import Gathering
from slapcluster.bootstrap.logbook import Step
from slapcluster.bootstrap.moving import Moving
from slapcluster.bootstrap.work import Work
from slapcluster.outcomes import CommandFailed

Performing: TypeAlias = Mapping[Step, Callable[[], Awaitable[None]]]

WITHOUT_MINI_MASTER = frozenset({Step.IDENTIFY, Step.TAKE, Step.LEAVE, Step.RETIRE})
"""It has no identity or no state yet, or none any more."""


async def perform_all(work: Work, performing: Performing) -> None:
    """Do all steps that are left; each is in the logbook when it is done."""
    clock = work.home.runtime.clock
    try:
        while (step := work.logbook.next_step) is not None:
            begun = clock.seconds()
            work.show(step.value)
            if step not in WITHOUT_MINI_MASTER:
                await work.begin_mini_master()
            try:
                await performing[step]()
            except MasterAway:
                work.mini_master.check()
                raise
            except CommandFailed as error:
                work.mini_master.check()
                raise CommandFailed(
                    f"{step.value}: {error.sentence}", error.exit_code
                ) from error
            work.write(work.logbook.with_done(step, clock.seconds() - begun))
    finally:
        await work.mini_master.stop()


def bootstrap_steps(work: Work) -> Performing:
    gathering, moving = Gathering(work), Moving(work)
    return {
        Step.IDENTIFY: gathering.identify,
        Step.JOIN: gathering.have_computers_join,
        Step.SUPPLY: gathering.supply,
        Step.REQUEST: gathering.request_instances,
        Step.SIGN: gathering.sign,
        Step.SETTLE: gathering.settle,
        Step.COPY_AHEAD: moving.copy_ahead,
        Step.FREEZE: moving.freeze,
        Step.COPY: moving.copy,
        Step.RECEIVE: moving.receive,
        Step.OPEN: moving.open,
        Step.MOVE: moving.move,
        Step.RETIRE: moving.retire,
    }
