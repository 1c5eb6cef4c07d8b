"""What the lines of callers say: how long nobody was answered, and what was lost."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from tests.replicas.callers import Asked


def read_lines(logs: Iterable[Path]) -> list[Asked]:
    """What was said, in the order of the answers; a torn last line is none."""
    told = [
        Asked(**json.loads(line))
        for log in logs
        for line in log.read_text().splitlines()
        if line.startswith("{") and line.endswith("}")
    ]
    return sorted(told, key=lambda it: it.answered)


def acknowledged(lines: Iterable[Asked]) -> dict[str, int]:
    """The last number of each title that was acknowledged."""
    found: dict[str, int] = {}
    for line in lines:
        if line.kind == "change" and line.outcome == "acknowledged":
            found[line.who] = max(line.number, found.get(line.who, -1))
    return found


def longest_gap(lines: Iterable[Asked], since: float, until: float) -> float:
    """The longest time without an acknowledgement that any title had."""
    times = defaultdict(lambda: [since])
    for line in lines:
        if line.kind == "change":
            # A title that is acknowledged nothing has a gap, too.
            known = times[line.who]
            if line.outcome == "acknowledged" and since < line.answered < until:
                known.append(line.answered)
    return max(
        (
            later - earlier
            for it in times.values()
            for earlier, later in pairwise((*it, until))
        ),
        default=until - since,
    )


def longest_answer(lines: Iterable[Asked], since: float, until: float) -> float:
    """How long the slowest poll took that was under way within these times."""
    return max(
        (
            line.answered - line.asked
            for line in lines
            if line.kind == "poll" and since < line.answered and line.asked < until
        ),
        default=0.0,
    )


def unanswered_count(lines: Iterable[Asked], since: float, until: float) -> int:
    """How many polls ended without a document, fresh or stale."""
    return sum(
        line.kind == "poll" and not line.is_answered
        for line in lines
        if since < line.answered and line.asked < until
    )


def backwards(lines: Iterable[Asked]) -> list[Asked]:
    """Polls after which an agent had an older document than before."""
    known: dict[tuple[int, str], int] = {}
    found = []
    for line in lines:
        if line.kind == "poll":
            # An agent that begins anew has its memory on disk; these have none.
            agent = (line.process, line.who)
            if line.number < known.get(agent, -1):
                found.append(line)
            known[agent] = line.number
    return found
