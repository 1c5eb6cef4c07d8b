"""Core. Instances: requested, changed, destroyed and asked for."""

from __future__ import annotations

from labsim.history import UNREPORTED
from labsim.workloads.estate import Estate
from labsim.workloads.kind import Work
from labsim.workloads.operation import Operation
from slap import calls
from slap.calls import Call
from slap.model import InstanceRequest, RequestedInstance, RequestedState
from slap.reports import CloudReport, TreeReport

RELEASE = "http://releases.example/service.cfg"


REPEAT_SECONDS = 600.0
"""Within them a client that wants the same again says it in the same bytes."""


def draw_request(estate: Estate, at: float) -> Operation | None:
    """A new instance, in the next region that has room."""
    number = estate.number("instance")
    regions = estate.topology.regions
    for index in range(len(regions)):
        region = regions[(number + index) % len(regions)]
        if region.computers and estate.has_room(region.name):
            title = f"service-{number}"
            estate.add(title, region.name)
            wanted = RequestedState.STARTED.value
            return estate.operation(at, "request", title, wanted, region.name)
    return None


def _draw_update(estate: Estate, at: float) -> Operation | None:
    title = estate.title()
    if title is None:
        return None
    wanted = estate.entropy.choice((RequestedState.STARTED, RequestedState.STOPPED))
    place = estate.alive[title]
    return estate.operation(at, "update", title, wanted.value, place)


def _draw_destruction(estate: Estate, at: float) -> Operation | None:
    title = estate.title()
    if title is None:
        return None
    place = estate.remove(title)
    wanted = RequestedState.DESTROYED.value
    return estate.operation(at, "destroy", title, wanted, place)


def _draw_question(estate: Estate, at: float) -> Operation | None:
    title = estate.title()
    return None if title is None else estate.operation(at, "ask", title)


def _call_request(operation: Operation) -> Call:
    at = operation.at // REPEAT_SECONDS * REPEAT_SECONDS
    wanted = InstanceRequest(
        operation.subject,
        RELEASE,
        parameters={"at": f"{at:g}"},
        allocation_filter={"region": operation.place} if operation.place else {},
        requested_state=RequestedState(operation.wanted),
    )
    return calls.request_instance(wanted)


def answer_place(answer: object) -> str:
    assert isinstance(answer, RequestedInstance)
    return f"{answer.key.computer_id} {answer.key.partition_id}"


def _answer_wanted(answer: object) -> str:
    assert isinstance(answer, TreeReport)
    return answer.instances[0].requested_state


def _find_reported(operation: Operation, report: object) -> str:
    """What its computer reported last; nothing is left of what was destroyed."""
    assert isinstance(report, CloudReport)
    states = (it.reported_state for it in report.trees if it.title == operation.subject)
    return next(states, RequestedState.DESTROYED.value) or UNREPORTED


REQUEST = Work(
    "request",
    "requests",
    draw_request,
    _call_request,
    answer_place,
    found=_find_reported,
)
UPDATE = Work(
    "update", "updates", _draw_update, _call_request, answer_place, found=_find_reported
)
DESTROY = Work(
    "destroy", "destructions", _draw_destruction, _call_request, found=_find_reported
)
ASK = Work(
    "ask",
    "questions",
    _draw_question,
    lambda operation: calls.get_tree_report(operation.subject),
    _answer_wanted,
)
