"""Shell. The laboratory's commands: ``labsim``, and ``slapcluster lab``."""

from __future__ import annotations

import gc
import os
import shlex
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
from attrs import frozen

from labsim.faults.table import PACKAGES
from labsim.injector import Injector
from labsim.memory import check_fits
from labsim.mutants.page import render_page
from labsim.mutants.score import Score
from labsim.mutants.scoring import ScoreBatch, score_on
from labsim.mutants.table import MUTANTS
from labsim.plan import Plan, check_plan, decode_plan, encode_plan, located
from labsim.refusals import BadInput, check_known
from labsim.report.page import explain as explain_run
from labsim.run import Played, draw_plan, play
from labsim.scenario import Scenario, read_scenario, resize
from labsim.shrinking import RUNS_MAX, shrink
from labsim.soaking import JOBS_MAX, Batch, soak_on
from labsim.trying import Tries
from labsim.world.determinism import (
    Agreement,
    RunFailed,
    print_trace,
    verify_determinism,
)
from slapcluster.boundary import RootGroup
from slapcluster.outcomes import CommandFailed
from slapcluster.printing import Progress, print_json, print_note, print_tables
from slapcluster.tables import Table, fold, line

SCENARIOS = Path(__file__).parent / "scenarios"

VIOLATED = 4
"""The exit code of a run in which something was wrong."""

UNFINISHED = 5
"""That of a shrinking that ran out of time: smaller, and perhaps not the smallest."""

SHRINKING_SECONDS = 300.0
"""What a plan of a hundred hosts may take (docs/benchmarks.md)."""

SENTENCE_WIDTH_MAX = 300
"""What a table shows of a violation; JSON has it whole."""

_EPILOG = """Exit codes: 0 all was as it must be, 1 cannot be played, 4 a checker found
something wrong, 5 a plan may not be the smallest, 130 interrupted.

A scenario is one of `labsim scenarios`, or a file; what stands in it is said in
docs/protocols/scenarios.md."""


@frozen
class Answer:
    """How a command answers the person."""

    is_json: bool = False


_pass_answer = click.make_pass_decorator(Answer)


@click.group("labsim", cls=RootGroup, epilog=_EPILOG)
@click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Tables for people or JSON for programs.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(ctx: click.Context, output: str, debug: bool) -> None:
    """Run the production code in a world of one seed, and break that world."""
    del debug  # the group's own
    # Each run ends by collecting what it left: not also all that was imported.
    gc.freeze()
    ctx.obj = Answer(is_json=output == "json")


def _count_options(command: click.decorators.FC) -> click.decorators.FC:
    for name in ("partitions", "computers", "regions"):
        text = f"So many {name} in place of the scenario's."
        command = click.option(f"--{name}", type=int, metavar="N", help=text)(command)
    return command


@cli.command(epilog="JSON: [{name, title, size}], of seed 0.")
@_pass_answer
def scenarios(answer: Answer) -> None:
    """List the scenarios that come with the laboratory."""
    found = [(name, load_scenario(name)) for name in scenario_names()]
    document = [
        {"name": name, "title": it.title, "size": draw_plan(it, 0).size}
        for name, it in found
    ]
    rows = tuple(line(it["name"], it["title"], it["size"]) for it in document)
    _answer(answer, document, Table(("scenario", "title", "of seed 0"), rows))


@cli.command("run", epilog="JSON: {plan, digest, seconds, failure, violations}.")
@click.argument("scenario")
@click.option("--seed", type=int, default=0, show_default=True)
@_count_options
@click.option(
    "--save", type=click.Path(), help="Write the plan there: replay and shrink read it."
)
@_pass_answer
def run_scenario(
    answer: Answer,
    /,
    scenario: str,
    *,
    seed: int,
    save: str | None,
    **counts: int | None,
) -> int:
    """Play a scenario: the same seed is the same run."""
    loaded = load_scenario(scenario)
    with _sentences():
        plan = draw_plan(resize(loaded, **counts), seed)
    if save is not None:
        Path(save).write_text(encode_plan(plan))
    return _play(answer, plan)


