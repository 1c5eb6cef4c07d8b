"""The end of a computer with everything real: agent, programs, addresses, devices."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capabilities import needs_format_namespaces
from tests.emulation.test_format import UNSHARE
from tests.programs import run
from tests.source_tree import TOP


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="end-") as directory:
        yield Path(directory)


@needs_format_namespaces
def test_nothing_of_a_computer_is_left(short_path: Path) -> None:
    argv = (*UNSHARE, sys.executable, "-m", "tests.emulation.uninstall_driver")

    ended = run((*argv, str(short_path)), directory=TOP)

    seen = json.loads(ended.stdout or "{}")
    assert seen, ended.stderr
    assert seen["statuses"] == [0, 0], seen["said"]
    assert len(seen["formatted"]) > 10
    assert seen["is_network_as_before"]
    assert not seen["is_program_there"]
    assert seen["left"] == [
        *("agent.log", "cloud.toml", "home/root/root.crt", "home/root/root.key")
    ]
    assert seen["directories"] == ["home"]
    assert seen["answer"]["home_left"] == [f"{short_path}/home/root"]
