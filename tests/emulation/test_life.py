"""The life of an agent on this machine, with everything real, as an ordinary user.

The scenarios run as user 1000 of a namespace whose small disk root of another mounted.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapgrid.environment import PATH
from tests.capabilities import needs_ipv6, needs_namespaces
from tests.programs import run

#: Seven scenarios with builds and installations.
SCENARIOS_SECONDS_MAX = 900
SMALL_DISK_BYTES = 8 * 1024 * 1024
AS_ROOT = ("unshare", "--user", "--map-root-user", "--mount")
AS_ORDINARY_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
#: The disk, then the rest of the arguments as another user.
MOUNT = 'mount -t tmpfs -o size="$1" small "$2" && shift 2 && exec "$@"'


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="life-") as directory:
        yield Path(directory)


@needs_ipv6
@needs_namespaces
def test_an_agent_lives_through_what_happens_to_it(short_path: Path) -> None:
    """Every scenario of ``life_scenarios.py`` passes."""
    here = Path(__file__).resolve()
    disk = short_path / "d"
    disk.mkdir()
    argv = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    argv += ("--basetemp", str(short_path / "t"))
    argv += (str(here.with_name("life_scenarios.py")),)
    root = here.parents[2]

    ended = run(
        (
            *AS_ROOT,
            *("sh", "-c", MOUNT, "sh", str(SMALL_DISK_BYTES), str(disk)),
            *AS_ORDINARY_USER,
            *argv,
        ),
        {"PATH": PATH, "PYTHONPATH": str(root), "SMALL_DISK": str(disk)},
        timeout_seconds=SCENARIOS_SECONDS_MAX,
        directory=root,
    )

    if ended.returncode != 0:
        pytest.fail(ended.stdout + ended.stderr)