@cli.command(epilog="JSON: as of run.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@_pass_answer
def replay(answer: Answer, file: str) -> int:
    """Play a plan that run or shrink wrote, or somebody edited."""
    return _play(answer, load_plan(file))


@cli.command(epilog="JSON: {file, violations}.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--into", type=click.Path(), help="Where to; FILE.html by default.")
@_pass_answer
def explain(answer: Answer, file: str, into: str | None) -> int:
    """Write a page that shows what happened when a plan is played.

    It is one file, which needs no network.
    """
    played = play(load_plan(file))
    target = into or f"{file}.html"
    topology, command = played.plan.topology, f"labsim replay {shlex.quote(file)}"
    page = explain_run(
        played.history,
        f"{played.plan.scenario.title}, seed {played.plan.seed}",
        {it.name: it.hosts for it in topology.regions},
        played.violations,
        facts={"digest": played.digest, "again": command},
        colours={name: it.colour for name, it in PACKAGES.items()},
    )
    Path(target).write_text(page)
    document = {"file": target, "violations": len(played.violations)}
    _answer(answer, document, _facts(document))
    return VIOLATED if played.violations else 0


@cli.command(
    "verify-determinism", epilog="JSON: {agree, line_count, divergence}; null for none."
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@_pass_answer
def verify_plan(answer: Answer, file: str) -> int:
    """Play a plan in fresh interpreters with other hash seeds, and compare the traces.

    Where they diverge is told, with what came before.
    """
    load_plan(file)
    traced = ("-m", "labsim.cli", "trace", str(Path(file).resolve()))
    try:
        found = verify_determinism(traced)
    except RunFailed as error:
        raise CommandFailed(f"{error}.") from error
    agrees = isinstance(found, Agreement)
    document: dict[str, object] = {
        "agree": agrees,
        "line_count": found.line_count if isinstance(found, Agreement) else None,
        "divergence": None if agrees else str(found),
    }
    _answer(answer, document, _facts(document))
    return 0 if agrees else VIOLATED


@cli.command(hidden=True)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def trace(file: str) -> None:
    """Print the trace of a plan, line by line."""
    play(load_plan(file), follow=print_trace)


@cli.command(
    "shrink",
    epilog="JSON: {plan, file, run_count, is_minimal, failure}. Exit code 4 when "
    "nothing more can be left out, 5 when runs or seconds were too few to know.",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--into", type=click.Path(), help="Where to; FILE.small by default.")
@click.option("--runs", type=int, default=RUNS_MAX, show_default=True, metavar="N")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=SHRINKING_SECONDS,
    show_default=True,
    help="Write the smallest plan that is known then.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, JOBS_MAX),
    default=1,
    show_default=True,
    help="Try so many plans at once; what is found is the same.",
)
@_pass_answer
def shrink_plan(
    answer: Answer,
    /,
    file: str,
    *,
    into: str | None,
    runs: int,
    seconds: float,
    jobs: int,
) -> int:
    """Find the smallest plan that fails in the same way."""
    plan = load_plan(file)
    progress = Progress("shrink", is_silent=answer.is_json)

    def tell(run_count: int, left: Plan) -> None:
        progress.show(f"run {run_count}, left: {left.size}", run_count, runs)

    with closing(progress):
        tries = Tries(lambda it: play(it).failure, jobs, seconds)
        first = tuple(tries.results((plan,)))
        if not first:
            raise CommandFailed(f"{file} takes more than {seconds:g} s to play once.")
        (failure,) = first
        if failure is None:
            raise CommandFailed(f"{file} holds: there is nothing to shrink.")
        found = shrink(plan, tries.outcomes(failure), runs, tell)
    target = into or f"{file}.small"
    Path(target).write_text(encode_plan(found.plan))
    document = {
        "plan": found.plan.size,
        "file": target,
        "run_count": found.run_count,
        "is_minimal": found.is_minimal,
        "failure": failure,
    }
    _answer(answer, document, _facts(document))
    _note(answer, f"again: labsim replay {shlex.quote(target)}")
    return VIOLATED if found.is_minimal else UNFINISHED


@cli.command(
    epilog="JSON: {commit, held, failed: [{scenario, seed, failure, command}]}. "
    "A seed that is in the file for this commit is not played again."
)
@click.argument("scenario", nargs=-1)
@click.option("--seeds", type=int, default=20, show_default=True, metavar="N")
@click.option("--jobs", type=int, default=os.cpu_count(), show_default=True)
@click.option("--file", type=click.Path(), default=".soak/lab.jsonl", show_default=True)
@_pass_answer
def soak(
    answer: Answer, scenario: tuple[str, ...], seeds: int, jobs: int, file: str
) -> int:
    """Play many seeds of scenarios, of all without one, on all cores."""
    names = scenario or scenario_names()
    for name in names:
        load_scenario(name)
    progress = Progress("soak", is_silent=answer.is_json)
    failed = []
    with _sentences(), closing(progress):
        batch = Batch(names, seeds, jobs, Path(file))
        for done, verdict in enumerate(soak_on(batch, play_seed), start=1):
            if verdict.failure is not None:
                failed.append(verdict)
                print_note(f"{verdict.failure}: {verdict.command}")
            progress.show(
                f"{done} of {batch.total}, {len(failed)} failed", done, batch.total
            )
    document = {
        "commit": batch.commit,
        "held": batch.total - len(failed),
        "failed": [
            {
                "scenario": it.scenario,
                "seed": it.seed,
                "failure": it.failure,
                "command": it.command,
            }
            for it in failed
        ],
    }
    _answer(answer, document, _facts({**document, "failed": len(failed)}))
    return VIOLATED if failed else 0


@cli.command(
    epilog="JSON: {commit, mutants: [{mutant, checker, trial, seed, seed_count, "
    "cpu_seconds}]}; null for what was not found. A seed that is in the file for this "
    "commit is not played again. Exit code 1 when a mutant is not found."
)
@click.argument("mutant", nargs=-1)
@click.option("--seeds", type=int, default=10, show_default=True, metavar="N")
@click.option("--jobs", type=int, default=os.cpu_count(), show_default=True)
@click.option(
    "--file", type=click.Path(), default=".soak/score.jsonl", show_default=True
)
@click.option("--page", type=click.Path(), help="Write what was found there, in text.")
@_pass_answer
def score(
    answer: Answer,
    /,
    mutant: tuple[str, ...],
    *,
    seeds: int,
    jobs: int,
    file: str,
    page: str | None,
) -> int:
    """Take one safeguard after the other out of production code, and look for it.

    A MUTANT is the name of one; all without.
    """
    known = tuple(it.name for it in MUTANTS)
    progress = Progress("score", is_silent=answer.is_json)
    scores: dict[str, Score] = {}
    with _sentences(), closing(progress):
        check_known("mutant", mutant, known)
        batch = ScoreBatch(mutant or known, seeds, jobs, Path(file))
        for done, found in enumerate(score_on(batch), start=1):
            scores[found.mutant] = found
            missed = sum(not it.is_found for it in scores.values())
            total = len(batch.mutants)
            progress.show(f"{done} of {total}, {missed} not found", done, total)
    in_order = tuple(scores[it] for it in batch.mutants)
    if page is not None:
        Path(page).write_text(render_page(batch.commit, in_order))
    document = [describe_score(it) for it in in_order]
    columns = ("mutant", "checker", "trial", "seed", "seed_count", "cpu_seconds")
    rows = tuple(line(*(it[column] for column in columns)) for it in document)
    table = Table(tuple(it.replace("_", " ") for it in columns), rows)
    _answer(answer, {"commit": batch.commit, "mutants": document}, table)
    return 0 if all(it.is_found for it in in_order) else 1


def describe_score(score: Score) -> dict[str, object]:
    """What became of a mutant, as JSON."""
    finding = score.finding
    return {
        "mutant": score.mutant,
        "checker": finding and finding.checker,
        "trial": finding and finding.trial,
        "seed": None if finding is None else finding.seed,
        "seed_count": len(score.attempts),
        "cpu_seconds": score.cpu_seconds,
    }


def play_seed(scenario: str, seed: int) -> str | None:
    """How a seed fails, ``None`` when it holds; in a process of its own."""
    return play(draw_plan(load_scenario(scenario), seed)).failure


def scenario_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in SCENARIOS.glob("*.toml")))


