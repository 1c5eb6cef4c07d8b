"""The runner of promises, as the program that it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from slapgrid.promises.headers import read_plugin_path
from slapgrid.promises.jobs import (
    PromiseJob,
    PromiseMode,
    PromiseRun,
    WantedPromise,
    decode_answers,
    encode_job,
    next_job,
)
from slapgrid.promises.records import PromiseFile, find_promises
from slapgrid.shims import promise_shim
from tests import programs

TOKEN = "0123456789abcdef:"
SHIM = str(Path(promise_shim.__file__))

PLUGIN = """\
import sys
sys.path[0:0] = ()
extra_config_dict = {{'greeting': 'hello'}}
class Result:
    message = 'the result'
    def hasFailed(self):
        return {problem}
class RunPromise:
    def __init__(self, config):
        self.config = config
    def sense(self):
        {sense}
    def test(self):
        return Result()
    anomaly = test
"""


def plugin(sense: str = "pass", problem: object = False) -> str:
    return PLUGIN.format(sense=sense, problem=problem)


class Partition:
    """A partition whose promises are run as the agent does, each time from cold."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for directory in ("etc/plugin", "etc/promise"):
            (root / directory).mkdir(parents=True)
        for directory in ("cache", "log", "result"):
            (root / ".slapgrid/promise" / directory).mkdir(parents=True)

    def add(self, name: str, text: str) -> None:
        is_plugin = name.endswith(".py")
        path = self.root / ("etc/plugin" if is_plugin else "etc/promise") / name
        path.write_text(text)
        path.chmod(0o755)

    def promises(self) -> tuple[PromiseFile, ...]:
        names = [
            tuple(path.name for path in (self.root / directory).iterdir())
            for directory in ("etc/plugin", "etc/promise")
        ]
        return find_promises(*names)

    def run(
        self,
        mode: PromiseMode = PromiseMode.TEST,
        timeout_seconds: float = 20.0,
        **settings: object,
    ) -> list[PromiseRun]:
        """Run all promises, and again those that a dying one left."""
        partition = str(self.root)
        base = {"partition-folder": partition, "log-folder": self.path("log")}
        job: PromiseJob | None = PromiseJob(
            partition,
            mode,
            timeout_seconds,
            tuple(self.wanted(each) for each in self.promises()),
            {**base, **settings},
        )
        runs: list[PromiseRun] = []
        while job is not None:
            argv = (sys.executable, "-I", SHIM, TOKEN, encode_job(job))
            # A session of its own, since a runner ends its whole group.
            ended = programs.run(("setsid", "--wait", *argv), timeout_seconds=60)
            answered = decode_answers(ended.stdout, TOKEN)
            runs += answered.runs
            job = next_job(job, answered, f"it ended with {ended.returncode}")
        return runs

    def wanted(self, file: PromiseFile) -> WantedPromise:
        if not file.is_plugin:
            return WantedPromise(file)
        source = (self.root / file.path).read_text()
        return WantedPromise(file, sys_path=read_plugin_path(source))

    def path(self, kind: str) -> str:
        return str(self.root / ".slapgrid/promise" / kind)

    def kept(self, kind: str, title: str) -> dict[str, Any]:
        ending = ".status.json" if kind == "result" else ""
        text = Path(self.path(kind), title + ending).read_text()
        return dict(json.loads(text))


@pytest.fixture
def partition(tmp_path: Path) -> Partition:
    return Partition(tmp_path)


@pytest.mark.parametrize("problem", [False, True])
def test_a_plug_in_is_sensed_and_judged(partition: Partition, *, problem: bool) -> None:
    """Its result is answered and kept."""
    partition.add("check.py", plugin(problem=problem))

    runs = partition.run()

    assert runs == [PromiseRun("check", problem, "the result")]
    assert partition.kept("result", "check")["result"]["type"] == "Test Result"
    assert partition.kept("cache", "check")["periodicity"] == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import sys\nx = 1\nsys.path[0:0] = []\n", "first assignment of /"),
        ("import sys\nsys.path[0:0] = [\n", "SyntaxError: '[' was never closed"),
    ],
)
def test_a_plug_in_must_begin_with_its_path(
    partition: Partition, text: str, sentence: str
) -> None:
    """Anything assigned before would run under another one."""
    partition.add("check.py", text)

    (run,) = partition.run()

    assert run.is_failed
    assert sentence in run.message


@pytest.mark.parametrize(
    ("sense", "settings", "sentence"),
    [
        ("raise OSError('no disc')", {}, "OSError: no disc"),
        ("raise SystemExit(3)", {}, "SystemExit: 3"),
        ("pass", {"greeting": "taken"}, "reserved names: greeting"),
    ],
)
def test_a_plug_in_that_raises_fails_with_its_traceback(
    partition: Partition, sense: str, settings: dict[str, str], sentence: str
) -> None:
    """The whole of it: the user sees where."""
    partition.add("check.py", plugin(sense))

    (run,) = partition.run(**settings)

    assert run.is_failed
    assert run.message.startswith("Traceback")
    assert sentence in run.message
    assert partition.kept("result", "check")["result"]["message"] == run.message


