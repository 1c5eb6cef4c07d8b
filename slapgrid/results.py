"""Core. How a pass ended, and which efforts belong to which pass."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from attrs import frozen

from slapgrid.convergence.retrying import Effort, Outcome

#: Sentences of a joined reason; a computer may have hundreds of releases.
SENTENCES_MAX = 8

NOTHING_TO_DO = "nothing to do"

SOFTWARE_EFFORTS = frozenset(
    {Effort.BUILD, Effort.RECORD_BUILT, Effort.REMOVE, Effort.NOTE_ABSENCE}
)

#: What fails for nobody: it is logged and tried again.
COURTESY_EFFORTS = frozenset({Effort.UPLOAD})


class ExitStatus(IntEnum):
    """As stock commands say how a pass ended."""

    OK = 0
    FAILED = 1
    PROMISE_FAILED = 2
    MASTER_AWAY = 3


@frozen
class PassResult:
    """How a pass ended, what it did, and when another may do more."""

    exit_status: ExitStatus
    reason: str
    outcomes: tuple[Outcome, ...] = ()
    next_wake: float | None = None


def join_results(results: Iterable[PassResult]) -> PassResult:
    """The result of several passes that ran beside each other."""
    joined = tuple(results)
    reasons = dict.fromkeys(
        each.reason for each in joined if each.reason != NOTHING_TO_DO
    )
    shown = list(reasons)[:SENTENCES_MAX]
    if len(reasons) > len(shown):
        shown.append(f"and {len(reasons) - len(shown)} more")
    return PassResult(
        max((each.exit_status for each in joined), default=ExitStatus.OK),
        "; ".join(shown) or NOTHING_TO_DO,
        tuple(outcome for each in joined for outcome in each.outcomes),
        min(
            (each.next_wake for each in joined if each.next_wake is not None),
            default=None,
        ),
    )
