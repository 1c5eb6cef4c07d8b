"""The documentation builds without a warning."""

from __future__ import annotations

import subprocess  # noqa: TID251 - tools are programs
import sys
from pathlib import Path

from tests.source_tree import TOP


def test_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    options = ("-q", "-n", "-W", "--keep-going", "-d", str(tmp_path / "doctrees"))
    ended = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", str(tmp_path / "html")],
        cwd=TOP,
        check=False,
        capture_output=True,
        text=True,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