@pytest.mark.parametrize(
    ("sense", "sentence"),
    [
        ("import time; time.sleep(60)", "timed out after 0.5 seconds"),
        ("import ctypes; ctypes.CDLL(None).sleep(60)", "timed out after 0.5 seconds"),
        ("import os; os._exit(7)", "it ended with 7"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "it ended with"),
        ("import ctypes; ctypes.string_at(0)", "Segmentation fault"),
        ("import os; os.killpg(0, 9)", "it ended with"),
    ],
    ids=["hangs", "hangs in C", "exits", "is killed", "crashes", "kills its group"],
)
def test_a_plug_in_that_takes_the_runner_along_costs_itself_alone(
    partition: Partition, sense: str, sentence: str
) -> None:
    """The one before it and the one after it have their results."""
    partition.add("a.py", plugin())
    partition.add("b.py", plugin(sense))
    partition.add("c.py", plugin())

    runs = partition.run(timeout_seconds=0.5)

    assert [(run.title, run.is_failed) for run in runs] == [
        ("a", False),
        ("b", True),
        ("c", False),
    ]
    assert sentence in runs[1].message
    assert sentence in partition.kept("result", "b")["result"]["message"]


def test_a_plug_in_that_floods_its_output_hides_no_answer(partition: Partition) -> None:
    """What plug-ins print leads nowhere."""
    partition.add("a.py", plugin("print('x' * 10_000_000); sys.stderr.write('y')"))

    assert partition.run() == [PromiseRun("a", is_failed=False, message="the result")]


def test_what_a_plug_in_changes_the_next_one_does_not_find(
    partition: Partition,
) -> None:
    """The working directory, the umask and the path are as before."""
    changes = "import os; os.chdir('/'); os.umask(0); sys.path[:] = []"
    asks = (
        "import os; mask = os.umask(0o27); "
        "assert (os.getcwd(), mask) == (self.config['partition-folder'], 0o27), mask"
    )
    partition.add("a.py", plugin(changes))
    partition.add("b.py", plugin(asks))

    assert [run.is_failed for run in partition.run()] == [False, False]


def test_an_executable_is_judged_by_its_status(partition: Partition) -> None:
    """It runs in the partition; its output is the message, and logged."""
    partition.add("fine", "#!/bin/sh\nbasename $PWD\n")
    partition.add("wrong", "#!/bin/sh\necho no\necho never\nexit 3\n")
    partition.add("silent", "#!/bin/sh\nexit 4\n")

    runs = partition.run()

    assert runs == [
        PromiseRun("fine", is_failed=False, message=partition.root.name),
        PromiseRun("silent", is_failed=True, message="it ended with status 4"),
        PromiseRun("wrong", is_failed=True, message="no\nnever"),
    ]
    log = Path(partition.path("log"), "wrong.log").read_text()
    assert log.count("\n") == 2
    assert " - ERROR - " in log


def test_an_executable_that_cannot_be_started_says_why(partition: Partition) -> None:
    """No interpreter, no permission."""
    partition.add("a", "#!/no/such/interpreter\n")

    (run,) = partition.run()

    assert run.is_failed
    assert "cannot be started" in run.message


def test_an_executable_that_hangs_is_ended_with_its_children(
    partition: Partition,
) -> None:
    """And what it started goes too."""
    note = partition.root / "pid"
    partition.add("a", f"#!/bin/sh\nsleep 100 &\necho $! > {note}\nwait\n")

    (run,) = partition.run(timeout_seconds=0.5)

    assert run.message == "Error: Promise timed out after 0.5 seconds"
    pid = int(note.read_text())
    programs.eventually(
        lambda: not Path(f"/proc/{pid}/cmdline").exists() or not _is_alive(pid),
        5,
        "the child is ended",
    )


def _is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().split()[2] not in {"Z", "X"}


def test_an_executable_is_an_anomaly_from_the_third_failure_on(
    partition: Partition,
) -> None:
    """And its results are tests: it never bangs."""
    partition.add("a", "#!/bin/sh\nexit 1\n")

    verdicts = [partition.run(PromiseMode.ANOMALY)[0].is_failed for _ in range(4)]

    assert verdicts == [False, False, True, True]
    assert partition.kept("result", "a")["result"]["type"] == "Test Result"


def test_a_first_timeout_is_no_anomaly_and_the_second_is(partition: Partition) -> None:
    """Machines have slow minutes; neither bangs, since nobody allowed it."""
    partition.add("a.py", plugin("import time; time.sleep(60)"))

    verdicts = [
        partition.run(PromiseMode.ANOMALY, timeout_seconds=0.3)[0].is_failed
        for _ in range(2)
    ]

    assert verdicts == [False, True]
    assert partition.kept("result", "a")["result"]["type"] == "Anomaly Result"
    assert partition.kept("cache", "a")["is_bang_allowed"] is False


def test_a_promise_whose_result_cannot_be_kept_says_so(partition: Partition) -> None:
    """Everybody else reads the files."""
    partition.add("a", "#!/bin/sh\n")
    Path(partition.path("result")).rmdir()

    (run,) = partition.run()

    assert "No such file or directory" in run.unkept


def test_a_long_log_is_shortened_to_whole_lines(partition: Partition) -> None:
    """Stock promises read it backwards, byte by byte, and never shorten it."""
    log = Path(partition.path("log"), "a.log")
    log.write_text("2026-11-21 10:00:00 - INFO - 1795218426-100 - fine\n" * 20_000)
    partition.add("a", "#!/bin/sh\necho late\n")

    partition.run()

    text = log.read_text()
    assert len(text) < 300_000
    assert text.startswith("2026-11-21")
    assert text.endswith(" - late\n")
