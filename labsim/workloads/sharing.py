"""Core. Shared instances, all of them in one hall that is there from the beginning."""

from __future__ import annotations

from labsim.workloads.estate import Estate
from labsim.workloads.instances import answer_place
from labsim.workloads.kind import Work
from labsim.workloads.operation import Operation
from slap import calls
from slap.calls import Call
from slap.model import InstanceRequest, RequestedState
from slap.reports import CloudReport

HALL_RELEASE = "http://releases.example/hall.cfg"
HALL = "hall"


def draw_hall(estate: Estate, at: float) -> Operation:
    """The instance that all shared ones are in."""
    return estate.operation(at, "share", HALL, RequestedState.STARTED.value)


def _draw(estate: Estate, at: float) -> Operation:
    title = f"guest-{estate.number('guest')}"
    return estate.operation(at, "share", title, RequestedState.STARTED.value)


def _call(operation: Operation) -> Call:
    wanted = InstanceRequest(
        operation.subject,
        HALL_RELEASE,
        requested_state=RequestedState(operation.wanted),
        is_shared=operation.subject != HALL,
    )
    return calls.request_instance(wanted)


def _find_granted(operation: Operation, report: object) -> str:
    """What is wanted of it: nobody reports on a shared instance but its host."""
    assert isinstance(report, CloudReport)
    titles = (it for it in report.trees if it.title == operation.subject)
    return next((it.requested_state for it in titles), "")


SHARE = Work(
    "share", "shared_instances", _draw, _call, answer_place, found=_find_granted
)
