"""Campaigns without end: ``make soak`` appends to a file and goes on there.

Each line is a batch of seeds that held, with the commit they held for; another run of
the same commit begins behind them. A seed that fails ends the run, with the line that
repeats it.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess  # noqa: TID251 - git is a program
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random

from attrs import asdict, frozen

from labsim.cli import play_seed, scenario_names
from labsim.lives import bootstrap, upgrade
from tests.emulation.test_kills import killed
from tests.interop.stock import neo_environment
from tests.model.mutants import load as load_quorum
from tests.model.scopes import SCOPES
from tests.model.search import explore, read_steps, tell
from tests.model.walks import play_walk
from tests.neo_port.hook_mutants import scenes
from tests.neo_port.three_regions import APART, Way
from tests.source_tree import TOP, present_commit
from tests.unit.master_cluster.histories import MASTERS, VERBS, Run, Step
from tests.unit.master_cluster.test_histories import BEGINNING

STEP_COUNT_MAX = 60
"""Longer than what `make test` draws; nothing here is shrunk."""

KILLS_PER_SEED = 20
ENDURANCE_ROUNDS = 50
"""Twelve faults each: three hours."""

WORLDS_MAX = 1_500_000
"""Of small worlds in memory: two gigabytes."""


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


def play_history(seed: int) -> None:
    Run(seed).play([*BEGINNING, *drawn_steps(seed)])


def play_laboratory(seed: int) -> None:
    """One seed of one of the scenarios, by turns; `labsim soak` plays all of each."""
    names = scenario_names()
    scenario = names[seed % len(names)]
    failure = play_seed(scenario, seed)
    if failure is not None:
        sys.exit(f"{failure}: labsim run {scenario} --seed {seed}")


def play_kills(seed: int) -> None:
    sys.stdout.write(f"{killed(seed, KILLS_PER_SEED)}\n")


def play_endurance(seed: int) -> None:
    """Three regions of NEO in networks of their own, by turns on each way."""
    runs = Campaign.log("endurance-runs")
    way = tuple(Way)[seed % len(Way)]
    rounds = str(ENDURANCE_ROUNDS)
    _play_apart("run_regions", str(seed), way, rounds, str(runs), present_commit())


def play_schedule(seed: int) -> None:
    """Several faults at once, on a direct way or through stunnel."""
    runs = Campaign.log("schedules-runs")
    way = (Way.DIRECT, Way.STUNNEL)[seed % 2]
    _play_apart("schedules", str(seed), way, str(runs), present_commit())


def play_hooks(seed: int) -> None:
    """By turns each mutant of a hook, to be found, and each scenario without one."""
    runs = Campaign.log("quorum-hooks-runs")
    scene = scenes()[seed % len(scenes())]
    _play_apart("hook_scenarios", *scene, str(runs), present_commit())


def _play_apart(module: str, *arguments: str) -> None:
    # Made here: no network is left where it is used.
    neo_environment()
    argv = (sys.executable, "-m", f"tests.neo_port.{module}", *arguments)
    subprocess.run([*APART, *argv], cwd=TOP, check=True)


def play_bootstrap(seed: int) -> None:
    """One life of a bootstrap, in a fork that is gone with all that it leaves."""
    bootstrap.digest_without_kills(seed % bootstrap.PLOTS)
    gc.freeze()
    with get_context("fork").Pool(1) as pool:
        outcome = pool.apply(bootstrap.play, (seed,))
    problems = tuple(bootstrap.problems_of(seed, outcome))
    run = {"commit": present_commit(), "seed": seed, **asdict(outcome)}
    with Campaign.log("bootstrap-runs").open("a") as log:
        log.write(json.dumps({**run, "problems": problems}) + "\n")
    if problems:
        sys.exit("\n".join(problems))


def play_upgrade(seed: int) -> None:
    """One life of upgrades, in a fork as well."""
    gc.freeze()
    with get_context("fork").Pool(1) as pool:
        outcome = pool.apply(upgrade.play, (seed,))
    run = {"commit": present_commit(), "seed": seed, **asdict(outcome)}
    with Campaign.log("upgrade-runs").open("a") as log:
        log.write(json.dumps(run) + "\n")
    if outcome.problems:
        sys.exit("\n".join(outcome.problems))


def play_walks(seed: int) -> None:
    """Lives by chance in every small world of the quorum."""
    neo = load_quorum()
    for small in SCOPES.values():
        play_walk(neo, small, seed)


def play_worlds(seed: int) -> None:
    """All of one deep world of the quorum, or as much as there is memory for."""
    neo = load_quorum()
    deep = [small for small in SCOPES.values() if small.is_deep]
    small = deep[seed % len(deep)]
    scope = small.build()
    search = explore(neo, scope, WORLDS_MAX, read_steps(small.prefix))
    if search.fault:
        sys.exit("\n".join(tell(neo, scope, search.trail)))
    sys.stdout.write(
        f"{small.name}: {search.count} worlds, {search.steps} steps, "
        f"depth {search.depth}, {'all' if search.is_whole else 'not all'}\n"
    )


def play_properties(seed: int) -> None:
    """Each property with a thousand examples, as far as it does not say how many."""
    chosen = ("tests/unit", "-m", "hypothesis", "-p", "no:cacheprovider")
    drawn = ("--hypothesis-profile=thorough", f"--hypothesis-seed={seed}")
    subprocess.run([str(TOP / "bin" / "pytest"), *chosen, *drawn], cwd=TOP, check=True)


@frozen
class Campaign:
    """What is played, and how many seeds are between two lines of its file."""

    play: Callable[[int], None]
    batch: int

    @staticmethod
    def log(name: str) -> Path:
        return TOP / ".soak" / f"{name}.jsonl"


CAMPAIGNS: Mapping[str, Campaign] = {
    # A second or two of work is lost by a kill.
    "histories": Campaign(play_history, 100),
    # Seconds to minutes each.
    "lab": Campaign(play_laboratory, 1),
    # Some seconds each; bootstrap-runs.jsonl has a line for each.
    "bootstrap": Campaign(play_bootstrap, 5),
    # Some seconds each; upgrade-runs.jsonl has a line for each.
    "upgrade": Campaign(play_upgrade, 5),
    # Twenty kills each, a minute.
    "kills": Campaign(play_kills, 1),
    # Faults that overlap, for 20 s; schedules-runs.jsonl has a line for each.
    "schedules": Campaign(play_schedule, 1),
    # One fault after the other; endurance-runs.jsonl has a line for each.
    "endurance": Campaign(play_endurance, 1),
    # A few seconds each.
    "quorum": Campaign(play_walks, 5),
    # Half a minute each; quorum-hooks-runs.jsonl has a line for each.
    "quorum-hooks": Campaign(play_hooks, 1),
    # Twenty times what `make test` draws: some minutes.
    "properties": Campaign(play_properties, 1),
    # One scope each: seconds to half an hour.
    "quorum-worlds": Campaign(play_worlds, 1),
}


def next_seed(log: Path, commit: str) -> int:
    """Return the first seed that did not hold yet for this commit."""
    if not log.exists():
        return 0
    batches = [json.loads(line) for line in log.read_text().splitlines()]
    return max((it["end"] for it in batches if it["commit"] == commit), default=0)


def play_on(name: str, seconds: float, jobs: int) -> None:
    campaign, commit, log = CAMPAIGNS[name], present_commit(), Campaign.log(name)
    seed, count = next_seed(log, commit), campaign.batch * jobs
    deadline = time.monotonic() + seconds  # noqa: TID251 - the real clock
    with ProcessPoolExecutor(jobs) as pool:
        while time.monotonic() < deadline:  # noqa: TID251
            seeds = range(seed, seed + count)
            playing = [pool.submit(campaign.play, each) for each in seeds]
            for each, played in zip(seeds, playing, strict=True):
                try:
                    played.result()
                except BaseException:
                    again = f"bin/python tests/soak.py --campaign {name} --seed {each}"
                    sys.stderr.write(f"again: {again}\n")
                    raise
            batch = {"commit": commit, "begin": seed, "end": seed + count}
            seed += count
            with log.open("a") as opened:
                opened.write(json.dumps(batch) + "\n")
    sys.stdout.write(f"{seed} seeds of {name} held for {commit}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaign", choices=sorted(CAMPAIGNS), default="histories")
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, help="play this one and end")
    parser.add_argument("--jobs", type=int, default=1, help="so many at a time")
    options = parser.parse_args()
    Campaign.log(options.campaign).parent.mkdir(exist_ok=True)
    if options.seed is None:
        play_on(options.campaign, options.seconds, options.jobs)
    else:
        CAMPAIGNS[options.campaign].play(options.seed)


if __name__ == "__main__":
    main()
