"""What is left of a failure that was found among a hundred hosts, and what that costs.

Each case is a mutant, and a plan in which it shows. A case that is measured is a line
of a file, and is not measured again for the same commit.
"""

from __future__ import annotations

import json
import subprocess  # noqa: TID251 - a mutant needs an interpreter of its own
import sys
from collections.abc import Iterator
from pathlib import Path

from attrs import asdict, frozen

from benchmarks.result import Figure, Goal, Result
from benchmarks.spread import spread_of
from labsim.mutants.table import named_mutant
from labsim.soaking import describe_commit, read_lines

CASES_FILE = Path(".benchmarks/shrinking.jsonl")
PLANS = Path(".benchmarks/shrunk")

HOSTS = 5
FAULTS = 3
CPU_SECONDS = 300
"""Of issue 7: medians of what is left, and five minutes for each."""


@frozen
class Case:
    """A mutant shows in that seed of the scenario with so many computers."""

    mutant: str
    scenario: str
    computers: int
    seed: int = 0


@frozen
class Measured:
    """What is left of a case; ``holds`` is that of the code as it is."""

    commit: str
    mutant: str
    scenario: str
    computers: int
    seed: int
    failure: str
    hosts_before: int
    hosts: int
    faults: int
    operations: int
    world_seconds: float
    runs: int
    is_minimal: bool
    first_seconds: float
    cpu_seconds: float
    holds: bool

    @property
    def case(self) -> Case:
        return Case(self.mutant, self.scenario, self.computers, self.seed)


def _in(scenario: str, computers: int, *names: str) -> tuple[Case, ...]:
    return tuple(Case(name, scenario, computers) for name in names)


CASES = (
    *_in(
        "prompt",
        92,
        "one report is enough",
        "a new document wakes nobody",
        "the next delay of an instance is slept through",
        "a change of a computer makes no later document",
        "who waits for a change is no reason to compute",
        "another content does not end a wait",
        "commits of this master are not announced",
        "a computer is not told of a change of its instances",
        "a computer is not told of a new instance",
    ),
    *_in(
        "sudden",
        96,
        "an installed instance is processed before its files are on the disk",
        "a release is complete before its files are on the disk",
        "programs that rest stay at rest",
    ),
    Case("a silent master is waited for", "sudden", 96, 1),
)


def run() -> Result:
    measured = tuple(measure())
    worst = max(it.cpu_seconds for it in measured)

    def spread(name: str) -> Figure:
        return Figure(name, "", spread_of([getattr(it, name) for it in measured]))

    return Result(
        "lab_shrinking",
        tuple(map(spread, ("operations", "world_seconds", "runs", "cpu_seconds"))),
        (
            Goal("hosts", spread("hosts").spread, at_most=HOSTS),
            Goal("faults", spread("faults").spread, at_most=FAULTS),
            Goal("the dearest, s CPU", spread_of([worst]), at_most=CPU_SECONDS),
        ),
        {
            "mutants": len(measured),
            "hosts at first, at least": min(it.hosts_before for it in measured),
            "minimal": sum(it.is_minimal for it in measured),
            "hold without the mutant": sum(it.holds for it in measured),
        },
    )


def measure() -> Iterator[Measured]:
    """Give each case, in order; what the file has is not measured again."""
    commit = describe_commit()
    is_altered = commit.endswith("-dirty")
    lines = () if is_altered else read_lines(CASES_FILE, Measured, "a case")
    known = {it.case: it for it in lines if it.commit == commit}
    PLANS.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        found = known.get(case) or _measure(case, commit)
        if case not in known:
            with CASES_FILE.open("a") as log:
                log.write(json.dumps(asdict(found)) + "\n")
        yield found


def _measure(case: Case, commit: str) -> Measured:
    sys.stderr.write(f"shrinking {case.mutant} ...\n")
    file = str(PLANS / f"{named_mutant(case.mutant).name.replace(' ', '-')}.json")
    given = (case.mutant, case.scenario, str(case.computers), str(case.seed), file)
    life = _run("benchmarks.shrinking_life", *given)
    life.check_returncode()
    replay = _run("labsim.cli", "replay", file)
    said = json.loads(life.stdout)
    return Measured(commit, **asdict(case), **said, holds=replay.returncode == 0)


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = (sys.executable, "-m", module, *arguments)
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
