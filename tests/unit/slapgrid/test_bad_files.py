"""An agent whose own files give other bytes than it wrote, or none."""

from __future__ import annotations

import pytest

from labsim.models.buildout import BuildoutModel
from labsim.world.world import World
from runtime.ports import IFileTree
from slap.model import RequestedState
from tests.unit.slapgrid.test_agent_in_world import SmallCloud

AGENT_FILES = (
    "/srv/instances/slappart0/.timestamp",
    "/srv/instances/var/slapgrid/passes.json",
    "/srv/instances/var/slapgrid/retry-memory.json",
    "/srv/instances/var/slapgrid/seen.json",
)
LONG_SECONDS = 3600.0
"""Many polls."""


@pytest.fixture
def cloud() -> SmallCloud:
    cloud = SmallCloud(World(seed=1), BuildoutModel(has_promises=False))
    cloud.start_first()
    cloud.world.run_for(100)
    return cloud


def check_that_it_goes_on(cloud: SmallCloud) -> None:
    """What is requested in another life of the agent is done."""
    cloud.computer.kill()
    cloud.computer.boot()
    cloud.request("first", RequestedState.STOPPED)
    cloud.wait_for("first", "stopped", LONG_SECONDS)
    assert cloud.computer.running_programs == ()
    cloud.request("second")
    cloud.wait_for("second", "started", LONG_SECONDS)
    cloud.finish()


@pytest.mark.parametrize("path", AGENT_FILES)
@pytest.mark.parametrize("is_unreadable", [False, True])
def test_a_bad_block_stops_no_agent(
    cloud: SmallCloud, path: str, *, is_unreadable: bool
) -> None:
    assert cloud.computer.disk.corrupt(path, is_unreadable=is_unreadable) == path

    check_that_it_goes_on(cloud)


def _write_noise(files: IFileTree) -> None:
    files.write(".timestamp", b"\xff\xfe\xfd")


def _write_much(files: IFileTree) -> None:
    files.write(".timestamp", b"x" * 100_000)


def _link(files: IFileTree) -> None:
    files.link(".timestamp", "/etc/hostname")


@pytest.mark.parametrize("write", [_write_noise, _write_much, _link])
def test_an_instance_that_writes_its_own_stamp_stops_no_agent(
    cloud: SmallCloud, write
) -> None:
    """The directory is the instance's: it can put there what it likes."""
    write(cloud.computer.pending_files("/srv/instances/slappart0"))

    check_that_it_goes_on(cloud)
