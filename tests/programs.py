"""Real programs in tests: started, awaited with a bound, ended by pid."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess  # noqa: TID251 - tests watch the product's programs from outside
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

END_SECONDS = 10.0
"""How long a program may take to end after SIGTERM before it is a failure."""


def eventually(
    probe: Callable[[], T | None],
    within_seconds: float,
    what: str,
    pause_seconds: float = 0.05,
) -> T:
    """The first answer of ``probe`` that is true; fails with the last one it gave.

    An ``OSError`` counts as "not yet": what is probed may not listen yet.
    """
    deadline = time.monotonic() + within_seconds  # noqa: TID251
    while True:
        try:
            last: object = probe()
        except OSError as error:
            last = error
        if last and not isinstance(last, OSError):
            return last  # type: ignore[return-value]
        if time.monotonic() > deadline:  # noqa: TID251
            raise AssertionError(
                f"{what}: not within {within_seconds} s, last {last!r}"
            )
        time.sleep(pause_seconds)  # noqa: TID251


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on at this moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=1):
        return True


def run(
    argv: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    stdin: str = "",
    timeout_seconds: float = 120,
    directory: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run to the end; output as text. The caller judges the status."""
    return subprocess.run(
        argv,
        env=None if environment is None else dict(environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        cwd=directory,
        check=False,
    )


@contextmanager
def place_of_evidence(prefix: str) -> Iterator[Path]:
    """A directory that is left, and named, when the block fails."""
    place = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield place
    except BaseException as error:
        error.add_note(f"what there was is in {place}")
        raise
    shutil.rmtree(place)


@contextmanager
def running(
    argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own, ended when the block is left."""
    with log.open("ab") as output:
        program = subprocess.Popen(
            argv,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield program
    except AssertionError as error:
        error.add_note(f"{argv[0]} wrote: {log.read_text()[-4000:]}")
        raise
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGTERM)
        try:
            program.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()
            raise AssertionError(
                f"{argv[0]} did not end within {END_SECONDS} s of SIGTERM"
            ) from None
