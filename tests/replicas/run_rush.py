"""A thousand agents come back at once to a replica that was killed and began again.

    python -m tests.replicas.run_rush ROUNDS RUNS COMMIT

They wait for a change when it is killed, each on a connection of its own by TLS, with a
certificate of its own. Each round adds a line to the file ``RUNS``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import sys
import time
from contextlib import ExitStack
from http.client import HTTPSConnection
from pathlib import Path

from attrs import asdict, frozen

from slap.identities import Identity, Role
from slapgrid.service import AWAY_POLL_SECONDS_MAX
from tests import programs
from tests.certificates import a_region, a_root
from tests.replicas.callers import Task
from tests.replicas.identities import identity_home, write_identities
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

    Who has the document already is served when its poll waits for the next one.
    ``failed_count`` are polls that were asked from then on and failed.
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
    home = identity_home(place, REPLICA)
    _until_served(port, home, BEGUN_SECONDS_MAX)
    found = []
    for _ in range(rounds):
        killed = _now()
        os.killpg(replica.pid, signal.SIGKILL)
        replica.wait()
        replica = stack.enter_context(programs.running(begin, replica_log))
        _until_it_listens(port)
        since = _now()
        half, served = _until_served(port, home, SERVED_SECONDS_MAX)
        failed = [
            it for it in read_lines([log]) if it.asked > since and not it.is_answered
        ]
        found.append(
            Rush(
                AGENT_COUNT,
                since - killed,
                half - since,
                served - since,
                len(failed),
            )
        )
    return found


def _until_it_listens(port: int) -> None:
    programs.eventually(
        lambda: programs.is_listening(HOST, port), LISTENS_SECONDS_MAX, "it listens"
    )


def _until_served(port: int, home: Path, within_seconds: float) -> tuple[float, float]:
    """When half of the agents were served, and all."""
    half: list[float] = []

    def are_served() -> float | None:
        count = _waiting_count(port, home)
        if not half and count >= AGENT_COUNT / 2:
            half.append(_now())
        return _now() if count == AGENT_COUNT else None

    what = f"polls of all {AGENT_COUNT} agents wait"
    served = programs.eventually(are_served, within_seconds, what, pause_seconds=0.5)
    return half[0], served


def _waiting_count(port: int, home: Path) -> int:
    """How many polls wait at the replica, as it tells itself."""
    context = ssl.create_default_context(cafile=str(home / "root.crt"))
    context.check_hostname = False
    context.load_cert_chain(home / "own.crt", home / "own.key")
    line = HTTPSConnection(HOST, port, context=context, timeout=30)
    line.request("GET", "/metrics")
    told = line.getresponse().read().decode()
    line.close()
    (count,) = re.findall(r"^slapcluster_polls_waiting (\d+)", told, re.MULTILINE)
    return int(count)


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
