"""A cloud is lost, and goes on from a backup.

Three computers of this machine, in namespaces with only a loopback. All is killed at
once, and all databases are removed; the recovery is killed after each of its steps.
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

HERE = Path(__file__).parent
DRIVERS = ("bootstrap_driver.py", "recover_driver.py")
STORY_SECONDS_MAX = 2400
"""A bootstrap and a recovery; on two busy cores each takes ten minutes."""

place = hello.place
release = hello.release
environment = hello.environment


@needs_namespaces
def test_a_lost_cloud_goes_on_with_its_services_where_they_were(
    place: Path, release: Path, environment: Path
) -> None:
    assert release.parent == place
    for name in DRIVERS:
        shutil.copyfile(HERE / name, place / name)
        (place / name).chmod(0o644)
    driver = str(place / DRIVERS[-1])
    addresses = [f"fd00:{n}::{host:x}" for n in range(1, 4) for host in range(1, 5)]
    argv = [str(environment / "bin" / "python"), "-I", driver, str(place)]
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

    assert 'name = "cloud-2"' in seen["same name"]
    assert "another command: name another home" in seen["home of a bootstrap"]
    assert "The cloud is not lost" in seen["living"]

    assert (seen["dry"]["history"], seen["dry"]["masters"]) == (2, ["cloud"])
    assert seen["dry"]["services"] == ["greeting"]
    # Two were done by the turn that was refused, and nothing follows the last one.
    assert seen["kills"] >= len(Undertaking.RECOVER.steps) - 3
    assert seen["is_self_hosted"]
    found = seen["from a backup"]
    assert found["same partition"]
    assert found["same url"]
    # Nobody knows an address of the lost cloud, nor of its mini-master.
    assert found["listed"] == [found["replicas"]] * 3
    assert found["services"] == ["cloud-2", "greeting"]
    # What was acknowledged after the backup is not there.
    assert found["releases"] == ["http://[::1]/kept.cfg"]
