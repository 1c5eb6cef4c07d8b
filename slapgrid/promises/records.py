"""Core. Promises: which are due, and what is kept of them, in the form of stock nodes.

A promise is a plug-in ``etc/plugin/NAME.py`` or an executable ``etc/promise/NAME``. Its
title is the name without ``.py``. Three files are kept of it: a result, a cache that
says when it is due, and a log with one line per run.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from attrs import frozen

from slapgrid.convergence.views import PromiseView
from slapgrid.layout import PLUGIN_DIRECTORY, PROMISE_DIRECTORY

PERIODICITY_MINUTES_DEFAULT = 2.0
#: As stock nodes: the end of a message says what went wrong.
MESSAGE_CHARACTERS_MAX = 5000
#: Kept of a promise's log; stock nodes keep all of it, and read it byte by byte.
LOG_BYTES_MAX = 256 * 1024
#: A stock cache that says later than this is from another calendar.
DUE_SECONDS_MAX = 7 * 86400.0

_PLUGIN = re.compile(r"(?!__init__)[A-Za-z_][^/]*\.py\Z")


@frozen
class PromiseFile:
    """A promise of a partition; ``path`` is relative to it."""

    name: str
    is_plugin: bool

    @property
    def title(self) -> str:
        return self.name.removesuffix(".py") if self.is_plugin else self.name

    @property
    def path(self) -> str:
        directory = PLUGIN_DIRECTORY if self.is_plugin else PROMISE_DIRECTORY
        return f"{directory}/{self.name}"


@frozen
class PromiseRun:
    """How one run of a promise ended."""

    promise: PromiseFile
    is_failed: bool
    message: str
    run_at: float
    execution_seconds: float
    periodicity_minutes: float = PERIODICITY_MINUTES_DEFAULT
    is_tested: bool = True
    is_anomaly_detected: bool = True
    module_modified_at: float = 0.0

    @property
    def failure(self) -> str | None:
        """The sentence that is reported, ``None`` when the promise holds."""
        if not self.is_failed:
            return None
        return f"Promise {self.promise.title!r} failed with output: {self.message}"


def find_promises(
    plugins: tuple[str, ...], executables: tuple[str, ...]
) -> tuple[PromiseFile, ...]:
    """The promises among the names in the two directories."""
    found = [PromiseFile(name, is_plugin=True) for name in plugins if is_plugin(name)]
    titles = {promise.title for promise in found}
    # One file of each kind is kept by title: the plug-in is the newer kind.
    found += [
        PromiseFile(name, is_plugin=False) for name in executables if name not in titles
    ]
    return tuple(sorted(found, key=lambda each: each.title))


def is_plugin(name: str) -> bool:
    """Whether a file of the directory of plug-ins is one."""
    return _PLUGIN.match(name) is not None


def encode_result(run: PromiseRun, partition_directory: str) -> bytes:
    """The ``.status.json`` of a promise."""
    date = datetime.fromtimestamp(run.run_at, UTC)
    document = {
        "title": run.promise.title,
        "name": run.promise.name,
        "path": f"{partition_directory}/{run.promise.path}",
        "execution-time": round(run.execution_seconds, 3),
        "result": {
            "type": "Test Result",
            "failed": run.is_failed,
            "date": date.strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "message": run.message[-MESSAGE_CHARACTERS_MAX:],
        },
    }
    return json.dumps(document).encode()


def encode_cache(run: PromiseRun, partition_directory: str) -> bytes:
    """The cache of a promise."""
    document = {
        "is_tested": run.is_tested,
        "is_anomaly_detected": run.is_anomaly_detected,
        "periodicity": run.periodicity_minutes,
        "next_run_after": run.run_at + run.periodicity_minutes * 60,
        "timestamp": run.run_at,
        "module_file": f"{partition_directory}/{run.promise.path}",
        "module_file_mtime": run.module_modified_at,
    }
    return json.dumps(document).encode()


def encode_log_line(run: PromiseRun, transaction: int) -> bytes:
    """A line of the log; ``transaction`` tells runs of one second apart."""
    date = datetime.fromtimestamp(run.run_at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    level = "ERROR" if run.is_failed else "INFO"
    number = f"{int(run.run_at)}-{transaction:03}"
    return f"{date} - {level} - {number} - {run.message}\n".encode()


def view_promise(
    promise: PromiseFile,
    cache: bytes | None,
    result: bytes | None,
    modified_at: float,
    now: float,
) -> PromiseView:
    """When the promise is due and whether it failed; at once when that is unknown."""
    try:
        known = json.loads(cache or b"{}")
        last = json.loads(result or b"{}")
        due_at = float(known["next_run_after"])
        run_at = float(known["timestamp"])
        is_current = modified_at == known["module_file_mtime"]
        failed = bool(last["result"]["failed"])
        message = str(last["result"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return PromiseView(promise.title)
    if not is_current or run_at > now or due_at > now + DUE_SECONDS_MAX:
        due_at = 0.0
    return PromiseView(promise.title, due_at, message if failed else None)
