"""A cloud bootstraps itself from a wheelhouse, killed after each step, under changes.

Three computers of this machine, in namespaces with only a loopback.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from slapcluster.bootstrap.logbook import Undertaking
from tests.capabilities import needs_namespaces
from tests.emulation import test_hello_build as hello
from tests.programs import run

DRIVER = Path(__file__).with_name("bootstrap_driver.py")
STORY_SECONDS_MAX = 1200
"""Three builds at once are much of it; alone on two cores it takes six minutes."""

GAP_SECONDS_MAX = 30
"""Without acknowledgements when a region dies: silence, an election, a recovery."""

place = hello.place
release = hello.release
environment = hello.environment


@needs_namespaces
def test_a_cloud_hosts_itself_and_loses_nothing_on_the_way(
    place: Path, release: Path, environment: Path
) -> None:
    assert release.parent == place
    driver = place / DRIVER.name
    shutil.copyfile(DRIVER, driver)
    driver.chmod(0o644)
    addresses = [f"fd00:{n}::{host:x}" for n in range(1, 4) for host in range(1, 5)]
    argv = [str(environment / "bin" / "python"), "-I", str(driver), str(place)]
    ended = run(
        hello.confine(argv, addresses),
        {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(place)},
        directory=place,
        timeout_seconds=STORY_SECONDS_MAX,
    )
    if ended.returncode != 0:
        pytest.fail(ended.stderr + ended.stdout)
    seen = json.loads(ended.stdout)
    print(json.dumps(seen))  # noqa: T201 - figures for `pytest -s`

    assert seen["is_self_hosted"]
    assert seen["mini-master is gone"]
    assert seen["again"] == [it.name for it in Undertaking.BOOTSTRAP.steps]
    assert seen["kills"] >= len(Undertaking.BOOTSTRAP.steps) - 1
    assert seen["acknowledged"] > 100
    assert seen["missing"] == []
    assert seen["gap"] < GAP_SECONDS_MAX
