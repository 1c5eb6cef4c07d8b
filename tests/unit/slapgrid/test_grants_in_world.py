"""Instances that ask for more than a partition, with the whole agent, simulated."""

from __future__ import annotations

import json

import pytest
from attrs import define, evolve

from labsim.models.buildout import BuildoutModel
from labsim.world.host import Process
from labsim.world.world import World
from runtime.ports import Exit, IFileTree, Program
from slap.model import RequestedState
from slapgrid.config import Config
from slapgrid.grants.settings import GrantSettings
from tests.unit.slapgrid.test_agent_in_world import SmallCloud

FILE = ".slapos-port-redirect"
WHITELIST = ".slapos-whitelist-firewall"


@define
class GrantingCloud(SmallCloud):
    """A small cloud whose operator allows redirections and whitelists."""

    @property
    def config(self) -> Config:
        grants = GrantSettings(kinds=("portredir", "whitelistfirewall"))
        return evolve(super().config, grants=grants)


@pytest.fixture
def world() -> World:
    return World(seed=20261123)


async def _lasting(program: Program, process: Process) -> Exit:
    del program
    while True:
        await process.sleep(86400)


@pytest.fixture
def cloud(world: World) -> SmallCloud:
    """With two instances that are started, socat, and nft."""
    cloud = GrantingCloud(world, BuildoutModel())
    cloud.computer.add_behaviour(lambda it: it.argv[0] == "socat", _lasting)
    cloud.start_agent()
    cloud.supply()
    for title in ("first", "second"):
        cloud.request(title)
    for title in ("first", "second"):
        cloud.wait_for(title, "started", 300)
    return cloud


def files(cloud: SmallCloud) -> IFileTree:
    return cloud.computer.runtime.file_tree("/srv/instances/slappart0")


def ask(cloud: SmallCloud, port: object) -> None:
    asked = [{"srcPort": port, "destAddress": "10.0.0.1", "destPort": 80}]
    files(cloud).write(FILE, json.dumps(asked).encode())


def listening(cloud: SmallCloud) -> list[str]:
    running = (" ".join(each.argv) for each in cloud.computer.running_programs)
    return [each for each in running if each.startswith("socat")]


def test_a_redirection_is_there_as_long_as_it_is_asked_for(cloud: SmallCloud) -> None:
    """It appears, changes, outlives an absent master, stops with its instance."""
    world = cloud.world
    first = ["socat TCP4-LISTEN:8080,reuseaddr,fork TCP4:10.0.0.1:80"]
    second = ["socat TCP4-LISTEN:9090,reuseaddr,fork TCP4:10.0.0.1:80"]

    ask(cloud, 8080)
    world.run_for(10)
    assert listening(cloud) == first
    ask(cloud, 9090)
    world.run_for(10)
    assert listening(cloud) == second
    cloud.request("first", RequestedState.STOPPED)
    world.run_for(30)
    assert listening(cloud) == []
    cloud.request("first", RequestedState.STARTED)
    world.run_for(60)
    assert listening(cloud) == second
    files(cloud).remove(FILE)
    world.run_for(10)
    assert listening(cloud) == []
    ask(cloud, 8080)
    world.run_for(10)
    cloud.computer.crash()
    cloud.master.crash()
    world.run_for(5)
    cloud.computer.boot()
    world.run_for(120)
    assert listening(cloud) == first


def test_a_bad_file_is_an_error_of_its_instance_alone(cloud: SmallCloud) -> None:
    """With a sentence; it is over when the file is good, or gone."""
    ask(cloud, 80)
    cloud.wait_for("first", "error", 60)
    assert (
        "have the operator add it to redirect_port_list" in (cloud.reported("first")[1])
    )
    assert cloud.reported("second")[0] == "started"
    files(cloud).remove(FILE)
    files(cloud).link(FILE, "/etc/passwd")
    cloud.world.run_for(30)
    assert "cannot be read" in cloud.reported("first")[1]

    files(cloud).remove(FILE)

    cloud.wait_for("first", "started", 120)
    cloud.finish()


def test_without_nft_an_instance_that_asks_for_rules_is_told(
    cloud: SmallCloud,
) -> None:
    """The others go on."""
    files(cloud).write(WHITELIST, b'["10.0.0.1"]')

    cloud.wait_for("first", "error", 60)

    assert (
        "the firewall is not set, as nft (package nftables) says"
        in (cloud.reported("first")[1])
    )
    assert cloud.reported("second")[0] == "started"
    cloud.finish()


def test_rules_follow_the_file(cloud: SmallCloud) -> None:
    """Set once for each change, and again after a while."""
    texts: list[str] = []

    async def nft(program: Program, process: Process) -> Exit:
        tree = process.host.runtime.file_tree("/")
        texts.append(tree.read(program.argv[2].lstrip("/")).decode())
        return Exit(0)

    cloud.computer.add_behaviour(lambda it: it.argv[0] == "nft", nft)
    cloud.world.run_for(10)
    texts.clear()
    files(cloud).write(WHITELIST, b'["10.0.0.1"]')
    cloud.world.run_for(200)
    assert ["10.0.0.1/32" in each for each in texts] == [True]
    cloud.world.run_for(200)
    assert len(texts) == 2
    files(cloud).remove(WHITELIST)
    cloud.world.run_for(200)

    assert texts[-1] == "add table inet slapgrid\ndelete table inet slapgrid\n"
    cloud.finish()
