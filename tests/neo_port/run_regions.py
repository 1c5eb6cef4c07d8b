"""One life of three regions: faults so many times each, and equal copies at the end.

    python -m tests.neo_port.run_regions SEED WAY ROUNDS RUNS COMMIT [FAULT ...]

``WAY`` is ``direct``, ``tls`` or ``stunnel``, or ``skewed``: direct, with the clocks of
two regions a day ahead and a day behind. Faults are those of ``FAULTS`` and
``OTHER_STOPS``, or all of the first. Each fault adds a line to the file ``RUNS``; the
order of the faults is drawn from the seed. To be run by root of a
namespace: see ``three_regions.APART``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random

from attrs import asdict, frozen

from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.faults import (
    EQUAL_SECONDS_MAX,
    FAULTS,
    Outcome,
    digest_of,
    play,
)
from tests.neo_port.three_regions import REGIONS, ThreeRegions, Way, make_networks

SKEWED_WAY = "skewed"
DAY_SECONDS = 86_400.0


@frozen
class Life:
    """What is asked for."""

    seed: int
    way: Way
    rounds: int
    runs: Path
    commit: str
    faults: tuple[str, ...]
    offsets: Mapping[int, float]

    def keep(self, outcome: Outcome) -> None:
        told = {"commit": self.commit, "seed": self.seed, **asdict(outcome)}
        line = json.dumps(told) + "\n"
        with self.runs.open("a") as opened:
            opened.write(line)
        sys.stdout.write(line)


def live(life: Life, home: Path) -> None:
    """Play all of it; raises when something acknowledged is lost or copies differ."""
    entropy = Random(life.seed)
    environment = neo_environment()
    make_networks()
    first = 0
    with ExitStack() as stack:
        regions = ThreeRegions(home, environment, stack, life.way, life.offsets)
        for name in drawn_faults(entropy, life):
            outcome = play(regions, name, entropy, first)
            first += outcome.commit_count
            life.keep(outcome)
            assert outcome.missing is None, outcome
            assert not outcome.alone_count, outcome
        databases = [regions.database(it) for it in REGIONS]
        programs.eventually(
            lambda: len({digest_of(it) for it in databases}) == 1,
            EQUAL_SECONDS_MAX,
            "equal copies",
        )


def drawn_faults(entropy: Random, life: Life) -> list[str]:
    return [
        name
        for _ in range(life.rounds)
        for name in entropy.sample(life.faults, len(life.faults))
    ]


def main() -> None:
    seed, way, rounds, runs, commit, *faults = sys.argv[1:]
    drawn = tuple(faults or sorted(FAULTS))
    offsets = {1: DAY_SECONDS, 3: -DAY_SECONDS} if way == SKEWED_WAY else {}
    life = Life(
        int(seed),
        Way.DIRECT if offsets else Way(way),
        int(rounds),
        Path(runs),
        commit,
        drawn,
        offsets,
    )
    with programs.place_of_evidence("three-regions-") as home:
        live(life, home)


if __name__ == "__main__":
    main()
