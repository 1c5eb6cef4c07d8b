"""Stand-alone program: runs promises of one partition, one after the other.

``python -I promise_shim.py TOKEN JOB`` runs as the user of the partition, as leader of
a session of its own. ``JOB`` is JSON (``slapgrid.promises.jobs``); for each promise one
line is answered, the token and JSON, once its result, cache and log are kept.

1. A plug-in runs in this very process, under the ``sys.path`` that it names. One that
   hangs, exits or crashes takes the process along: whoever started it sees which
   promise has no answer, and starts the rest again with the reason as its ``death``.
2. At the end of its time a plug-in's stack is answered and the whole process group
   killed. One that never comes back from C is ended by a thread that does not need the
   interpreter.
3. stdout and stderr of plug-ins lead nowhere, else their noise could hide the answers.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import json
import logging
import os
import select
import signal
import sys
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, time  # noqa: TID251 - it has no runtime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from slapgrid.shims import promise_keeping as keeping
    from slapgrid.shims.promise_warmth import Warm, learn, prepare, report
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - before anything else
    import promise_keeping as keeping  # type: ignore[import-not-found] # stands beside
    from promise_warmth import (  # type: ignore[import-not-found] # stands beside
        Warm,
        learn,
        prepare,
        report,
    )

    del sys.path[0]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENVIRONMENT = os.environ  # noqa: TID251 - a program of its own
#: Of what an executable writes; only the end of it is shown.
OUTPUT_BYTES_MAX = 64 * 1024
PERIODICITY_MINUTES_DEFAULT = 2
#: How much later than its time a plug-in that never returns from C is ended.
STUCK_SECONDS = 1.0
#: An executable whose descendants hold its output is read so much longer.
DAEMON_SECONDS = 1.0
#: Where stock promises keep whether they allow a bang.
STOCK_BANG_ATTRIBUTE = "_GenericPromise__allow_bang"
#: Programs find the signals as a shell gives them.
PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)
FALSE_TEXTS = frozenset({"", "0", "false", "no", "n", "off"})


__all__ = ("learn", "main", "prepare", "report", "run")  # what a fork server calls


class ResultQueue:
    """What a stock promise puts its result in; this program asks it directly."""

    def put_nowait(self, item: object) -> None:
        """Take the result and forget it."""


def run(arguments: list[str]) -> None:
    """Be the runner of a job, in a fork or alone."""
    sys.dont_write_bytecode = True
    main(arguments[0], json.loads(arguments[1]))


def load_promise(file: str, path: list[str] | None, config: dict[str, Any]) -> Any:
    """Import the plug-in, which adds to ``sys.path`` by itself; make its promise."""
    code = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
    if path is None:
        raise ValueError(f"the first assignment of {file} is not sys.path[0:0] = [...]")
    if Warm.prepared.path != path:
        Warm.prepared.forget()
    name = Path(file).stem
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None, file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(code, module.__dict__)  # noqa: S102 - as its loader does
    extra = getattr(module, "extra_config_dict", {})
    taken = sorted(set(extra) & set(config))
    if taken:
        raise ValueError(f"extra_config_dict uses reserved names: {', '.join(taken)}")
    return module.RunPromise({**config, **extra, "queue": ResultQueue()})


def _answer(promise: Any, method: str, default: Any) -> Any:
    return getattr(promise, method)() if hasattr(promise, method) else default


def has_failed(judged: Any) -> bool:
    """Whether a result is a failure; stock results answer by a method."""
    if hasattr(judged, "hasFailed"):
        return bool(judged.hasFailed())
    return bool(judged.problem)


def is_bang_allowed(promise: Any, config: dict[str, Any]) -> bool:
    """Whether a failure of this promise may bang."""
    if hasattr(promise, STOCK_BANG_ATTRIBUTE):
        return bool(getattr(promise, STOCK_BANG_ATTRIBUTE))
    wanted = config.get("bang-on-failure")
    return wanted is None or str(wanted).strip().lower() not in FALSE_TEXTS


def sense_and_judge(promise: Any, kind: str) -> tuple[str, bool, str]:
    """The type of the result, whether it is a failure, and its message.

    What ``sense`` raises is an error in the promise's log, and the promise judges; one
    without a log fails. What judging raises is a failure.
    """
    raised = ""
    try:
        promise.sense()
    except Exception:  # noqa: BLE001 - anything may be wrong with a plug-in
        raised = traceback.format_exc()
        if not hasattr(promise, "logger"):
            return kind, True, raised
        promise.logger.error(raised)  # noqa: TRY400 - the traceback is the message
    judged = promise.anomaly() if kind == keeping.ANOMALY else promise.test()
    if judged is None:
        raise ValueError("the promise gave no result")
    message = "" if judged.message is None else str(judged.message)
    if has_failed(judged) and raised.strip() not in message:
        message = f"{message}\n{raised}"
    return (
        str(judged.type()) if hasattr(judged, "type") else kind,
        has_failed(judged),
        message,
    )


def run_plugin(wanted: dict[str, Any], config: dict[str, Any], kind: str) -> Any:
    """Load, sense and judge; whatever is raised is the message of a failure."""
    begun_at, begun = time(), monotonic()
    known: dict[str, Any] = {
        "is_bang_allowed": False,
        "periodicity_minutes": PERIODICITY_MINUTES_DEFAULT,
        "module_file": wanted["path"],
    }
    is_skipped = False
    try:
        promise = load_promise(wanted["path"], wanted["sys_path"], config)
        known.update(_traits(promise, config))
        asked = known["is_tested"], known["is_anomaly_detected"]
        if not any(asked):
            raise ValueError(  # noqa: TRY301 - a failure like any other
                "the promise wants neither a test nor an anomaly check"
            )
        if asked[kind == keeping.ANOMALY]:
            kind, is_failed, message = sense_and_judge(promise, kind)
        else:
            is_skipped, is_failed, message = True, False, ""
    except BaseException:  # noqa: BLE001 - also SystemExit is a failure to report
        is_failed, message = True, traceback.format_exc()
    with suppress(OSError):
        known["module_modified_at"] = os.stat(known["module_file"]).st_mtime  # noqa: PTH116 - a text
    return keeping.Run(
        wanted["name"],
        wanted["title"],
        wanted["path"],
        kind,
        is_failed,
        keeping.shortened(message),
        begun_at,
        monotonic() - begun,
        is_skipped=is_skipped,
        **known,
    )


def _traits(promise: Any, config: dict[str, Any]) -> dict[str, Any]:
    """What a promise says about itself."""
    module = sys.modules.get(type(promise).__module__)
    return {
        "is_tested": bool(_answer(promise, "isTested", default=True)),
        "is_anomaly_detected": bool(
            _answer(promise, "isAnomalyDetected", default=True)
        ),
        "is_bang_allowed": is_bang_allowed(promise, config),
        "periodicity_minutes": _answer(
            promise, "getPeriodicity", PERIODICITY_MINUTES_DEFAULT
        ),
        "module_file": str(getattr(module, "__file__", None) or config["path"]),
    }


def run_executable(partition: str, wanted: dict[str, Any], job: dict[str, Any]) -> Any:
    """Run it to its end or that of its time, log what it wrote, and judge."""
    begun_at, begun = time(), monotonic()
    limit = float(job["timeout"])
    try:
        pid, pipe = _start(wanted["path"])
    except OSError as error:
        status, output = 127, f"{wanted['path']} cannot be started: {error}".encode()
    else:
        output, status, is_in_time = _read_until(pid, pipe, begun + limit)
        if not is_in_time:
            sentence = timeout_sentence(limit)
            return judge_death(partition, {**wanted, "death": sentence}, job)
    message = output.decode("utf-8", "replace").strip()
    if status and not message:
        message = f"it ended with status {status}"
    transaction = f"{int(begun_at)}-{os.getpid() % 900 + 100:03}"
    line = keeping.encode_log_line(
        time(), transaction, failed=bool(status), message=message
    )
    is_failed = bool(status)
    keeping.add_to_log(partition, wanted["title"], line)
    if is_failed and job["kind"] == keeping.ANOMALY:
        row = keeping.failures_in_a_row(keeping.read_log(partition, wanted["title"]))
        is_failed = row >= keeping.EXECUTABLE_FAILURES_MIN
    return keeping.Run(
        wanted["name"],
        wanted["title"],
        wanted["path"],
        keeping.TEST,  # executables judge by tests alone, so they never bang
        is_failed,
        keeping.shortened(message),
        begun_at,
        monotonic() - begun,
        module_file=wanted["path"],
        module_modified_at=_modified_at(wanted["path"]),
    )


def _start(path: str) -> tuple[int, int]:
    """Its number, as leader of a session, and where its output is read."""
    reading, writing = os.pipe()
    try:
        pid = os.posix_spawn(
            path,
            [path],
            ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writing, 1),
                (os.POSIX_SPAWN_DUP2, writing, 2),
            ],
            setsid=True,
            setsigdef=PYTHON_IGNORES,
        )
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    return pid, reading


def _read_until(pid: int, pipe: int, deadline: float) -> tuple[bytes, int, bool]:
    """The end of the output, the status, and whether the program ended in time.

    However it ended, it is gone.
    """
    tail = bytearray()
    lifetime = os.pidfd_open(pid)
    poller = select.poll()
    is_open = {pipe: True, lifetime: True}
    for descriptor in is_open:
        poller.register(descriptor, select.POLLIN)
    while any(is_open.values()) and monotonic() < deadline:
        wait_seconds = max(0.0, deadline - monotonic())
        for descriptor, _ in poller.poll(wait_seconds * 1000):
            if descriptor == pipe:
                content = os.read(pipe, OUTPUT_BYTES_MAX)
                tail += content
                del tail[:-OUTPUT_BYTES_MAX]
                if content:
                    continue
            else:
                deadline = min(deadline, monotonic() + DAEMON_SECONDS)
            poller.unregister(descriptor)
            is_open[descriptor] = False
    # Before it is reaped nobody else can have its group's number.
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(pipe)
    os.close(lifetime)
    return bytes(tail), status, not is_open[lifetime]


def timeout_sentence(seconds: float) -> str:
    """What stock nodes say of a promise that takes too long."""
    return f"Error: Promise timed out after {seconds:g} seconds"


def judge_death(partition: str, wanted: dict[str, Any], job: dict[str, Any]) -> Any:
    """What is kept of a promise that gave no result."""
    earlier = keeping.read_result(partition, wanted["title"])
    return keeping.Run(
        wanted["name"],
        wanted["title"],
        wanted["path"],
        job["kind"],
        keeping.is_death_a_failure(job["kind"], earlier),
        keeping.shortened(wanted["death"]),
        time(),
        0.0,
        is_bang_allowed=False,
        module_file=wanted["path"],
        module_modified_at=_modified_at(wanted["path"]),
    )


def _modified_at(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0


@contextmanager
def _bounded(
    title: str, seconds: float, answer: Callable[[dict[str, Any]], None], file: int
) -> Iterator[None]:
    """End the process group, with the stack answered, when this takes longer."""

    def end(_: int, frame: Any) -> None:
        stack = "".join(traceback.format_stack(frame))
        answer({"title": title, "timed_out": stack})
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + STUCK_SECONDS, exit=True, file=file)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _own_surroundings(partition: str, wanted: dict[str, Any]) -> Iterator[None]:
    """What a plug-in changes of this process is not what the next one finds."""
    path, name = list(sys.path), Path(wanted["path"]).stem
    is_new = name not in sys.modules
    try:
        yield
    finally:
        sys.path[:] = path
        if is_new:
            sys.modules.pop(name, None)
        for opened in logging.getLogger(wanted["name"]).handlers[:]:
            opened.close()
        os.chdir(partition)
        os.umask(0o027)


def run_job(
    job: dict[str, Any], answer: Callable[[dict[str, Any]], None], file: int
) -> None:
    """Run, keep and answer one promise after the other."""
    partition = job["partition"]
    os.chdir(partition)
    for wanted in job["promises"]:
        keeping.shorten_log(partition, wanted["title"])
        wanted["sys_path"] = job["paths"][wanted["path_number"]]
        unkept = ""
        try:
            if wanted["death"]:
                run = judge_death(partition, wanted, job)
            elif wanted["is_plugin"]:
                settings = {
                    **job["settings"],
                    "name": wanted["name"],
                    "path": wanted["path"],
                }
                limit = float(job["timeout"])
                with (
                    _own_surroundings(partition, wanted),
                    _bounded(wanted["title"], limit, answer, file),
                ):
                    run = run_plugin(wanted, settings, job["kind"])
            else:
                run = run_executable(partition, wanted, job)
        except OSError as error:
            run = judge_death(partition, {**wanted, "death": str(error)}, job)
        try:
            keeping.keep(partition, run)
        except OSError as error:
            unkept = str(error)
        answer(
            {
                "title": run.title,
                "failed": run.is_failed,
                "message": run.message,
                "unkept": unkept,
            }
        )


def main(token: str, job: dict[str, Any]) -> None:
    """Run a job and answer on what was stdout."""
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    faulthandler.enable(file=answers)

    def answer(document: dict[str, Any]) -> None:
        line = memoryview(f"\n{token}{json.dumps(document)}\n".encode())
        while line:
            line = line[os.write(answers, line) :]

    run_job(job, answer, answers)


if __name__ == "__main__":
    run(sys.argv[1:])
