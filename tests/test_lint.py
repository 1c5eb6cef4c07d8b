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


PROGRAMS = (
    "tests.soak",
    "tests.emulate.__main__",
    "tests.neo_port.culprits",
    "tests.neo_port.hook_scenarios",
    "tests.neo_port.run_contract",
    "tests.neo_port.run_regions",
    "tests.neo_port.schedules",
    "tests.neo_port.silence_scenarios",
    "tests.replicas.run_replicas",
)
"""What runs for hours elsewhere, and not in `make test`: a wrong name ends it late."""


def test_types_of_slow_programs_agree() -> None:
    modules = [word for it in PROGRAMS for word in ("-m", it)]
    packages = "--explicit-package-bases"
    status, output = outcome_of(sys.executable, "-m", "mypy", packages, *modules)

    assert status == 0, output


def test_types_are_strict() -> None:
    status, output = outcome_of(sys.executable, "-m", "mypy")

    assert status == 0, output
