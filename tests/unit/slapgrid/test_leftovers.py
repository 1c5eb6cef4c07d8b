"""What a supervisord leaves, and one that has not gone yet."""

from __future__ import annotations

import subprocess  # noqa: TID251 - processes to find
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slapgrid.shims.leftovers_shim import await_farewell, find_supervisord, main

WAITS = "import sys; print(flush=True); sys.stdin.read()"


@contextmanager
def a_supervisord(conf: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its arguments, which ends when its input does.

    It says that it runs: ``exec`` shows arguments a moment after ``Popen`` returned.
    """
    argv = [sys.executable, "-I", "-c", WAITS, "-c", conf]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        try:
            assert program.stdout is not None
            program.stdout.readline()
            yield program
        finally:
            assert program.stdin is not None
            program.stdin.close()


def test_a_supervisord_that_is_about_to_end_keeps_no_other_from_starting(
    tmp_path: Path,
) -> None:
    """It has told its caller that it is gone: its socket is."""
    conf = str(tmp_path / "supervisord.conf")

    found = []

    with a_supervisord(conf) as program:

        def find() -> int | None:
            found.append(find_supervisord(conf))
            assert program.stdin is not None
            program.stdin.close()
            return found[-1]

        assert await_farewell(find, 60.0) is None
        assert found[0] == program.pid

    assert main(f"unix://{tmp_path}/socket", conf) == 0


def test_a_supervisord_that_stays_is_named(tmp_path: Path) -> None:
    conf = str(tmp_path / "supervisord.conf")

    with a_supervisord(conf) as program:
        found = await_farewell(lambda: find_supervisord(conf), 0.0)

    assert found == program.pid
