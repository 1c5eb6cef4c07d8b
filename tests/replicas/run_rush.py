"""A thousand agents come back at once to a replica that was killed and began again.

    python -m tests.replicas.run_rush ROUNDS RUNS COMMIT

They wait for a change when it is killed, each on a connection of its own by TLS, with a
certificate of its own. Each round adds a line to the file ``RUNS``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import asdict, frozen

from slap.identities import Identity, Role
from slapgrid.service import AWAY_POLL_SECONDS_MAX
from tests import programs
from tests.certificates import a_region, a_root
from tests.replicas.callers import Asked, Task
from tests.replicas.identities import write_identities
from tests.replicas.judging import read_lines
from tests.replicas.three_replicas import CALLERS, replica_arguments

AGENT_COUNT = 1000
HOST = "::1"
REPLICA = "replica-1"
WAIT_SECONDS = 200
"""None of them is over when the replica is killed."""

BEGUN_SECONDS_MAX = 300
SERVED_SECONDS_MAX = 120
"""Twice the goal, to give a figure to what is too slow."""

LISTENS_SECONDS_MAX = 60


@frozen
class Rush:
    """One round. ``down_seconds``: until it listened again; others count from there.

    ``failed_count`` are polls that were asked from then on and got no document.
    """

    agent_count: int
    down_seconds: float
    half_seconds: float
    served_seconds: float
    failed_count: int


def rush(place: Path, stack: ExitStack, rounds: int) -> list[Rush]:
    """Play all rounds."""
    computers = tuple(f"COMP-{number}" for number in range(AGENT_COUNT))
    root = a_root()
    region = a_region(root)
    owners = (Identity(Role.COMPUTER, it) for it in computers)
    write_identities(place, root, region, Identity(Role.REPLICA, REPLICA), *owners)
    port = programs.free_port(HOST)
    store = f"file:{place / 'state.fs'}"
    begin = replica_arguments(place, REPLICA, store, HOST, port)
    task = Task(
        (f"https://[{HOST}]:{port}/",),
        str(place),
        computers,
        wait_seconds=WAIT_SECONDS,
        away_seconds=AWAY_POLL_SECONDS_MAX,
    )
    file, log = place / "task.json", place / "callers.log"
    file.write_text(json.dumps(asdict(task)))
    replica_log = place / "replica.log"
    replica = stack.enter_context(programs.running(begin, replica_log))
    _until_it_listens(port)
    stack.enter_context(programs.running((*CALLERS, str(file)), log))
    _until_served(log, 0, BEGUN_SECONDS_MAX)
    found = []
    for _ in range(rounds):
        killed = _now()
        os.killpg(replica.pid, signal.SIGKILL)
        replica.wait()
        replica = stack.enter_context(programs.running(begin, replica_log))
        _until_it_listens(port)
        since = _now()
        served = _until_served(log, since, SERVED_SECONDS_MAX)
        failed = [
            it for it in read_lines([log]) if it.asked > since and not it.is_answered
        ]
        found.append(
            Rush(
                AGENT_COUNT,
                since - killed,
                served[len(served) // 2] - since,
                served[-1] - since,
                len(failed),
            )
        )
    return found


def _until_it_listens(port: int) -> None:
    programs.eventually(
        lambda: programs.is_listening(HOST, port), LISTENS_SECONDS_MAX, "it listens"
    )


def _until_served(log: Path, since: float, within_seconds: float) -> list[float]:
    """When each agent was answered first after an instant, in order."""

    def are_served() -> list[float] | None:
        found = _first_answers(read_lines([log]), since)
        return sorted(found.values()) if len(found) == AGENT_COUNT else None

    what = f"all {AGENT_COUNT} have a document"
    return programs.eventually(are_served, within_seconds, what, pause_seconds=1.0)


def _first_answers(lines: Sequence[Asked], since: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in lines:
        if line.answered > since and line.is_answered:
            found.setdefault(line.who, line.answered)
    return found


def _now() -> float:
    return time.monotonic()  # noqa: TID251 - it measures from outside


def main() -> None:
    rounds, runs, commit = sys.argv[1:]
    with programs.place_of_evidence("rush-") as place, ExitStack() as stack:
        for each in rush(place, stack, int(rounds)):
            line = json.dumps({"commit": commit, **asdict(each)}) + "\n"
            with Path(runs).open("a") as opened:
                opened.write(line)
            sys.stdout.write(line)


if __name__ == "__main__":
    main()