def load_scenario(name: str) -> Scenario:
    """A scenario by the name of one of ours, or of a file."""
    path = Path(name)
    if not path.suffix and "/" not in name:
        path = SCENARIOS / f"{name}.toml"
        if not path.exists():
            known = ", ".join(scenario_names())
            raise CommandFailed(f"No scenario {name!r}; there are {known}, or a file.")
    with _sentences():
        return read_scenario(_read(str(path)), name)


def load_plan(file: str) -> Plan:
    with _sentences():
        text = _read(file)
        plan = decode_plan(text, file)
        with located(text, file):
            check_plan(plan, Injector.VERBS)
    return plan


def _read(file: str) -> str:
    content = Path(file).read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{file}:{line}: this is not UTF-8: {error.reason}") from error


@contextmanager
def _sentences() -> Iterator[None]:
    """What is refused inside is said, without a traceback."""
    try:
        yield
    except BadInput as error:
        raise CommandFailed(f"{error}.") from error


def _play(answer: Answer, plan: Plan) -> int:
    with _sentences():
        check_fits(plan)
    played = play(plan)
    _answer(answer, describe(played), *_tables(played))
    return VIOLATED if played.violations else 0


def describe(played: Played) -> dict[str, object]:
    """A run as JSON."""
    return {
        "plan": played.plan.size,
        "seed": played.plan.seed,
        "digest": played.digest,
        "seconds": played.seconds,
        "failure": played.failure,
        "violations": [
            {"checker": it.checker, "sentence": it.sentence} for it in played.violations
        ],
    }


def _tables(played: Played) -> tuple[Table, ...]:
    facts = describe(played)
    del facts["violations"]
    violations = tuple(
        line(it.checker, fold(it.sentence, SENTENCE_WIDTH_MAX))
        for it in played.violations
    )
    return _facts(facts), Table(("checker", "violation"), violations)


def _facts(document: dict[str, object]) -> Table:
    rows = tuple(line(key, value) for key, value in document.items())
    return Table(("", "value"), rows)


def _answer(answer: Answer, document: object, *tables: Table) -> None:
    if answer.is_json:
        print_json(document)
    else:
        print_tables(*tables)


def _note(answer: Answer, sentence: str) -> None:
    if not answer.is_json:
        print_note(sentence)


def main() -> None:
    cli.main(prog_name="labsim")


if __name__ == "__main__":
    main()
