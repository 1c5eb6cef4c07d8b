"""Mutants of production code: each is another program, and what finds it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labsim.cli import cli, scenario_names
from labsim.mutants.changing import TOP, TargetGone, texts_of
from labsim.mutants.mutant import Change, Mutant
from labsim.mutants.scoring import AS_IT_IS, ScoreBatch, score_mutant
from labsim.mutants.table import MUTANTS, named_mutant
from labsim.mutants.trials import LIVES

MUTANT_COUNT_MIN = 30
FAST = "a removal is not synchronised"
RARE = "nobody with all is there"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda it: it.name)
def test_a_mutant_is_another_program(mutant: Mutant) -> None:
    """Its target stands once in the source, and what comes out can be compiled."""
    for path, text in texts_of(mutant.changes).items():
        compile(text, path, "exec")
        assert text != (TOP / path).read_text()
        assert not path.startswith(("labsim/", "tests/"))


def test_each_mutant_says_why_and_where_it_is_found() -> None:
    assert len(MUTANTS) >= MUTANT_COUNT_MIN
    assert len({it.name for it in MUTANTS}) == len(MUTANTS)
    assert all(it.reason.endswith(".") for it in MUTANTS)
    assert all(it.trials for it in MUTANTS)
    trials = {trial for it in MUTANTS for trial in it.trials}
    assert trials <= {*LIVES, *scenario_names()}


@pytest.mark.parametrize("text", ["nobody wrote this", "self"], ids=["gone", "many"])
def test_a_target_that_does_not_stand_there_once_is_an_error(text: str) -> None:
    with pytest.raises(TargetGone):
        texts_of((Change("runtime/files.py", text, ""),))


class Players:
    """Plays nothing: who is found where is said before."""

    def __init__(self, *found: tuple[str, str, int]) -> None:
        self.found = found
        self.played: list[tuple[str, str, int]] = []

    def __call__(self, mutant: str, trial: str, seed: int) -> dict[str, object]:
        self.played.append((mutant, trial, seed))
        checker = "settled" if (mutant, trial, seed) in self.found else None
        return {"checker": checker, "sentence": checker, "cpu_seconds": 0.5}


def batch(tmp_path: Path, seed_count: int = 3) -> ScoreBatch:
    return ScoreBatch((RARE,), seed_count, 1, tmp_path / "score.jsonl")


def test_a_mutant_is_played_until_it_is_found(tmp_path: Path) -> None:
    """The seed that is known comes first; then the code as it is has to hold."""
    players = Players((RARE, "neo", 1))

    score = score_mutant(batch(tmp_path), RARE, players)

    assert players.played == [
        (RARE, "neo", 51),
        (RARE, "neo", 0),
        (RARE, "neo", 1),
        (AS_IT_IS, "neo", 1),
    ]
    assert score.finding is not None
    assert (score.finding.seed, len(score.attempts), score.cpu_seconds) == (1, 3, 1.5)


def test_what_fails_without_the_mutant_too_is_no_finding(tmp_path: Path) -> None:
    players = Players((RARE, "neo", 51), (AS_IT_IS, "neo", 51), (RARE, "neo", 0))

    score = score_mutant(batch(tmp_path), RARE, players)

    assert score.finding is not None
    assert score.finding.seed == 0


def test_what_the_file_has_is_not_played_again(tmp_path: Path) -> None:
    score_mutant(batch(tmp_path, seed_count=1), RARE, Players())
    again = Players()

    score = score_mutant(batch(tmp_path, seed_count=2), RARE, again)

    assert not score.is_found
    assert again.played == [(RARE, "neo", 1)]


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(args=["--output", "json", "score", *arguments])
    return int(ended.value.code or 0)


def test_a_mutant_is_found_by_the_command(tmp_path: Path, capsys) -> None:
    """End to end: an interpreter for the mutant, and one for the code as it is."""
    log, page = tmp_path / "score.jsonl", tmp_path / "page.md"

    code = run(FAST, "--jobs", "1", "--file", str(log), "--page", str(page))

    (found,) = json.loads(capsys.readouterr().out)["mutants"]
    assert code == 0
    del found["cpu_seconds"]
    assert found == {
        "mutant": FAST,
        "checker": "life of files",
        "trial": "files",
        "seed": 0,
        "seed_count": 1,
    }
    lines = [json.loads(it) for it in log.read_text().splitlines()]
    assert [it["mutant"] for it in lines] == [FAST, AS_IT_IS]
    assert f"| {FAST} | {named_mutant(FAST).reason} |" in page.read_text()


def test_a_mutant_that_is_not_found_is_told_by_the_exit_code(
    tmp_path: Path, capsys
) -> None:
    unplayed = ScoreBatch((FAST,), 1, 1, tmp_path / "score.jsonl")
    score_mutant(unplayed, FAST, Players())

    code = run(FAST, "--seeds", "1", "--jobs", "1", "--file", str(unplayed.file))

    assert code == 1
    assert json.loads(capsys.readouterr().out)["mutants"][0]["checker"] is None


def test_a_mutant_that_nobody_knows_is_refused(capsys) -> None:
    assert run("unheard of") == 1
    assert "no 'unheard of'" in capsys.readouterr().err
