"""Promises: what is kept of them, when they are due, and what a runner answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slapgrid.convergence.views import PromiseView
from slapgrid.promises.jobs import (
    Answered,
    PromiseJob,
    PromiseMode,
    PromiseRun,
    WantedPromise,
    decode_answers,
    encode_job,
    next_job,
)
from slapgrid.promises.records import PromiseFile, find_promises, view_promise
from slapgrid.shims.promise_keeping import (
    ANOMALY,
    TEST,
    Run,
    encode_cache,
    encode_log_line,
    encode_result,
    failures_in_a_row,
    is_death_a_failure,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "slapgrid"
PARTITION = "/srv/example/inst/slappart0"
RUN_AT = 1795218426.9
PLUGIN = PromiseFile("file-exists.py", is_plugin=True, title="file-exists")
EXECUTABLE = PromiseFile("always-ok", is_plugin=False, title="always-ok")
TOKEN = "0123456789abcdef:"


def golden(name: str) -> str:
    return (GOLDEN / name).read_text()


def a_run(**overrides: object) -> Run:
    """A run of a plug-in that found nothing wrong, 0.05 s long."""
    path = f"{PARTITION}/etc/plugin/file-exists.py"
    values = {
        "name": "file-exists.py",
        "title": "file-exists",
        "path": path,
        "kind": TEST,
        "is_failed": False,
        "message": f"{PARTITION}/etc exists",
        "begun_at": RUN_AT,
        "execution_seconds": 0.05,
        "periodicity_minutes": 1,
        "module_file": path,
        "module_modified_at": 1795217177.5650685,
    }
    return Run(**{**values, **overrides})  # type: ignore[arg-type]


def an_executable_run(**overrides: object) -> Run:
    values = {
        "name": "always-ok",
        "title": "always-ok",
        "path": f"{PARTITION}/etc/promise/always-ok",
        "message": "",
        "periodicity_minutes": 2,
        "module_modified_at": 1795216712.499224,
        **overrides,
    }
    return a_run(**values)


@pytest.mark.parametrize("run", [a_run(), an_executable_run()], ids=lambda it: it.title)
def test_a_result_is_written_as_stock_nodes_do(run: Run) -> None:
    """Byte for byte."""
    assert encode_result(run) == golden(f"{run.title}.status.json").strip()


def test_a_cache_of_a_plug_in_is_written_as_stock_nodes_do() -> None:
    """Byte for byte, from the instant at which the run began."""
    run = a_run(begun_at=1795218426.913479)

    assert encode_cache(run) == golden("promise-cache-file-exists.json").strip()


def test_a_cache_of_an_executable_names_the_executable() -> None:
    """Where stock nodes name their wrapper, which may not be there."""
    stock = json.loads(golden("promise-cache-always-ok.json"))
    run = an_executable_run(
        begun_at=1795218426.9564521, module_file=stock["module_file"]
    )

    assert encode_cache(run) == golden("promise-cache-always-ok.json").strip()


def test_a_promise_that_may_not_bang_says_so_in_its_cache() -> None:
    """The one thing that stock nodes do not write; they do not read it either."""
    stock = json.loads(encode_cache(a_run()))

    ours = json.loads(encode_cache(a_run(is_bang_allowed=False)))

    assert ours == {**stock, "is_bang_allowed": False}


def test_a_log_line_has_the_fields_that_stock_promises_read() -> None:
    """Local time, level, and a number that tells runs apart."""
    line = encode_log_line(RUN_AT, "1795218426-107", failed=True, message="no\nnever")

    _, _, rest = line.partition(" - ")
    assert rest == "ERROR - 1795218426-107 - no\nnever\n"


def test_failures_in_a_row_are_counted_by_run() -> None:
    """A run may have several lines, and a line of a message is none."""
    runs = [("1-100", False), ("2-100", True), ("2-100", False), ("3-100", True)]
    log = "".join(
        encode_log_line(1.0, run, failed=failed, message="a\n2026 - ERROR - no line")
        for run, failed in runs
    )

    assert failures_in_a_row(log.encode()) == 2


@pytest.mark.parametrize(
    ("kind", "failed", "message", "verdict"),
    [
        (TEST, False, "", True),
        (ANOMALY, False, "fine", False),
        (ANOMALY, True, "", True),
        (ANOMALY, False, "Error: Promise timed out after 20 seconds", True),
    ],
)
def test_a_first_death_is_no_anomaly(
    kind: str, failed: bool, message: str, verdict: bool
) -> None:
    """The second in a row is, and in a test every one is a failure."""
    earlier = {"result": {"failed": failed, "message": message}}

    assert is_death_a_failure(kind, earlier) is verdict


def test_plug_ins_and_executables_are_found_and_told_apart() -> None:
    """A plug-in hides the executable of its title; of two, one keeps its ending."""
    found = find_promises(
        ("__init__.py", "b.py", "1.py", "notes.txt"), ("a.sh", "a.pl", "b")
    )

    assert found == (
        PromiseFile("a.pl", is_plugin=False, title="a"),
        PromiseFile("a.sh", is_plugin=False, title="a.sh"),
        PromiseFile("b.py", is_plugin=True, title="b"),
    )


def view(
    run: Run, promise: PromiseFile = PLUGIN, now: float = RUN_AT + 1
) -> PromiseView:
    cache, result = encode_cache(run).encode(), encode_result(run).encode()
    return view_promise(promise, cache, result, now)


def test_a_promise_is_due_when_its_period_has_passed() -> None:
    """Its last failure is known until then."""
    run = an_executable_run(is_failed=True, message="no")

    assert view(run, EXECUTABLE) == PromiseView("always-ok", RUN_AT + 120, "no")


@pytest.mark.parametrize(
    ("overrides", "promise", "anomaly_at"),
    [
        ({}, PLUGIN, RUN_AT),
        ({"is_bang_allowed": False}, PLUGIN, None),
        ({"kind": TEST}, PLUGIN, None),
        ({"is_failed": False}, PLUGIN, None),
        ({}, EXECUTABLE, None),
    ],
)
def test_what_may_bang(
    overrides: dict[str, object], promise: PromiseFile, anomaly_at: float | None
) -> None:
    """A failed check of a plug-in that allows it."""
    run = a_run(**{"kind": ANOMALY, "is_failed": True, **overrides})

    assert view(run, promise).anomaly_at == anomaly_at


def test_a_promise_is_due_at_once_when_the_calendar_was_set_back() -> None:
    """Else it would not be asked until that instant comes again."""
    assert view(a_run(), now=RUN_AT - 3600).due_at == 0


@pytest.mark.parametrize("broken", [None, b"", b"[]", b"{", b'{"next_run_after": 1}'])
def test_broken_files_make_a_promise_due(broken: bytes | None) -> None:
    """What a power loss leaves costs a run, no more."""
    cache = encode_cache(a_run()).encode()

    assert view_promise(PLUGIN, broken, broken, 2.0).due_at == 0
    assert view_promise(PLUGIN, cache, broken, RUN_AT + 1).due_at == 0


def test_a_promise_that_wants_no_check_needs_no_result() -> None:
    """It is skipped, not asked at every pass."""
    skipped = a_run(is_anomaly_detected=False, is_skipped=True)
    cache = encode_cache(skipped).encode()

    seen = view_promise(PLUGIN, cache, None, RUN_AT + 1)

    assert seen == PromiseView("file-exists", RUN_AT, is_checked=False)


JOB = PromiseJob(
    PARTITION,
    PromiseMode.ANOMALY,
    20.0,
    (WantedPromise(EXECUTABLE), WantedPromise(PLUGIN)),
)


def said(document: object) -> str:
    return f"\n{TOKEN}{json.dumps(document)}\n"


def test_a_job_is_what_the_runner_reads() -> None:
    """Absolute paths, and the type of result that is asked for."""
    document = json.loads(encode_job(JOB))

    assert (document["kind"], document["timeout"]) == ("Anomaly Result", 20.0)
    assert [each["path"] for each in document["promises"]] == [
        f"{PARTITION}/etc/promise/always-ok",
        f"{PARTITION}/etc/plugin/file-exists.py",
    ]


def test_answers_are_read_up_to_the_one_that_is_broken_off() -> None:
    """What follows the last whole one are the runner's last words."""
    answer = {"title": "always-ok", "failed": True, "message": "no", "unkept": ""}
    broken = f'{TOKEN}{{"title": "fi'

    answered = decode_answers(said(answer) + broken, TOKEN)

    assert answered.runs == (PromiseRun("always-ok", is_failed=True, message="no"),)
    assert answered.last_words.endswith('"fi')


def test_the_rest_of_a_job_begins_with_what_the_runner_died_of() -> None:
    """So each job ends a promise at least, and the others are run."""
    rest = next_job(JOB, Answered(()), "the promise was ended by signal 9")

    assert rest is not None
    assert rest.promises == (
        WantedPromise(EXECUTABLE, "Error: the promise was ended by signal 9"),
        WantedPromise(PLUGIN),
    )
    last = next_job(rest, Answered(()), "again")
    assert last is not None
    assert last.promises == (WantedPromise(PLUGIN, "Error: again"),)
    assert next_job(last, Answered(()), "again") is None


def test_a_promise_that_hangs_is_reported_with_the_place() -> None:
    """As stock nodes say it, and the stack below."""
    stack = '  File "check.py", line 3, in sense\n'
    answered = decode_answers(said({"title": "always-ok", "timed_out": stack}), TOKEN)

    rest = next_job(JOB, answered, "the promise was ended by signal 9")

    assert rest is not None
    assert rest.promises[0].death == (
        'Error: Promise timed out after 20 seconds\nFile "check.py", line 3, in sense'
    )
