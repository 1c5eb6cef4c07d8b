"""``make bench``: run benchmarks, print their tables, keep their figures.

Each finished benchmark is a line of ``.benchmarks/runs.jsonl`` with the commit that it
measured; one that this commit has already is not run again, so an interrupted run is
continued by the same command.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess  # noqa: TID251 - git knows the commit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import rich
from attrs import asdict
from rich.table import Table

from benchmarks import (
    agents,
    allocation,
    bare_world,
    collecting,
    formatting,
    gaps,
    groups,
    lab_fleets,
    lab_shrinking,
    large_store,
    links,
    neo_costs,
    placing,
    polls,
    quorum_costs,
    tls_polls,
    wake_up,
)
from benchmarks.result import Result
from benchmarks.spread import Spread

RUNS = Path(".benchmarks/runs.jsonl")
LARGEST_NUMBER_OF_DIGITS = 3

BENCHMARKS: Mapping[str, Callable[[], Result]] = {
    "polls": polls.run,
    "tls_polls": tls_polls.run,
    "identical_requests": placing.run_identical,
    "concurrent_allocations": placing.run_concurrent,
    "allocation": allocation.run,
    "large_store": large_store.run,
    "collecting": collecting.run,
    "agent_forced": agents.run_forced,
    "agent_idle": agents.run_idle,
    "supervision_groups": groups.run,
    "format_first": formatting.run,
    "bare_world": bare_world.run,
    "lab_polls": lab_fleets.run_messages,
    "lab_polls_http": lab_fleets.run_http,
    "lab_shrinking": lab_shrinking.run,
    "links": links.run,
    "neo": neo_costs.run,
    "quorum": quorum_costs.run,
    "wake_up": wake_up.run,
    "gap_storage_node": gaps.run_storage_node,
    "gap_primary": gaps.run_primary,
    "gap_region": gaps.run_region,
    "gap_cut": gaps.run_cut,
}


@click.command()
@click.option(
    "--only",
    "names",
    multiple=True,
    type=click.Choice(tuple(BENCHMARKS)),
    help="Run this one; may be repeated.  [default: all]",
)
@click.option("--again", is_flag=True, help="Run also what this commit has already.")
@click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)
def main(names: tuple[str, ...], output: str, *, again: bool) -> None:
    """Measure what things cost, beside the stock programs where they can do them.

    Figures: the median, its 95 % interval, the worst one, and of how many. Exit code 1
    when a goal is missed.
    """
    commit = _commit()
    known = {} if again else _known(commit)
    runs = []
    for name in names or tuple(BENCHMARKS):
        run = known.get(name)
        if run is None:
            click.echo(f"measuring {name} ...", err=True)
            run = _run(name, commit)
        else:
            click.echo(f"{name} was measured at this commit before", err=True)
        runs.append(run)
        if output == "table":
            _print(run)
    if output == "json":
        click.echo(json.dumps(runs, indent=2))
    if any(not goal["is_met"] for run in runs for goal in run["goals"]):
        raise SystemExit(1)


def _run(name: str, commit: str) -> dict[str, Any]:
    result = BENCHMARKS[name]()
    goals = [{**asdict(it), "is_met": it.is_met} for it in result.goals]
    run = {**asdict(result), "goals": goals, "commit": commit, "machine": _machine()}
    RUNS.parent.mkdir(exist_ok=True)
    with RUNS.open("a") as file:
        file.write(json.dumps(run) + "\n")
    return run


def _known(commit: str) -> dict[str, dict[str, Any]]:
    """Return the last run of each benchmark at a commit; an altered tree has none."""
    if commit.endswith("+") or not RUNS.exists():
        return {}
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()]
    return {run["name"]: run for run in runs if run["commit"] == commit}


def _commit() -> str:
    """Return the commit of the checkout, with a ``+`` when files differ from it."""
    git = ["git", "-c", "safe.directory=*"]
    commit = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True)
    changed = subprocess.check_output([*git, "status", "--porcelain"], text=True)
    return commit.strip() + ("+" if changed else "")


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    cores = len(os.sched_getaffinity(0))
    name = model[0] if model else platform.machine()
    return f"{cores} cores, {name}, Python {platform.python_version()}"


def _print(run: Mapping[str, Any]) -> None:
    table = Table(title=f"{run['name']} at {run['commit']} ({run['machine']})")
    for column in ("what", "median", "95 % interval", "worst", "n", "unit or goal"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for figure in run["figures"]:
        table.add_row(*_cells(figure), figure["unit"])
    for goal in run["goals"]:
        table.add_row(*_cells(goal), _verdict(goal))
    for name, value in run["facts"].items():
        table.add_row(name, _number(value), "", "", "", "")
    rich.print(table)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    spread = Spread(**row["spread"])
    interval = f"{_number(spread.low)} .. {_number(spread.high)}"
    return (
        str(row["name"]),
        _number(spread.median),
        interval,
        _number(spread.worst),
        str(spread.count),
    )


def _verdict(goal: Mapping[str, Any]) -> str:
    for key, sign in (("at_most", "<="), ("at_least", ">=")):
        if goal[key] is not None:
            bound = _number(float(str(goal[key])))
            return f"{sign} {bound}: {'met' if goal['is_met'] else 'MISSED'}"
    return ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10**LARGEST_NUMBER_OF_DIGITS else f"{value:.3g}"


if __name__ == "__main__":
    main()
