"""Core. What a kind of work is: how it is drawn, and which call it makes."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from labsim.workloads.estate import Estate
from labsim.workloads.operation import Operation
from slap import calls
from slap.calls import Call


def answer_nothing(_: object) -> str:
    return ""


def _find_nothing(_: Operation, __: object) -> str:
    return ""


def look_at_cloud(_: Operation) -> Call:
    return calls.get_cloud_report()


def look_at_computer(operation: Operation) -> Call:
    return calls.get_computer_report(operation.place)


@frozen
class Work:
    """``rate`` is the key of a scenario's workload that says how often.

    ``draw`` gives nothing when there is nothing to ask it of.

    ``answer`` is what the history keeps of what the master says. In the end ``look`` is
    asked, and ``found`` says what that tells of the operation's subject.
    """

    verb: str
    rate: str
    draw: Callable[[Estate, float], Operation | None]
    call: Callable[[Operation], Call]
    answer: Callable[[object], str] = answer_nothing
    look: Callable[[Operation], Call] = look_at_cloud
    found: Callable[[Operation, object], str] = _find_nothing
