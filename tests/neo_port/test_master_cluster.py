"""The release master-cluster, built from what a wheelhouse holds, over three regions.

Three computers of this machine, each with a region, a software root and an instance
root of its own, in namespaces with only a loopback. A region dies under load.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.capabilities import needs_namespaces
from tests.emulation import test_hello_build as hello
from tests.programs import run

DRIVER = Path(__file__).with_name("master_cluster_driver.py")
REGIONS = ("paris", "lyon", "tokyo")
COMPUTER_COUNT = len(REGIONS) + 1
"""A spare one takes over from one that is lost."""

STORY_SECONDS_MAX = 880
"""Four builds are most of it, and a test may take 15 minutes in all."""

GAP_SECONDS_MAX = 30
"""Without acknowledgements when a region dies: silence, an election, a recovery."""

place = hello.place
release = hello.release
environment = hello.environment


@needs_namespaces
def test_three_regions_run_from_the_wheelhouse_and_outlive_one(
    place: Path, release: Path, environment: Path
) -> None:
    """Built, linked, created once, acknowledged by two of three, whole again.

    A region that comes back without its database is given all of it again. A computer
    is lost for good, with the root of the master and a region: both go on elsewhere.

    Without any database it waits for a backup, though the request says create.
    """
    assert release.parent == place
    driver = place / DRIVER.name
    shutil.copyfile(DRIVER, driver)
    driver.chmod(0o644)
    addresses = [
        f"fd00:{number}::{host:x}"
        for number in range(1, COMPUTER_COUNT + 1)
        for host in range(1, 5)
    ]
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
    gaps = {it: seen[it] for it in seen if it.startswith("gap")}
    figures = {"seconds": seen["seconds"], **gaps}
    print(json.dumps(figures))  # noqa: T201 - figures for `pytest -s`

    assert {"slapcluster", "neoppod", "ZODB", "Twisted"} <= set(seen["eggs"])
    names = {"certificates", "disk", "lag", "links", "quorum", "replica"}
    for promises in seen["promises"].values():
        assert promises.keys() == names
        assert all(is_kept for is_kept, _ in promises.values()), promises
        assert promises["quorum"][1] == "NEO runs with all 3 regions"
        assert promises["lag"][1].endswith("up to date")
        assert promises["replica"][1].endswith("it waits for a state")
    published = seen["published"]
    assert set(published["regions"].split()) == set(REGIONS)
    assert set(published["storage"].split()) == set(REGIONS)
    assert len(set(published["replicas"].split())) == len(REGIONS)
    assert seen["listens"] == []
    assert seen["replicas serve"] == [True] * 3
    assert seen["gap"] < GAP_SECONDS_MAX
    assert seen["others ran on"] == {"lyon": True, "tokyo": True}
    assert seen["gap of a lost disk"] < GAP_SECONDS_MAX
    for name in ("other storage nodes", "lyon elsewhere"):
        (before,), (after,) = seen[name]
        assert before[:2] == after[:2] == {"other storage nodes": "S1"}.get(name, "S2")
        assert before != after
    assert seen["gap of a dead computer"] < GAP_SECONDS_MAX
    assert seen["placed anew"] == {"cloud": "spare", "lyon": "spare"}
    assert seen["signed"] == ["lyon"]
    assert seen["nobody was started anew"] == {"paris": True, "tokyo": True}
    assert len(seen["replicas elsewhere"]) == len(REGIONS)
    assert seen["counted up"]
    assert seen["missing"] == 0
    assert seen["all disks lost"] == (
        "NEO has no cells: lyon, paris, tokyo has seen cells: they are never made again"
    )
