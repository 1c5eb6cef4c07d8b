"""Shell. Which mutants are found, in how many seeds and seconds, and a file of that.

A line of the file is one seed of one trial, with the mutant that was played, none for
the code as it is, and the commit. Played again for the same commit, it goes on behind
them. What is found counts when the code as it is holds in the same seed.
"""

from __future__ import annotations

import json
import os
import subprocess  # noqa: TID251 - a mutant needs an interpreter of its own
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from attrs import asdict, field, frozen

from labsim.checkers.violation import BROKEN
from labsim.mutants.changing import TOP
from labsim.mutants.mutant import Mutant
from labsim.mutants.score import Attempt, Score
from labsim.mutants.table import named_mutant
from labsim.refusals import check_range
from labsim.soaking import JOBS_MAX, SEEDS_MAX, describe_commit, read_lines

AS_IT_IS = ""
"""The name of no mutant."""

HASH_SEED = "0"
"""A seed gives one trace under any; this one is as good."""


Play = Callable[[str, str, int], dict[str, object]]
"""Plays a trial of a mutant by names and seed, and gives the rest of an attempt."""


@frozen
class ScoreBatch:
    """Mutants by name, seeds of each of their trials, and the file of what was played.

    The seed that is known to find a mutant comes first, then those from 0. All is of
    the commit that is checked out when it begins.
    """

    mutants: tuple[str, ...]
    seed_count: int
    job_count: int
    file: Path
    commit: str = field(factory=describe_commit)

    def __attrs_post_init__(self) -> None:
        check_range("seeds", self.seed_count, 1, SEEDS_MAX)
        check_range("jobs", self.job_count, 1, JOBS_MAX)

    def known(self) -> dict[tuple[str, str, int], Attempt]:
        """What the file says of the present commit."""
        return {
            (it.mutant, it.trial, it.seed): it
            for it in read_lines(self.file, Attempt, "a score")
            if it.commit == self.commit
        }

    def places(self, mutant: Mutant) -> tuple[tuple[str, int], ...]:
        """The trials and seeds that a mutant is looked for in, in order."""
        first = (mutant.trials[0], mutant.seed)
        others = ((it, seed) for seed in range(self.seed_count) for it in mutant.trials)
        return tuple(dict.fromkeys((first, *others)))


def play_apart(mutant: str, trial: str, seed: int) -> dict[str, object]:
    """Play a trial in an interpreter of its own."""
    argv = (sys.executable, "-m", "labsim.mutants.playing", mutant, trial, str(seed))
    inherited = dict(os.environ)  # noqa: TID251 - what this interpreter was given
    path = os.pathsep.join((str(TOP), *(it for it in sys.path if it)))
    played = subprocess.run(  # noqa: S603 - our own module
        argv,
        capture_output=True,
        text=True,
        check=False,
        env={**inherited, "PYTHONPATH": path, "PYTHONHASHSEED": HASH_SEED},
    )
    try:
        said: dict[str, object] = json.loads(played.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        # It does not even start: that is found, too.
        *_, last = played.stderr.strip().splitlines() or ["it said nothing"]
        return {"checker": BROKEN, "sentence": last, "cpu_seconds": 0.0}
    return said


def score_mutant(batch: ScoreBatch, name: str, play: Play = play_apart) -> Score:
    """Play a mutant until it is found; what the file has is not played again."""
    attempts = []
    for trial, seed in batch.places(named_mutant(name)):
        attempt = _attempt(batch, name, trial, seed, play)
        attempts.append(attempt)
        if attempt.checker is not None:
            control = _attempt(batch, AS_IT_IS, trial, seed, play)
            if control.checker is None:
                return Score(name, tuple(attempts), is_found=True)
    return Score(name, tuple(attempts), is_found=False)


def score_on(batch: ScoreBatch, play: Play = play_apart) -> Iterator[Score]:
    """Give the score of each mutant when it is known."""
    batch.file.parent.mkdir(parents=True, exist_ok=True)
    batch.known()
    with ProcessPoolExecutor(batch.job_count) as pool:
        playing = [pool.submit(score_mutant, batch, it, play) for it in batch.mutants]
        try:
            for ended in as_completed(playing):
                yield ended.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _attempt(
    batch: ScoreBatch, mutant: str, trial: str, seed: int, play: Play
) -> Attempt:
    found = batch.known().get((mutant, trial, seed))
    if found is not None:
        return found
    said = play(mutant, trial, seed)
    attempt = Attempt(batch.commit, mutant, trial, seed, **said)  # type: ignore[arg-type] # as it was said
    with batch.file.open("a") as log:
        # One short line is written whole, whoever writes beside.
        log.write(json.dumps(asdict(attempt)) + "\n")
    return attempt
