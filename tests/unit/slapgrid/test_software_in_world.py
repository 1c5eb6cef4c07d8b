"""Releases in a simulated world: several builds, collection, a short disk."""

from __future__ import annotations

import pytest
from attrs import evolve

from labsim.models.buildout import BuildoutModel
from labsim.world.world import World
from slap import calls
from slap.model import SoftwareInstallation, SupplyState
from slap.reports import ComputerReport
from slapgrid.config import Config
from slapgrid.layout import release_directory
from tests.unit.slapgrid.test_agent_in_world import URL, SmallCloud

OTHER = "http://releases.example/other.cfg"
BIG = "http://releases.example/big.cfg"
HOUR = 3600.0


def supplied(url: str, wanted: SupplyState = SupplyState.AVAILABLE) -> calls.Call:
    return calls.supply(SoftwareInstallation(url, "COMP-1", wanted))


def states(cloud: SmallCloud) -> dict[str, str]:
    """What the master was told of each release."""
    report = cloud.perform(calls.get_computer_report("COMP-1"))
    assert isinstance(report, ComputerReport)
    return {
        each.software_release_url: each.reported_state for each in report.installations
    }


def releases(cloud: SmallCloud) -> set[str]:
    names = {release_directory(url): url for url in (URL, OTHER, BIG)}
    tree = cloud.computer.runtime.file_tree("/srv/software")
    return {names[each] for each in tree.list()}


class ForgetfulCloud(SmallCloud):
    """A computer that keeps what nobody supplies for an hour."""

    @property
    def config(self) -> Config:
        config = super().config
        return evolve(config, software=evolve(config.software, retention_seconds=HOUR))


@pytest.fixture
def cloud() -> SmallCloud:
    cloud = ForgetfulCloud(World(seed=20261121))
    cloud.start_agent()
    return cloud


def test_a_release_that_is_quick_to_build_waits_for_no_long_one(
    cloud: SmallCloud,
) -> None:
    """It is available while the other builds for hours; a third one waits."""
    slow = {release_directory(BIG)}
    BuildoutModel(
        build_seconds=lambda directory: 9000 if directory[-32:] in slow else 30
    ).add_to(cloud.computer)
    cloud.perform(supplied(BIG))
    cloud.world.run_for(60)
    cloud.perform(supplied(URL))
    cloud.perform(supplied(OTHER))
    cloud.world.run_for(100)

    assert states(cloud) == {BIG: "building", URL: "available", OTHER: "available"}
    cloud.finish()


def test_a_build_that_is_not_wanted_any_more_ends(cloud: SmallCloud) -> None:
    """Nothing of it is left, hours before it would have ended by itself."""
    BuildoutModel(build_seconds=9000).add_to(cloud.computer)
    cloud.perform(supplied(BIG))
    cloud.world.run_for(60)

    cloud.perform(supplied(BIG, SupplyState.DESTROYED))
    cloud.world.run_for(60)

    assert releases(cloud) == set()
    cloud.finish()


def test_failed_builds_are_tried_again_over_restarts(cloud: SmallCloud) -> None:
    """The delay goes on where it was, and the master has the end of the log."""
    broken = {True}
    BuildoutModel(fails=lambda _: bool(broken)).add_to(cloud.computer)
    cloud.perform(supplied(URL))
    cloud.world.run_for(200)
    report = cloud.perform(calls.get_computer_report("COMP-1"))
    assert isinstance(report, ComputerReport)
    assert "the disc is round" in report.installations[0].message

    cloud.computer.crash()
    cloud.world.run_for(5)
    broken.clear()
    cloud.computer.boot()
    cloud.world.run_for(400)

    assert states(cloud) == {URL: "available"}
    cloud.finish()


def test_a_release_nobody_supplies_goes_after_the_retention_unless_used(
    cloud: SmallCloud,
) -> None:
    """Over a power loss in between; what an instance uses stays for good."""
    for url in (URL, OTHER):
        cloud.perform(supplied(url))
    cloud.world.run_for(200)
    tree = cloud.computer.runtime.file_tree("/srv")
    for url in (BIG, "used"):
        directory = f"software/{release_directory(url)}"
        tree.make_directory(directory)
        tree.write(f"{directory}/buildout.cfg", b"[buildout]\n")
    tree.link(
        "instances/slappart2/software_release",
        f"/srv/software/{release_directory('used')}",
    )

    cloud.world.run_for(0.4 * HOUR)
    cloud.computer.crash()
    cloud.world.run_for(5)
    cloud.computer.boot()
    cloud.world.run_for(0.5 * HOUR)
    assert tree_names(cloud) == {URL, OTHER, BIG, "used"}
    cloud.world.run_for(0.2 * HOUR)

    assert tree_names(cloud) == {URL, OTHER, "used"}
    cloud.finish()


def tree_names(cloud: SmallCloud) -> set[str]:
    names = {release_directory(url): url for url in (URL, OTHER, BIG, "used")}
    tree = cloud.computer.runtime.file_tree("/srv/software")
    return {names[each] for each in tree.list()}


def test_a_short_disk_hastens_the_collection(cloud: SmallCloud) -> None:
    """What was withdrawn goes at once, and what is wanted builds."""
    tree = cloud.computer.runtime.file_tree("/srv")
    directory = f"software/{release_directory(BIG)}"
    tree.make_directory(directory)
    tree.write(f"{directory}/buildout.cfg", b"[buildout]\n")
    cloud.world.run_for(120)
    assert releases(cloud) == {BIG}

    cloud.computer.disk.fill()
    cloud.perform(supplied(URL))
    cloud.world.run_for(120)
    assert releases(cloud) == set()
    cloud.computer.disk.empty()
    cloud.world.run_for(400)

    assert states(cloud) == {URL: "available"}
    cloud.finish()
