"""Releases that nobody supplies: when they go, and why they stay."""

from __future__ import annotations

from math import inf

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from labsim.world.world import World
from runtime.ports import IFileTree
from slapgrid.convergence.collection import (
    forecast_collection,
    lengthen,
    plan_collection,
)
from slapgrid.convergence.plans import (
    Action,
    ForgetAbsence,
    NoteAbsence,
    RemoveUnsupplied,
)
from slapgrid.convergence.retrying import RetryMemory
from slapgrid.convergence.views import (
    Absence,
    LocalRelease,
    LocalView,
    UnsuppliedRelease,
)
from slapgrid.layout import release_directory
from slapgrid.software.unsupplied import (
    find_unsupplied,
    read_absence,
    remove_release,
    write_absence,
)
from slapgrid.software.uses import observe_uses

NOW = 1_000_000.0
DAY = 86400.0
WEEK = 7 * DAY
URL = "http://releases.example/software.cfg"
DIRECTORY = release_directory(URL)
OLD = UnsuppliedRelease(DIRECTORY, URL, Absence(WEEK, NOW), users=())


def planned(view: LocalView, retention_seconds: float = WEEK) -> tuple[Action, ...]:
    return plan_collection(view, RetryMemory(), NOW, retention_seconds).actions


def test_a_release_seen_missing_for_the_first_time_is_noted() -> None:
    seen = UnsuppliedRelease(DIRECTORY, URL)

    plan = plan_collection(LocalView(unsupplied=(seen,)), RetryMemory(), NOW, WEEK)

    assert plan.actions == (NoteAbsence(DIRECTORY, Absence(0, NOW)),)
    assert plan.next_wake == NOW + 3600


def test_a_release_goes_after_the_retention() -> None:
    assert planned(LocalView(unsupplied=(OLD,))) == (RemoveUnsupplied(DIRECTORY),)


def test_a_release_that_a_partition_names_stays_however_old() -> None:
    used = evolve(OLD, users=("slappart3",))

    plan = plan_collection(LocalView(unsupplied=(used,)), RetryMemory(), NOW, WEEK)

    assert plan.actions == ()
    assert plan.reason.endswith(f"{URL} is not supplied and stays: slappart3 uses it")


def test_a_release_whose_users_nobody_looked_for_stays() -> None:
    assert planned(LocalView(unsupplied=(evolve(OLD, users=None),))) == ()


def test_an_endless_retention_keeps_everything_even_when_space_is_short() -> None:
    assert planned(LocalView(unsupplied=(OLD,), is_space_short=True), inf) == ()


def test_when_space_is_short_the_oldest_goes_first_and_alone() -> None:
    young = UnsuppliedRelease("a" * 32, "", Absence(60, NOW), users=())
    older = UnsuppliedRelease("b" * 32, "", Absence(90, NOW), users=())
    view = LocalView(unsupplied=(young, older), is_space_short=True)

    assert planned(view) == (RemoveUnsupplied("b" * 32),)


def test_a_release_that_is_supplied_again_starts_anew() -> None:
    supplied = LocalRelease(URL, is_present=True, has_absence=True)

    assert planned(LocalView(releases={URL: supplied})) == (ForgetAbsence(DIRECTORY),)


def test_a_forecast_says_what_becomes_of_each_release() -> None:
    used = evolve(OLD, directory="b" * 32, users=("slappart3",))
    young = evolve(OLD, directory="c" * 32, absence=Absence(DAY, NOW))
    view = LocalView(unsupplied=(OLD, used, young))

    def told(retention_seconds: float, seen: LocalView = view) -> list[str]:
        found = forecast_collection(seen, retention_seconds, NOW)
        return [each.sentence for each in found]

    kept = "stays while slappart3 uses it"
    assert told(WEEK) == ["goes at the next look", kept, "goes in 6.0 days"]
    endless = "stays, as software_retention_days says"
    assert told(inf) == [endless, kept, endless]
    short = evolve(view, is_space_short=True)
    assert told(WEEK, short) == ["goes at the next look", kept, "goes at the next look"]


