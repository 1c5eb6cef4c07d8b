"""Shell. Many seeds on all cores, with a file of those that were played.

A line of the file is one seed of one scenario, with the commit that it was played for.
Played again for the same commit, it goes on behind them.
"""

from __future__ import annotations

import json
import subprocess  # noqa: TID251 - git is a program
from collections.abc import Callable, Iterator
from concurrent.futures import (  # a seed needs a core, not a thread
    Future,
    ProcessPoolExecutor,
    as_completed,
)
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from attrs import asdict, frozen

from labsim.refusals import BadInput, check_range

T = TypeVar("T")

SEEDS_MAX = 1_000_000
JOBS_MAX = 512

SEEDS_PER_PROCESS = 20
"""What worlds leave behind is looked through after each: 58 seeds in one process left
1.7 GiB, and cost three times as much each as the first one. ``max_tasks_per_child`` of
the pool would do it, but hangs in Python 3.11."""


def describe_commit() -> str:
    """What is checked out, and whether it was changed since."""
    argv = ("git", "describe", "--always", "--abbrev=12", "--dirty")
    here = Path(__file__).parent
    described = subprocess.run(  # noqa: S603 - nobody gives it
        argv, cwd=here, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def read_lines(file: Path, build: Callable[..., T], noun: str) -> Iterator[T]:
    """Give what each line of a file says; nothing when there is no file yet."""
    if not file.exists():
        return
    for number, text in enumerate(file.read_text().splitlines(), start=1):
        try:
            yield build(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise BadInput(f"{file}:{number}: no line of {noun}: {error}") from error


@frozen
class Verdict:
    """How a seed ended; ``failure`` is ``None`` when all was as it must be."""

    commit: str
    scenario: str
    seed: int
    failure: str | None

    @property
    def command(self) -> str:
        return f"labsim run {self.scenario} --seed {self.seed}"


@frozen(slots=False)
class Batch:
    """Seeds from 0 of each scenario, and the file of what was played."""

    scenarios: tuple[str, ...]
    seed_count: int
    job_count: int
    file: Path

    def __attrs_post_init__(self) -> None:
        check_range("seeds", self.seed_count, 1, SEEDS_MAX)
        check_range("jobs", self.job_count, 1, JOBS_MAX)

    @cached_property
    def commit(self) -> str:
        return describe_commit()

    @property
    def total(self) -> int:
        return len(self.scenarios) * self.seed_count

    def played(self) -> tuple[Verdict, ...]:
        """What the file says of this batch, for the present commit."""
        found = {
            (it.scenario, it.seed): it
            for it in read_lines(self.file, Verdict, "a campaign")
            if it.commit == self.commit
        }
        wanted = (
            (name, seed) for seed in range(self.seed_count) for name in self.scenarios
        )
        return tuple(found[key] for key in wanted if key in found)


def soak_on(batch: Batch, play: Callable[[str, int], str | None]) -> Iterator[Verdict]:
    """Give what was played before, then each seed when it has ended."""
    before = batch.played()
    yield from before
    known = {(it.scenario, it.seed) for it in before}
    batch.file.parent.mkdir(parents=True, exist_ok=True)
    coming = [
        (name, seed)
        for seed in range(batch.seed_count)
        for name in batch.scenarios
        if (name, seed) not in known
    ]
    with batch.file.open("a") as log:
        while coming:
            size = SEEDS_PER_PROCESS * batch.job_count
            now, coming = coming[:size], coming[size:]
            for name, seed, failure in _play_all(now, batch.job_count, play):
                verdict = Verdict(batch.commit, name, seed, failure)
                log.write(json.dumps(asdict(verdict)) + "\n")
                log.flush()
                yield verdict


def _play_all(
    seeds: list[tuple[str, int]],
    job_count: int,
    play: Callable[[str, int], str | None],
) -> Iterator[tuple[str, int, str | None]]:
    """Play in processes that end with the last of them."""
    with ProcessPoolExecutor(job_count) as pool:
        playing: dict[Future[str | None], tuple[str, int]] = {
            pool.submit(play, name, seed): (name, seed) for name, seed in seeds
        }
        try:
            for ended in as_completed(playing):
                yield *playing[ended], ended.result()
        finally:
            pool.shutdown(cancel_futures=True)
