"""Core. What a kind of work is: how it is drawn, and which call it makes."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from labsim.workloads.estate import Estate
from labsim.workloads.operation import Operation
from slap.calls import Call


def answer_nothing(_: object) -> str:
    return ""


@frozen
class Work:
    """``draw`` gives nothing when there is nothing to ask it of.

    ``answer`` is what the history keeps of what the master says.
    """

    verb: str
    draw: Callable[[Estate, float], Operation | None]
    call: Callable[[Operation], Call]
    answer: Callable[[object], str] = answer_nothing
