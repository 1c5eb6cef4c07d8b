"""The agent's rules in a kernel of this machine, in a network of their own."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapgrid.environment import PATH
from tests.capabilities import needs_nft
from tests.programs import run

SCENARIOS_SECONDS_MAX = 120
AS_ROOT = ("unshare", "--user", "--map-root-user", "--net")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for that of a socket."""
    with tempfile.TemporaryDirectory(prefix="rules-") as directory:
        yield Path(directory)


@needs_nft
def test_rules_do_what_they_say(short_path: Path) -> None:
    """Every scenario of ``firewall_scenarios.py`` passes."""
    here = Path(__file__).resolve()
    argv = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    argv += ("--basetemp", str(short_path / "t"))
    argv += (str(here.with_name("firewall_scenarios.py")),)

    ended = run(
        (*AS_ROOT, *argv),
        {"PATH": PATH, "PYTHONPATH": str(here.parents[2])},
        timeout_seconds=SCENARIOS_SECONDS_MAX,
        directory=here.parents[2],
    )

    if ended.returncode != 0:
        pytest.fail(ended.stdout + ended.stderr)


@needs_nft
def test_the_rules_of_the_page_are_rules() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ports.md").read_text()
    (rules,) = re.findall(r"```text\n(table .*?)```", page, re.DOTALL)
    known = rules.replace("skuid != { root, slapcluster }", "skuid != { root, nobody }")
    assert known != rules

    ended = run((*AS_ROOT, "nft", "-f", "-"), {"PATH": PATH}, stdin=known)

    assert (ended.returncode, ended.stderr) == (0, "")
