"""The commands of the laboratory, each with its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labsim.cli import UNFINISHED, VIOLATED, cli
from labsim.plan import decode_plan
from labsim.soaking import Batch, Verdict, soak_on
from slapcluster.cli import cli as slapcluster

SCENARIO = """\
title = "Three computers"

[fleet]
regions = 1
computers = 3
partitions = 2

[workload]
updates = 6

[faults]
kinds = ["cut"]
pause_seconds = 20

[durations]
beginning_seconds = 100
fault_seconds = 60
"""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "three.toml"
    path.write_text(SCENARIO)
    return str(path)


def run(*arguments: str, command=cli) -> int:
    with pytest.raises(SystemExit) as ended:
        command.main(args=list(arguments))
    code = ended.value.code
    return 0 if code is None else int(code)


def test_a_run_and_its_replay_are_the_same(scenario, tmp_path, capsys) -> None:
    plan = tmp_path / "plan.json"

    codes = [
        run("--output", "json", "run", scenario, "--seed", "7", "--save", str(plan))
    ]
    first = json.loads(capsys.readouterr().out)
    codes += [run("--output", "json", "replay", str(plan))]
    second = json.loads(capsys.readouterr().out)

    assert codes == [0, 0]
    assert first == second
    assert first["failure"] is None
    assert first["seed"] == 7
    assert decode_plan(plan.read_text(), "plan").topology.computers == (
        "COMP-0",
        "COMP-1",
        "COMP-2",
    )


def test_a_run_is_explained_by_a_page(scenario, tmp_path, capsys) -> None:
    plan, page = tmp_path / "plan.json", tmp_path / "page.html"
    assert run("run", scenario, "--seed", "7", "--save", str(plan)) == 0
    capsys.readouterr()

    code = run("--output", "json", "explain", str(plan), "--into", str(page))

    assert code == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(page), "violations": 0}
    assert "Three computers, seed 7" in page.read_text()


def test_slapcluster_leads_to_the_laboratory(capsys) -> None:
    assert run("lab", "--help", command=slapcluster) == 0

    assert "Usage: slapcluster lab [OPTIONS] COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("run", "nowhere"),
            "Error: No scenario 'nowhere'; there are cuts, day, dense",
        ),
        (
            ("run", "cuts", "--regions", "60"),
            "Error: regions must be 1 to 50, not 60.",
        ),
        (
            ("run", "cuts", "--computers", "2"),
            "Error: 2 computers leave some of 3 regions empty.",
        ),
        (("run", "{file}"), "Error: {file}:4: fleet has no key 'region'; there are"),
        (("replay", "{file}"), "Error: {file}:1: this is not JSON: Expecting value."),
        (("soak", "cuts", "--seeds", "0"), "Error: seeds must be 1 to 1e+06, not 0."),
    ],
)
def test_what_cannot_be_played_is_refused_with_a_sentence(
    arguments, sentence, tmp_path, capsys
) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(SCENARIO.replace("regions", "region"))

    code = run(*(it.format(file=file) for it in arguments))

    said = " ".join(capsys.readouterr().err.split())
    assert code == 1
    assert said.startswith(sentence.format(file=file))


def test_a_plan_with_a_fault_on_an_absent_host_is_refused_at_its_line(
    scenario, tmp_path, capsys
) -> None:
    plan = tmp_path / "plan.json"
    run("run", scenario, "--seed", "7", "--save", str(plan))
    capsys.readouterr()
    lines = plan.read_text().splitlines()
    number = next(n for n, it in enumerate(lines, start=1) if '"kind"' in it)
    lines[number - 1] = '{"at": 100, "kind": "cut", "until": 101, "targets": ["moon"]},'
    plan.write_text("\n".join(lines))

    assert run("replay", str(plan)) == 1

    said = capsys.readouterr().err
    assert said.startswith(f"Error: {plan}:{number}: fault 0: no host or region 'moon'")


def test_a_file_that_is_no_text_is_refused_at_its_line(tmp_path, capsys) -> None:
    for name, command in (("odd.toml", "run"), ("odd.json", "replay")):
        file = tmp_path / name
        file.write_bytes(b"\n\n\xff")

        assert run(command, str(file)) == 1

        said = " ".join(capsys.readouterr().err.split())
        assert said == f"Error: {file}:3: this is not UTF-8: invalid start byte."


def test_nothing_is_shrunk_of_a_plan_that_holds(scenario, tmp_path, capsys) -> None:
    plan = tmp_path / "plan.json"
    run("run", scenario, "--save", str(plan))
    capsys.readouterr()

    assert run("shrink", str(plan)) == 1
    assert (
        capsys.readouterr().err == f"Error: {plan} holds: there is nothing to shrink.\n"
    )


def test_what_is_shrunk_too_little_is_written_and_told(tmp_path, capsys) -> None:
    """As much by two jobs as by one: all within a second is never so."""
    impatient = tmp_path / "impatient.toml"
    impatient.write_text(f"{SCENARIO}settle_seconds = 1\n")
    plan, alone, by_two = (str(tmp_path / it) for it in ("plan", "alone", "by two"))
    codes = [run("run", str(impatient), "--save", plan)]

    shrinking = ("--output", "json", "shrink", plan, "--runs", "3", "--into")
    codes += [run(*shrinking, alone), run(*shrinking, by_two, "--jobs", "2")]

    assert codes == [VIOLATED, UNFINISHED, UNFINISHED]
    assert '"is_minimal": false' in capsys.readouterr().out
    left = decode_plan(Path(alone).read_text(), alone)
    assert len(left.topology.hosts) < 7
    assert Path(by_two).read_text() == Path(alone).read_text()


def test_a_campaign_goes_on_behind_what_it_played(tmp_path) -> None:
    """Seeds that are in the file for this commit are given again, not played again."""
    file = tmp_path / "soak" / "lab.jsonl"
    first = tuple(soak_on(Batch(("a", "b"), 2, 1, file), failing_seed))
    again = tuple(soak_on(Batch(("a", "b"), 3, 1, file), refuse_known_seed))

    assert {(it.scenario, it.seed, it.failure) for it in first} == {
        ("a", 0, None), ("b", 0, None), ("a", 1, "odd"), ("b", 1, "odd"),
    }  # fmt: skip
    assert [it for it in again if it.seed == 1] == [it for it in first if it.seed == 1]
    assert {it.seed for it in again} == {0, 1, 2}
    assert len(file.read_text().splitlines()) == 6
    (failed, _) = (it for it in again if it.failure)
    assert failed.command == "labsim run a --seed 1"


def failing_seed(_: str, seed: int) -> str | None:
    return "odd" if seed % 2 else None


def refuse_known_seed(_: str, seed: int) -> str | None:
    assert seed == 2, "this one was played"
    return None


def test_what_another_commit_played_is_played_again(tmp_path) -> None:
    file = tmp_path / "lab.jsonl"
    old = Verdict("a commit", "a", 0, "odd")
    file.write_text(
        json.dumps({"commit": old.commit, "scenario": "a", "seed": 0, "failure": "odd"})
        + "\n"
    )

    (verdict,) = soak_on(Batch(("a",), 1, 1, file), failing_seed)

    assert verdict.failure is None
    assert VIOLATED not in (0, 1, 2, 3)
