"""Shell. Three regions that lose somebody again and again: where each gap goes.

    python -m benchmarks.gap_life ROUNDS FAULT

``FAULT`` is one of ``tests.neo_port.faults.FAULTS``. Each round is a line of JSON: the
phases and their seconds. To be run by root of a namespace: ``three_regions.APART``.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from random import Random
from subprocess import Popen  # noqa: TID251 - what runs

from benchmarks.phases import CLIENT, NEO_MASTER, STORAGE, Gap, Record, split
from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.faults import (
    COMMITS_AFTER,
    COMMITS_BEFORE,
    FAULTS,
    WHOLE_SECONDS_MAX,
    Committing,
    Situation,
)
from tests.neo_port.three_regions import ThreeRegions, Way, make_networks

WRITTEN_SECONDS_MAX = 10
"""A program speaks every two seconds, and writes what it kept when it is told to."""

LATEST = (
    "SELECT max(date) FROM (SELECT date FROM log UNION ALL SELECT date FROM packet)"
)


def measure(
    regions: ThreeRegions, fault: str, entropy: Random, first: int
) -> tuple[dict[str, float], int]:
    """One fault and its end: the phases of its gap, and the number that comes next."""
    primary = regions.primary_region()
    assert primary is not None, "there is no primary"
    region = entropy.choice([it for it in (1, 2, 3) if it != primary])
    neo_log = regions.home / f"{CLIENT}-{region}.log"
    committing = Committing(regions, region, first, neo_log=neo_log)
    # NEO's logs have the time of day, the client says that of the monotonic clock.
    offset = time.time() - time.monotonic()  # noqa: TID251
    with committing.running() as client:
        committing.wait_for(0.0, COMMITS_BEFORE)
        begun = time.monotonic()  # noqa: TID251
        undo = FAULTS[fault](Situation(regions, entropy, primary, region))
        try:
            committing.wait_for(begun + 1, COMMITS_AFTER)
            instants = [at for at, _ in committing.acknowledged()]
            earlier, later = max(pairwise(instants), key=lambda it: it[1] - it[0])
            gap = Gap(earlier + offset, begun + offset, later + offset)
            _write_logs(regions, client, neo_log, gap.next_seconds)
            phases = split(gap, _records(regions.home))
        finally:
            undo()
        programs.eventually(regions.is_whole, WHOLE_SECONDS_MAX, "all copies")
        last = committing.acknowledged()[-1][1]
    # The next one may have been committed without an answer.
    return phases, last + 1


def _write_logs(
    regions: ThreeRegions, client: Popen[bytes], neo_log: Path, until: float
) -> None:
    """Have those who live write what they know of the time before."""
    logs = {neo_log: client}
    for command, known in (
        (NEO_MASTER, regions.neo_masters),
        (STORAGE, regions.storages),
    ):
        logs |= {regions.home / f"{command}-{it}.log": known[it] for it in known}
    alive = {log: program for log, program in logs.items() if program.poll() is None}

    def are_written() -> bool:
        for program in alive.values():
            os.kill(program.pid, signal.SIGRTMIN)
        return all(_latest(log) > until for log in alive)

    programs.eventually(are_written, WRITTEN_SECONDS_MAX, "the logs are written")


def _latest(log: Path) -> float:
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
        ((date,),) = connection.execute(LATEST)
    return date or 0.0


def _records(home: Path) -> Iterator[Record]:
    for kind in (NEO_MASTER, STORAGE, CLIENT):
        for log in home.glob(f"{kind}-?.log"):
            region = int(log.stem[-1])
            with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as known:
                for date, text in known.execute("SELECT date, msg FROM log"):
                    yield Record(date, kind, region, text or "")


def main() -> None:
    rounds, fault = int(sys.argv[1]), sys.argv[2]
    environment = neo_environment()
    make_networks()
    entropy = Random(0)
    first = 0
    with (
        tempfile.TemporaryDirectory(prefix="gap-life-") as directory,
        ExitStack() as stack,
    ):
        regions = ThreeRegions(Path(directory), environment, stack, Way.DIRECT)
        for _ in range(rounds):
            phases, first = measure(regions, fault, entropy, first)
            sys.stdout.write(json.dumps(phases) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
