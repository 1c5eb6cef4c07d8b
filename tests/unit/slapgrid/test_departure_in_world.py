"""Instances that go, with the whole agent, in a simulated world."""

from __future__ import annotations

import pytest
from attrs import define, evolve

from labsim.models.buildout import BuildoutModel
from labsim.world.host import Process
from labsim.world.world import World
from runtime.ports import Exit, IFileTree, Program
from slap import calls
from slap.model import InstanceRequest, RequestedState
from slapgrid.config import Config
from slapgrid.layout import (
    DESTROY_SCRIPT,
    REMOVAL_DIRECTORY,
    RETENTION_DATE_FILE,
    RETENTION_DELAY_FILE,
)
from tests.unit.slapgrid.test_agent_in_world import URL, SmallCloud

#: Half of the retention of these instances; the agent looks at them every 3 s.
HALF_SECONDS = 2160.0
DAYS = "0.05"
ROOT = "/srv/instances"
EMPTY = (".slapos-resource",)


@pytest.fixture
def world() -> World:
    return World(seed=20261122)


def a_cloud(world: World, retention: str = "") -> SmallCloud:
    """With one instance that is started, and is to be kept so many days."""
    cloud = SmallCloud(world, BuildoutModel())
    cloud.start_agent()
    cloud.supply()
    wanted = {"retention_delay": retention} if retention else {}
    request = InstanceRequest("first", URL, allocation_filter=wanted)
    cloud.perform(calls.request_instance(request))
    return cloud


def files(cloud: SmallCloud) -> IFileTree:
    return cloud.computer.runtime.file_tree(f"{ROOT}/slappart0")


def test_an_instance_is_kept_as_long_as_it_asked(world: World) -> None:
    """Stopped meanwhile; the calendar, not the agent's life, says when it is over."""
    cloud = a_cloud(world, DAYS)
    cloud.wait_for("first", "started", 200)
    assert files(cloud).read(RETENTION_DELAY_FILE) == DAYS.encode()

    cloud.request("first", RequestedState.DESTROYED)
    world.run_for(100)
    assert cloud.reported("first")[0] == "stopped"
    assert cloud.computer.running_programs == ()
    cloud.computer.crash()
    world.run_for(HALF_SECONDS)
    cloud.computer.boot()
    world.run_for(100)
    assert files(cloud).status("etc") is not None
    cloud.computer.calendar.step(-HALF_SECONDS / 2)
    world.run_for(HALF_SECONDS)
    assert files(cloud).status("etc") is not None
    world.run_for(HALF_SECONDS)

    assert files(cloud).list() == EMPTY
    cloud.finish()


def test_a_retention_that_is_nonsense_is_an_error_of_its_instance(
    world: World,
) -> None:
    """Said when it is deployed."""
    cloud = a_cloud(world, "for ever")

    cloud.wait_for("first", "error", 200)

    assert "retention_delay must be 0 to 36525 days" in cloud.reported("first")[1]
    cloud.finish()


def test_a_retention_that_cannot_be_written_loses_nothing(world: World) -> None:
    """The disk is full when the instance is to be destroyed: it waits for room."""
    cloud = a_cloud(world, DAYS)
    cloud.wait_for("first", "started", 200)
    cloud.computer.disk.layers.capacity_bytes = 0

    cloud.request("first", RequestedState.DESTROYED)
    cloud.wait_for("first", "error", 300)
    assert files(cloud).status("etc") is not None
    cloud.computer.disk.empty()
    world.run_for(900)

    assert files(cloud).status(RETENTION_DATE_FILE) is not None
    world.run_for(2 * HALF_SECONDS)
    assert files(cloud).list() == EMPTY
    cloud.finish()


@define
class StoringCloud(SmallCloud):
    """A small cloud with a second disk."""

    @property
    def config(self) -> Config:
        config = super().config
        settings = evolve(config.format, instance_storage_home="/srv/storage")
        return evolve(config, format=settings)


def test_what_an_instance_keeps_on_other_disks_goes_with_it(world: World) -> None:
    """Not what its neighbours keep there, nor what its own links lead to."""
    cloud = StoringCloud(world)
    storage = cloud.computer.runtime.file_tree("/srv/storage")
    for place in ("data1/slappart0", "data1/slappart1", "other"):
        storage.make_directory(place)
        storage.write(f"{place}/file", b"kept")
    cloud.start_agent()
    cloud.supply()
    cloud.request("first")
    cloud.wait_for("first", "started", 200)
    files(cloud).make_directory("DATA")
    files(cloud).link("DATA/other", "/srv/storage/other")

    cloud.request("first", RequestedState.DESTROYED)
    world.run_for(120)

    assert files(cloud).list() == EMPTY
    assert storage.list("data1/slappart0") == ()
    assert storage.read("data1/slappart1/file") == b"kept"
    assert storage.read("other/file") == b"kept"
    cloud.finish()


def add_programs(cloud: SmallCloud, started: list[str], seconds: float) -> None:
    """Programs of ``etc/prerm`` and a hook that note their start and take a while."""

    async def run(program: Program, process: Process) -> Exit:
        started.append(program.argv[0].removeprefix(f"{ROOT}/slappart0/"))
        await process.sleep(seconds)
        return Exit(0)

    cloud.computer.add_behaviour(
        lambda program: (
            REMOVAL_DIRECTORY in program.argv[0]
            or program.argv[0].endswith(DESTROY_SCRIPT)
        ),
        run,
    )
    tree = files(cloud)
    for path in (f"{REMOVAL_DIRECTORY}/a", f"{REMOVAL_DIRECTORY}/b", DESTROY_SCRIPT):
        tree.make_directory(path.rpartition("/")[0])
        tree.write(path, b"#!/bin/sh\n", 0o755)


def test_removal_programs_run_once_and_are_waited_for(world: World) -> None:
    """Then the hook runs, then the partition is empty and its group is gone."""
    cloud = a_cloud(world)
    cloud.wait_for("first", "started", 200)
    started: list[str] = []
    add_programs(cloud, started, 500.0)

    cloud.request("first", RequestedState.DESTROYED)
    world.run_for(400)
    assert sorted(started) == ["etc/prerm/a", "etc/prerm/b"]
    assert files(cloud).read(".slapos-report-wait-service-list") == (
        b"slappart0-prerm:a\nslappart0-prerm:b\n"
    )
    world.run_for(1000)

    assert started[2:] == [DESTROY_SCRIPT]
    assert files(cloud).list() == EMPTY
    groups = cloud.computer.runtime.file_tree(f"{ROOT}/etc/supervisord.conf.d")
    assert groups.list() == ()
    cloud.request("next")
    cloud.wait_for("next", "started", 200)
    cloud.finish()


def test_a_departure_goes_on_after_power_losses(world: World) -> None:
    """A program that was seen to end is not run again; one that did not, is."""
    cloud = a_cloud(world, "0.01")
    cloud.wait_for("first", "started", 200)
    started: list[str] = []
    add_programs(cloud, started, 20.0)
    cloud.request("first", RequestedState.DESTROYED)
    entropy = world.entropy("losses")

    for _ in range(30):
        world.run_for(entropy.uniform(20, 60))
        cloud.computer.crash()
        world.run_for(1)
        cloud.computer.boot()
    world.run_for(2000)

    assert files(cloud).list() == EMPTY
    assert set(started) == {"etc/prerm/a", "etc/prerm/b", DESTROY_SCRIPT}
    cloud.finish()
