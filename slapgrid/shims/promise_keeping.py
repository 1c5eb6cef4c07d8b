"""Stand-alone: what is kept of a run of a promise, in the form of stock nodes.

Three files, by the title of the promise: a result, a cache that says when the promise
is due again, and a log in which a run is known by the third field of its lines. They
are written by the partition's user and not made durable: what a power loss takes, or
leaves in parts, is asked again.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any, NamedTuple

CACHE_DIRECTORY = ".slapgrid/promise/cache"
LOG_DIRECTORY = ".slapgrid/promise/log"
RESULT_DIRECTORY = ".slapgrid/promise/result"

TEST = "Test Result"
ANOMALY = "Anomaly Result"

#: As stock nodes: the end of a message says what went wrong.
MESSAGE_CHARACTERS_MAX = 5000
#: Kept of a log; stock nodes keep all of it, and read it byte by byte.
LOG_BYTES_MAX = 256 * 1024
#: An executable that fails less often in a row is no anomaly.
EXECUTABLE_FAILURES_MIN = 3
#: Before the umask, as any program makes a file.
FILE_MODE = 0o666
#: A result or a cache has less; anything longer is not ours.
DOCUMENT_BYTES_MAX = 1024 * 1024

_LOG_LINE = re.compile(
    rb"\d{4}-\d\d-\d\d\s+\d\d:\d\d:\d\d\s+-?\s*(\w+)\s+-?\s+(\d+-\d{3})\s+-?\s*(.*)"
)
_ERROR_LEVELS = (b"ERROR", b"CRITICAL")


class Run(NamedTuple):
    """One run of a promise; ``kind`` is the type of its result.

    A skipped run has no result: the promise does not want to be asked in this mode.
    """

    name: str
    title: str
    path: str
    kind: str
    is_failed: bool
    message: str
    begun_at: float
    execution_seconds: float
    periodicity_minutes: float = 2
    is_tested: bool = True
    is_anomaly_detected: bool = True
    is_bang_allowed: bool = True
    is_skipped: bool = False
    module_file: str = ""
    module_modified_at: float = 0.0


def shortened(message: str) -> str:
    """The end of a message."""
    if len(message) <= MESSAGE_CHARACTERS_MAX:
        return message
    return "..." + message[-MESSAGE_CHARACTERS_MAX:]


def encode_result(run: Run) -> str:
    """The ``.status.json`` of a promise."""
    date = time.gmtime(run.begun_at + run.execution_seconds)
    return json.dumps(
        {
            "title": run.title,
            "name": run.name,
            "path": run.path,
            "execution-time": round(run.execution_seconds, 3),
            "result": {
                "type": run.kind,
                "failed": run.is_failed,
                "date": time.strftime("%Y-%m-%dT%H:%M:%S+0000", date),
                "message": run.message,
            },
        }
    )


def encode_cache(run: Run) -> str:
    """The cache of a promise; the last key stands only where a bang is not allowed."""
    wait_seconds = 0.0 if run.is_skipped else run.periodicity_minutes * 60.0
    document: dict[str, Any] = {
        "is_tested": run.is_tested,
        "is_anomaly_detected": run.is_anomaly_detected,
        "periodicity": run.periodicity_minutes,
        "next_run_after": run.begun_at + wait_seconds,
        "timestamp": run.begun_at,
        "module_file": run.module_file,
        "module_file_mtime": run.module_modified_at,
    }
    if not run.is_bang_allowed:
        document["is_bang_allowed"] = False
    return json.dumps(document)


def encode_log_line(at: float, transaction: str, *, failed: bool, message: str) -> str:
    """A line as the stock logger writes it: local time, level, run, message."""
    date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    level = "ERROR" if failed else "INFO"
    return f"{date} - {level} - {transaction} - {message}\n"


def failures_in_a_row(log: bytes, runs_max: int = EXECUTABLE_FAILURES_MIN) -> int:
    """How many of the last runs failed, counted from the last one back."""
    outcomes: list[tuple[bytes, bool]] = []
    for line in reversed(log.split(b"\n")):
        found = _LOG_LINE.match(line)
        if found is None:
            continue
        level, transaction, _ = found.groups()
        is_error = level in _ERROR_LEVELS
        if outcomes and outcomes[-1][0] == transaction:
            outcomes[-1] = transaction, outcomes[-1][1] or is_error
        elif len(outcomes) == runs_max:
            break
        else:
            outcomes.append((transaction, is_error))
    failed = [is_error for _, is_error in outcomes]
    return failed.index(False) if False in failed else len(failed)


def is_death_a_failure(kind: str, earlier: dict[str, Any] | None) -> bool:
    """Whether a promise that gave no result failed, by its result before.

    A first accident is no anomaly: machines have slow minutes.
    """
    if kind == TEST:
        return True
    if earlier is None:
        return False
    result = earlier["result"]
    return bool(result["failed"]) or "error:" in str(result["message"]).lower()


def read_result(partition: str, title: str) -> dict[str, Any] | None:
    """The result that was kept last, if it is one."""
    path = Path(partition, RESULT_DIRECTORY, f"{title}.status.json")
    try:
        with path.open(encoding="utf-8") as opened:
            document = json.loads(opened.read(DOCUMENT_BYTES_MAX))
        result = document["result"]
        if not {"failed", "message", "type"} <= set(result):
            return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return dict(document)


def keep(partition: str, run: Run) -> None:
    """Write the result, then the cache, which says that the result is there."""
    if not run.is_skipped:
        name = f"{run.title}.status.json"
        _replace(f"{partition}/{RESULT_DIRECTORY}", name, encode_result(run).encode())
    _replace(f"{partition}/{CACHE_DIRECTORY}", run.title, encode_cache(run).encode())


def add_to_log(partition: str, title: str, text: str) -> None:
    """Append to the log of a promise."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    _write(
        f"{partition}/{LOG_DIRECTORY}/{title}.log",
        flags,
        text.encode("utf-8", "replace"),
    )


def read_log(partition: str, title: str) -> bytes:
    """The end of the log of a promise."""
    return _tail(Path(partition, LOG_DIRECTORY, f"{title}.log"))


def shorten_log(partition: str, title: str) -> None:
    """Drop the beginning of a log that is twice as long as what is kept."""
    path = Path(partition, LOG_DIRECTORY, f"{title}.log")
    try:
        if path.stat().st_size <= 2 * LOG_BYTES_MAX:
            return
        _replace(str(path.parent), path.name, _tail(path).partition(b"\n")[2])
    except OSError:
        return  # it stays long until it can be shortened


def _tail(path: Path) -> bytes:
    with path.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - LOG_BYTES_MAX))
        return opened.read(LOG_BYTES_MAX)


def _replace(directory: str, name: str, content: bytes) -> None:
    unfinished = f"{directory}/.{name}.tmp"
    _write(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, content)
    os.replace(unfinished, f"{directory}/{name}")  # noqa: PTH105 - each Path costs pages


def _write(path: str, flags: int, content: bytes) -> None:
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)
