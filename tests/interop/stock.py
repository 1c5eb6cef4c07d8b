"""The stock SlapOS programs, in an environment of their own below the checkout."""

from __future__ import annotations

import fcntl
import shutil
import sys
from pathlib import Path

from tests import programs

CHECKOUT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).with_name("stock-requirements.txt")
INSTALL_SECONDS_MAX = 600


def stock_environment() -> Path:
    """The ``bin`` of an environment with slapos.core; made when it is missing.

    One of its dependencies is compiled: it wants a C compiler and Python's headers.
    """
    home = CHECKOUT / ".stock"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = REQUIREMENTS.read_text()
        made_from = home / "made-from.txt"
        if not made_from.exists() or made_from.read_text() != wanted:
            _make(home / "env")
            made_from.write_text(wanted)
    return home / "env" / "bin"


def _make(environment: Path) -> None:
    shutil.rmtree(environment, ignore_errors=True)
    interpreter = Path(sys.base_prefix) / "bin" / "python3"
    for argv in (
        [str(interpreter), "-m", "venv", str(environment)],
        [
            str(environment / "bin" / "pip"),
            "install",
            "--no-deps",
            "--requirement",
            str(REQUIREMENTS),
        ],
    ):
        done = programs.run(argv, timeout_seconds=INSTALL_SECONDS_MAX)
        if done.returncode:
            raise AssertionError(f"{argv}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
