"""Releases on disk: what a build is given, and what is bounded."""

from __future__ import annotations

from attrs import evolve

from labsim.models.buildout import BuildoutModel, simulated_platform
from labsim.world.world import World
from slapgrid.config import Config
from slapgrid.layout import release_directory
from slapgrid.software.releases import EXTENDS_CACHE_FILES_MAX, Releases
from slapgrid.software.settings import SoftwareSettings

URL = "http://releases.example/software.cfg"
DIRECTORY = f"/srv/software/{release_directory(URL)}"


def build_releases(world: World, home: str | None = None) -> Releases:
    host = world.host("computer")
    BuildoutModel(build_seconds=1).add_to(host)
    root = host.runtime.file_tree("/srv/software")
    root.make_directory("")
    root.change("", uid=1000, gid=1000)
    config = Config(
        "local",
        ("http://master",),
        "/srv/software",
        "/srv/instances",
        software=SoftwareSettings(free_bytes_min=1),
    )
    platform = evolve(simulated_platform(), find_home=lambda _: home)
    return Releases(config, host.runtime, platform)


def test_a_build_has_the_passwords_of_its_user_and_nobody_else_has() -> None:
    world = World(seed=1)
    releases = build_releases(world, "/home/slapsoft")
    files = world.host("computer").runtime.file_tree
    files("/home/slapsoft").make_directory("")
    files("/home/slapsoft").write(".netrc", b"machine x password y", 0o600)

    assert world.result(releases.build(URL)) is None

    status = files(DIRECTORY).status(".netrc")
    assert status is not None
    assert (status.mode, status.uid, status.gid) == (0o600, 1000, 1000)
    assert files(DIRECTORY).read(".netrc") == b"machine x password y"


def test_passwords_that_were_taken_away_are_away() -> None:
    world = World(seed=1)
    releases = build_releases(world, "/home/slapsoft")
    tree = world.host("computer").runtime.file_tree(DIRECTORY)
    tree.make_directory("")
    tree.write(".netrc", b"old", 0o600)

    assert world.result(releases.build(URL)) is None

    assert tree.status(".netrc") is None


def test_the_profiles_that_a_release_once_extended_do_not_stay_for_ever() -> None:
    world = World(seed=1)
    releases = build_releases(world)
    tree = world.host("computer").runtime.file_tree(DIRECTORY)
    tree.make_directory("extends-cache")
    for number in range(EXTENDS_CACHE_FILES_MAX):
        tree.write(f"extends-cache/{number}", b"")
    assert world.result(releases.build(URL)) is None
    assert tree.status("extends-cache") is not None

    tree.write("extends-cache/more", b"")
    assert world.result(releases.build(URL)) is None

    assert tree.status("extends-cache") is None


def test_a_release_that_is_built_again_is_not_complete_meanwhile() -> None:
    """A kill in the middle must not leave a mark on half of a release."""
    world = World(seed=1)
    releases = build_releases(world)
    assert world.result(releases.build(URL)) is None
    releases.record_built(URL)
    assert releases.observe((URL,))[URL].is_completed

    releases.reopen(URL)

    assert not releases.observe((URL,))[URL].is_completed


def test_what_killed_transfers_left_is_removed() -> None:
    world = World(seed=1)
    releases = build_releases(world)
    tree = world.host("computer").runtime.file_tree("/srv/software")
    tree.make_directory(f".extracting-{'a' * 32}/{'a' * 32}")
    tree.write(f".networkcache-{'b' * 32}.tar.gz", b"half")
    tree.write("notes", b"of a person")

    world.result(releases.remove_leftovers())

    assert tree.list() == ("notes",)
