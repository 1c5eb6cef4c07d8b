"""Style and types, by the tools whose settings are in pyproject.toml."""

from __future__ import annotations

import subprocess  # noqa: TID251 - tools are programs
import sys
from pathlib import Path

from tests.source_tree import TOP

RUFF = str(Path(sys.executable).parent / "ruff")


def outcome_of(*argv: str) -> tuple[int, str]:
    ended = subprocess.run(argv, cwd=TOP, check=False, capture_output=True, text=True)
    return ended.returncode, ended.stdout + ended.stderr


def test_ruff_finds_nothing() -> None:
    status, output = outcome_of(RUFF, "check", "--output-format", "concise", ".")

    assert status == 0, output


def test_every_file_is_formatted() -> None:
    status, output = outcome_of(RUFF, "format", "--check", ".")

    assert status == 0, output


def test_types_are_strict() -> None:
    status, output = outcome_of(sys.executable, "-m", "mypy")

    assert status == 0, output
