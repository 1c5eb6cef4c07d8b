"""Drawn histories without end: ``make soak`` appends to a file and goes on there.

Each line is a batch of seeds that held, with the commit they held for; another run of
the same commit begins behind them. A seed that fails ends the run, with the line that
repeats it.
"""

from __future__ import annotations

import argparse
import json
import subprocess  # noqa: TID251 - git is a program
import sys
import time
from pathlib import Path
from random import Random

from tests.source_tree import TOP
from tests.unit.master_cluster.histories import MASTERS, VERBS, Run, Step
from tests.unit.master_cluster.test_histories import BEGINNING

LOG = TOP / ".soak" / "histories.jsonl"

BATCH = 100
"""Histories between two lines: a second or two of work is lost by a kill."""

STEP_COUNT_MAX = 60
"""Longer than what `make test` draws; nothing here is shrunk."""


def drawn_steps(seed: int) -> list[Step]:
    entropy = Random(seed)
    return [
        Step(
            verb=entropy.choice(sorted(VERBS)),
            title=entropy.choice("abc"),
            other=entropy.choice("axy"),
            count=entropy.randrange(5),
            master=entropy.randrange(MASTERS),
            delay_ms=entropy.choice([0, 0, 0, 10, 30, 200]),
        )
        for _ in range(entropy.randrange(2, STEP_COUNT_MAX))
    ]


def play(seed: int) -> None:
    Run(seed).play([*BEGINNING, *drawn_steps(seed)])


def next_seed(log: Path, commit: str) -> int:
    """Return the first seed that did not hold yet for this commit."""
    if not log.exists():
        return 0
    batches = [json.loads(line) for line in log.read_text().splitlines()]
    return max((it["end"] for it in batches if it["commit"] == commit), default=0)


def present_commit() -> str:
    argv = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    done = subprocess.run(argv, cwd=TOP, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, help="play this one and end")
    options = parser.parse_args()
    if options.seed is not None:
        play(options.seed)
        return
    commit = present_commit()
    LOG.parent.mkdir(exist_ok=True)
    seed = next_seed(LOG, commit)
    deadline = time.monotonic() + options.seconds  # noqa: TID251 - the real clock
    while time.monotonic() < deadline:  # noqa: TID251
        for each in range(seed, seed + BATCH):
            try:
                play(each)
            except BaseException:
                sys.stderr.write(f"again: bin/python tests/soak.py --seed {each}\n")
                raise
        batch = {"commit": commit, "begin": seed, "end": seed + BATCH}
        seed += BATCH
        with LOG.open("a") as log:
            log.write(json.dumps(batch) + "\n")
    sys.stdout.write(f"{seed} histories held for {commit}\n")


if __name__ == "__main__":
    main()