@given(
    st.lists(st.floats(-40 * DAY, 400 * DAY), max_size=6), st.integers(0, int(10 * DAY))
)
def test_a_calendar_that_steps_makes_no_release_old(
    steps: list[float], seen_seconds: int
) -> None:
    """Each look counts a day at most, and none counts what did not pass."""
    now, absence = NOW, lengthen(None, NOW)
    for step in steps:
        now += step
        absence = lengthen(absence, now)
    absence = lengthen(absence, now + seen_seconds)

    assert 0 <= absence.seconds <= (len(steps) + 1) * DAY


@pytest.fixture
def root() -> IFileTree:
    world = World(seed=1)
    return world.host("computer").runtime.file_tree("/srv")


def test_only_a_directory_with_the_name_and_a_profile_is_a_release(
    root: IFileTree,
) -> None:
    """What a person put into the software root is none of our business."""
    tree = root.subtree("software")
    other = release_directory("http://other")
    for name in (DIRECTORY, other, "f" * 32, "notes", "e" * 31):
        tree.make_directory(f"{name}/bin")
    tree.write(f"{DIRECTORY}/buildout.cfg", f"[buildout]\nextends = {URL}\n".encode())
    tree.write(f"{other}/buildout.cfg", b"[buildout]\nextends = http://other\n")
    tree.write("notes/buildout.cfg", b"")
    tree.write("d" * 32, b"a file")
    write_absence(tree, DIRECTORY, Absence(5, NOW))

    assert find_unsupplied(tree, frozenset({other})) == (
        UnsuppliedRelease(DIRECTORY, URL, Absence(5, NOW)),
    )


def test_a_note_that_cannot_be_read_is_none(root: IFileTree) -> None:
    root.make_directory(DIRECTORY)
    root.write(f"{DIRECTORY}/.slapgrid-unsupplied", b"[1]")

    assert read_absence(root, DIRECTORY) is None


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.03, 0.05, 0.07, 0.09])
def test_what_a_crash_leaves_of_a_removal_is_found_again(seconds: float) -> None:
    """At each step of the removal, the rest is still a release, or nothing."""
    world = World(seed=1)
    host = world.host("computer")
    tree = host.runtime.file_tree("/srv")
    for name in ("bin", "eggs/one", "parts"):
        tree.make_directory(f"{DIRECTORY}/{name}")
    tree.write(f"{DIRECTORY}/buildout.cfg", f"[buildout]\nextends = {URL}\n".encode())
    write_absence(tree, DIRECTORY, Absence(WEEK, NOW))

    Deferred.fromCoroutine(remove_release(tree, DIRECTORY))
    world.run_for(seconds)
    host.crash()

    tree = host.runtime.file_tree("/srv")
    left = find_unsupplied(tree, frozenset())
    assert tree.status(DIRECTORY) is None or [x.directory for x in left] == [DIRECTORY]


def test_every_file_that_names_a_release_is_a_use(root: IFileTree) -> None:
    """Scripts, links, profiles and what is installed; of each partition."""
    link, script, installed, none = (
        root.subtree(f"i/slappart{number}") for number in range(4)
    )
    for files in (link, script, installed, none):
        files.make_directory("etc/service")
    link.link("software_release", f"/srv/software/{'a' * 32}")
    link.link("etc/service/x", f"/srv/software/{'b' * 32}/bin/x")
    script.write("etc/service/y", f"#!/s/{'b' * 32}/bin/python\n".encode())
    installed.write(".installed.cfg", f"location = /s/{'c' * 32}/eggs".encode())
    none.write("etc/service/z", b"#!/bin/sh\n# " + b"d" * 33)

    assert observe_uses(root.subtree("i")) == {
        "a" * 32: ("slappart0",),
        "b" * 32: ("slappart0", "slappart1"),
        "c" * 32: ("slappart2",),
    }
