"""The release of this checkout, made once for all tests that only want to have one."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

from tests.programs import run
from tests.source_tree import TOP

KEPT = TOP / ".stock"
FILL_SECONDS_MAX = 600


def copy_release(target: Path) -> None:
    """Put the release of this checkout where nothing is yet; its files are shared."""
    KEPT.mkdir(exist_ok=True)
    kept = KEPT / "release"
    with (KEPT / "release.lock").open("w") as lock:
        # Whoever fills it at the same time is refused.
        fcntl.flock(lock, fcntl.LOCK_EX)
        argv = (sys.executable, "-m", "slapcluster.release", "--output", str(kept))
        ended = run(argv, directory=TOP, timeout_seconds=FILL_SECONDS_MAX)
        assert ended.returncode == 0, ended.stderr
        shutil.copytree(kept, target, copy_function=_share)


def _share(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system.
        shutil.copy2(source, target)
