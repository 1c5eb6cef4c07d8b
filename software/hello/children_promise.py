"""A promise as a plug-in: each child that an instance of hello asked for is ready.

It is made for the promise runner of an agent, which asks for ``RunPromise``, and needs
no library of that agent.
"""

# ruff: noqa: INP001 - a file of a release, not of a package

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """What a runner reads: whether there is a problem, and a sentence."""

    problem: bool
    message: str


class RunPromise:
    """Reads which children the last pass found pending, and why."""

    def __init__(self, config: Mapping[str, str]) -> None:
        self._path = Path(config["configuration"])
        self._result = Result(problem=True, message="nothing was sensed")

    def sense(self) -> None:
        configuration = json.loads(self._path.read_text("utf-8"))
        self._result = judge(configuration["children"], configuration["pending"])

    def test(self) -> Result:
        return self._result

    def anomaly(self) -> Result:
        return self._result


def judge(children: Mapping[str, object], pending: Mapping[str, str]) -> Result:
    if pending:
        reasons = (f"{title}: {reason}" for title, reason in sorted(pending.items()))
        return Result(problem=True, message="; ".join(reasons))
    return Result(problem=False, message=f"{len(children)} children are ready")
