"""Formatting a computer of a simulated world."""

from __future__ import annotations

import json
from ipaddress import IPv6Network

import pytest
from attrs import evolve

from labsim.models.buildout import BuildoutModel, simulated_platform
from labsim.world.world import World
from runtime.ports import FileKind
from slapgrid.config import Config
from slapgrid.format.formatting import FormatRefused, Formatting
from slapgrid.format.settings import FormatSettings
from slapgrid.platform import Platform

CONFIG = Config(
    computer_id="COMP-1",
    master_urls=("http://[fd00::1]:5000",),
    software_root="/srv/software",
    instance_root="/srv/instances",
    format=FormatSettings(partition_amount=3),
)


@pytest.fixture
def world() -> World:
    world = World(seed=1)
    BuildoutModel().add_to(world.host("computer"))
    return world


def formatted(world: World, config: Config, platform: Platform | None = None) -> int:
    runtime = world.host("computer").runtime
    formatting = Formatting(config, runtime, platform or simulated_platform())
    return world.result(formatting.apply()).changed_count


def test_partitions_are_made_once(world: World) -> None:
    """The second format finds nothing to do."""
    assert [formatted(world, CONFIG) for _ in range(2)] == [3, 0]


def test_a_partition_is_closed_to_others_and_owned_by_its_user(world: World) -> None:
    """Mode 0750, exactly."""
    formatted(world, CONFIG)

    found = (
        world.host("computer").runtime.file_tree("/srv/instances").status("slappart2")
    )
    assert found is not None
    assert (found.kind, found.mode, found.uid) == (FileKind.DIRECTORY, 0o750, 1003)


def test_recipes_read_the_addresses_of_a_partition(world: World) -> None:
    """Both kinds, as on stock nodes."""
    formatted(world, CONFIG)

    tree = world.host("computer").runtime.file_tree("/srv/instances")
    resource = json.loads(tree.read("slappart0/.slapos-resource"))
    assert [each["addr"] for each in resource["address_list"]] == ["127.0.0.1", "::1"]


def test_what_format_made_survives_a_power_loss(world: World) -> None:
    """Owners too: with root's, no instance could ever be processed."""
    formatted(world, CONFIG)
    world.host("computer").crash()
    world.host("computer").boot()

    assert formatted(world, CONFIG) == 0


def test_an_address_of_another_computer_is_refused(world: World) -> None:
    """With what to change."""
    network = world.host("elsewhere").ipv6_network
    config = evolve(
        CONFIG,
        format=FormatSettings(partition_amount=3, ipv6_network=IPv6Network(network)),
    )

    with pytest.raises(FormatRefused, match="is not an address of this computer"):
        formatted(world, config)


def test_fewer_partitions_are_refused_while_one_is_in_use(world: World) -> None:
    """Its instance would never be destroyed."""
    formatted(world, CONFIG)
    tree = world.host("computer").runtime.file_tree("/srv/instances")
    tree.write("slappart2/buildout.cfg", b"[buildout]")

    with pytest.raises(FormatRefused, match="slappart2 is in use"):
        formatted(world, evolve(CONFIG, format=FormatSettings(partition_amount=2)))


def test_root_without_users_is_refused(world: World) -> None:
    """Instances never run as root; the sentence names the missing user."""
    platform = evolve(simulated_platform(), find_user=lambda _: None)

    with pytest.raises(FormatRefused, match="needs the user slapuser0"):
        formatted(world, CONFIG, platform)
