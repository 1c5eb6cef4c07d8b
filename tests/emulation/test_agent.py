"""The agent on this machine, with everything real, run by an ordinary user.

Instances never run as root, so root runs these scenarios as user 1000 of a namespace.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapgrid.environment import PATH
from tests.capabilities import needs_ipv6, needs_namespaces
from tests.programs import run

#: Ten scenarios with builds and installations; a minute and a half on two idle cores.
SCENARIOS_SECONDS_MAX = 600
ORDINARY_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="slapgrid-") as directory:
        yield Path(directory)


@needs_ipv6
@(needs_namespaces if os.getuid() == 0 else lambda test: test)
@pytest.mark.parametrize(
    "scenarios", ["agent_scenarios", "software_scenarios", "warm_scenarios"]
)
def test_the_agent_does_its_work_on_this_machine(
    short_path: Path, scenarios: str
) -> None:
    """Every scenario of these modules passes."""
    here = Path(__file__).resolve()
    argv = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    argv += ("--basetemp", str(short_path / "t"))
    argv += (str(here.with_name(f"{scenarios}.py")),)
    root = here.parents[2]

    ended = run(
        (*(ORDINARY_USER if os.getuid() == 0 else ()), *argv),
        {"PATH": PATH, "PYTHONPATH": str(root)},
        timeout_seconds=SCENARIOS_SECONDS_MAX,
        directory=root,
    )

    if ended.returncode != 0:
        pytest.fail(ended.stdout + ended.stderr)
