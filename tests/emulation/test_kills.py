"""The agent is killed at any instant, and the computer comes to be the same."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.capabilities import needs_ipv6, needs_namespaces
from tests.emulation.test_agent import ORDINARY_USER
from tests.programs import run

KILL_COUNT = 4
"""`make soak CAMPAIGN=kills` makes hundreds."""

SECONDS_PER_KILL_MAX = 30


def killed(seed: int, count: int) -> dict[str, int]:
    """What so many kills did, by an ordinary user."""
    here = Path(__file__).resolve()
    with tempfile.TemporaryDirectory(prefix="kills-") as root:
        argv = (sys.executable, "-m", "tests.emulation.kills", root, f"{seed}")
        ended = run(
            (*(ORDINARY_USER if os.getuid() == 0 else ()), *argv, f"{count}"),
            {"PATH": os.environ["PATH"], "PYTHONPATH": str(here.parents[2])},  # noqa: TID251
            timeout_seconds=120 + count * SECONDS_PER_KILL_MAX,
        )
    assert ended.returncode == 0, ended.stderr[-4000:]
    result: dict[str, int] = json.loads(ended.stdout)
    return result


@needs_ipv6
@(needs_namespaces if os.getuid() == 0 else lambda test: test)
def test_the_computer_is_the_same_after_kills_at_random_instants() -> None:
    """Files, programs and reports are those of rounds that nobody disturbed."""
    result = killed(seed=1, count=KILL_COUNT)

    assert result["kills"] == KILL_COUNT
