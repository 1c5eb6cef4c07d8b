"""What docs/laboratory.md shows is true: its commands, its checker, its pages."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from attrs import evolve, frozen

from labsim.checkers.violation import Bounds
from labsim.cli import cli, load_plan, load_scenario
from labsim.history import FaultBegan, FaultEnded, Happening, Phase, PhaseBegan
from labsim.plan import encode_plan
from labsim.run import draw_plan, play
from tests.simulation.guide.undone import Undone
from tests.source_tree import TOP

GUIDE = TOP / "docs/laboratory.md"
REPORTS = TOP / "docs/reports"
PATIENT = Path("tests/simulation/guide/patient.json")
PAGE_BYTES_MAX = 700_000
"""A page of these docs is fetched by people, and kept for ever."""

LONG = ("shrink", "verify-determinism", "soak")
"""Commands of many runs: of these only the words are looked at."""

DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


@frozen
class Shown:
    """A command of the guide, and what it prints there."""

    command: str
    output: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command)[1:]


def shown_commands(text: str) -> Iterator[Shown]:
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield Shown(command, output.rstrip("\n"))


SHOWN = tuple(shown_commands(GUIDE.read_text()))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory from which the files of the tests are reached."""
    (tmp_path / "tests").symlink_to(TOP / "tests")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def undated(text: str) -> str:
    """Without digests: each packet is in them, so they change with all that is said."""
    return DIGEST.sub("DIGEST", text)


def rounded(text: str) -> str:
    """The same to the second: a packet more is a millisecond more."""
    return re.sub(r"(\d)\.\d+", r"\1", undated(text))


@pytest.mark.parametrize("shown", SHOWN, ids=lambda it: it.command)
def test_a_command_of_the_guide_is_one(shown: Shown) -> None:
    """Its options exist, and the files that it reads."""
    name, *rest = shown.words

    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    files = [it for it in rest if it.startswith("tests/")]
    assert all((TOP / it).exists() for it in files)
    written = {it for it in rest if it.endswith(".json") and it not in files}
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(TOP)
        options = [str(PATIENT) if it in written else it for it in rest]
        command.make_context(name, options)


@pytest.mark.usefixtures("place")
def test_what_the_guide_shows_is_what_is_printed(capsys, pytestconfig) -> None:
    """In their order: a later one may read what an earlier one wrote.

    ``--rewrite`` shows it anew; what stands between the commands is for people to read.
    """
    short = [it for it in SHOWN if it.words[0] not in LONG]
    assert len(short) > 3

    for shown in short:
        with pytest.raises(SystemExit):
            cli.main(args=shown.words)

        told = capsys.readouterr()
        lines = [it.rstrip() for it in (told.out + told.err).splitlines()]
        printed = "\n".join(lines)
        if pytestconfig.getoption("rewrite"):
            head = f"$ {shown.command}\n"
            text = GUIDE.read_text().replace(head + shown.output, head + printed)
            GUIDE.write_text(text)
        else:
            assert rounded(printed) == rounded(shown.output)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", ["patient", "everything"])
def test_a_page_that_is_kept_is_the_one_that_is_made(
    name, capsys, pytestconfig
) -> None:
    """``--rewrite`` writes it anew, when production code moved what happens in it."""
    plan = PATIENT
    if name != "patient":
        plan = Path(f"{name}.json")
        plan.write_text(encode_plan(draw_plan(load_scenario(name), 7)))

    with pytest.raises(SystemExit):
        cli.main(args=["explain", str(plan), "--into", "page.html"])

    capsys.readouterr()
    page, kept = Path("page.html").read_text(), REPORTS / f"{name}.html"
    if pytestconfig.getoption("rewrite"):
        kept.write_text(page)
    assert len(page) < PAGE_BYTES_MAX
    assert undated(kept.read_text()) == undated(page), "see --rewrite"


CUT = FaultBegan(10.0, 0, "cut", ("r1",))
CRASH = FaultBegan(12.0, 1, "crash", ("COMP-0",))
HEALED = PhaseBegan(60.0, Phase.HEALED)

ACCEPTED: dict[str, tuple[Happening, ...]] = {
    "nothing broke": (HEALED,),
    "both ended": (CUT, CRASH, FaultEnded(20.0, 1), FaultEnded(60.0, 0), HEALED),
    "the run is not there yet": (CUT,),
}
REJECTED: dict[str, tuple[Happening, ...]] = {
    "one lasts": (CUT, CRASH, FaultEnded(20.0, 1), HEALED),
    "one ends late": (CUT, HEALED, FaultEnded(61.0, 0)),
}


def found_in(history: tuple[Happening, ...]) -> list[str]:
    checker = Undone(Bounds())
    told = [it.sentence for each in history for it in checker.take(each)]
    return told + [it.sentence for it in checker.finish()]


@pytest.mark.parametrize("name", ACCEPTED)
def test_the_checker_of_the_guide_accepts(name: str) -> None:
    assert found_in(ACCEPTED[name]) == []


@pytest.mark.parametrize("name", REJECTED)
def test_the_checker_of_the_guide_rejects(name: str) -> None:
    assert found_in(REJECTED[name]) == [
        "cut of r1, which began at 10 s, lasts at the healing"
    ]


def test_the_plan_of_the_guide_shows_what_it_is_said_to_show() -> None:
    """It is late, not stuck: with more patience it holds."""
    plan = load_plan(str(TOP / PATIENT))
    durations = evolve(plan.scenario.durations, settle_seconds=1800)
    patient = evolve(plan, scenario=evolve(plan.scenario, durations=durations))

    run = play(plan)

    assert run.failure == "settled"
    assert found_in(run.history) == []
    assert play(patient).violations == ()
