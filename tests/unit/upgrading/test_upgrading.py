"""`slapcluster upgrade`: a master of three regions takes up a release, and back."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from runtime.ports import Runtime
from slap import calls
from slap.calls import Call
from slap.errors import Unavailable
from slap.model import SoftwareInstallation
from slapcluster.asking import ask
from slapcluster.bootstrap.wanted_cloud import release_url_of
from slapcluster.master import Master
from slapcluster.pushing import find_replicas, read_release
from slapcluster.upgrading.performing import Upgrade, Upgraded, find
from slapcluster.upgrading.planning import Target
from tests.builders import a_computer_definition
from tests.unit.master_cluster.releases import a_release
from tests.unit.upgrading.clouds import FIRST, PARAMETERS, REGIONS, SelfHosted

NEW = a_release("new")
NEW_URL = release_url_of(NEW.name)
ALL_NEW = dict.fromkeys(("cloud", *REGIONS), NEW_URL)
ALL_FIRST = dict.fromkeys(("cloud", *REGIONS), FIRST)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[SelfHosted]:
    NEW.write(tmp_path / "release")
    cloud = SelfHosted(tmp_path)
    yield cloud
    cloud.close()


def upgrade(cloud: SelfHosted, *words: str) -> dict[str, Any]:
    result = cloud.type("upgrade", *(words or (str(cloud.top / "release"),)))
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def steps(document: dict[str, Any]) -> list[str]:
    return [f"{it['verb']} {it['subject']}".rstrip() for it in document["steps"]]


def test_a_release_is_pushed_built_requested_and_taken_up(cloud: SelfHosted) -> None:
    """One region after the other, each replica of which is started anew.

    Again nothing is left to do. Back, nothing is pushed and nothing built.
    """
    document = upgrade(cloud)

    assert document["is_done"]
    assert cloud.running() == ALL_NEW
    assert sorted(cloud.rolled) == sorted((it, NEW_URL) for it in REGIONS)
    assert steps(document)[:4] == ["push", *(f"supply COMP-{it}" for it in REGIONS)]
    assert "request cloud" in steps(document)
    assert document["former"] == [FIRST]
    root = cloud.tree().instances[0]
    assert (dict(root.parameters), root.requested_state) == (PARAMETERS, "started")

    again = upgrade(cloud, NEW.name)

    assert (again["is_done"], again["steps"]) == (True, [])
    assert cloud.tree().instances[0] == root

    back = upgrade(cloud, "--back")

    assert cloud.running() == ALL_FIRST
    assert not [it for it in steps(back) if it.startswith(("push", "supply"))]
    assert back["former"] == [NEW_URL]


def test_a_dry_run_says_each_step_and_does_none(cloud: SelfHosted) -> None:
    """A computer that has the release, and no instance, gets the next one too."""
    definition = a_computer_definition(1, computer_id="COMP-spare")
    cloud.perform(calls.define_computer(definition))
    cloud.perform(calls.supply(SoftwareInstallation(FIRST, "COMP-spare")))

    document = upgrade(cloud, str(cloud.top / "release"), "--dry-run")

    names = [*(f"COMP-{it}" for it in REGIONS), "COMP-spare"]
    assert steps(document) == [
        "push",
        *(f"supply {it}" for it in names),
        *(f"wait for build {it}" for it in names),
        "request cloud",
        "wait for roll cloud",
    ]
    assert cloud.running() == ALL_FIRST
    assert not (cloud.top / "paris").exists()


def test_a_release_that_does_not_build_is_not_requested(cloud: SelfHosted) -> None:
    """The end of its log is shown; when it is mended the same command goes on."""
    cloud.broken[NEW_URL] = "collecting\nthe wheel a.whl has the digest b, not c"

    result = cloud.type("upgrade", str(cloud.top / "release"))

    assert result.exit_code == 1
    assert "has the digest b, not c" in result.stderr
    assert "Nothing was requested" in result.stderr
    assert cloud.running() == ALL_FIRST
    cloud.broken.clear()
    assert upgrade(cloud)["is_done"]


def test_a_region_that_holds_it_up_is_named_with_the_way_back(
    cloud: SelfHosted,
) -> None:
    cloud.held["lyon"] = "Promise 'disk' failed with output: 99 % are full"

    result = cloud.type("upgrade", str(cloud.top / "release"), "--timeout", "20")

    assert result.exit_code == 2
    assert "lyon on COMP-lyon: fails: Promise 'disk' failed" in result.stderr
    assert f"`slapcluster upgrade {FIRST}`" in result.stderr
    assert cloud.running()["tokyo"] == FIRST

    cloud.held.clear()
    assert upgrade(cloud, "--back")["is_done"]
    assert cloud.running() == ALL_FIRST


def test_what_cannot_be_is_refused(cloud: SelfHosted) -> None:
    for words, sentence in (
        (["f" * 64], "no replica serves release"),
        (["nonsense"], "no directory here, no fingerprint"),
        (["--back"], "No other release of the master is installed"),
        (["x", "--back"], "name none"),
    ):
        result = cloud.type("upgrade", *words)

        assert result.exit_code == 1
        assert sentence in result.stderr
    assert cloud.running() == ALL_FIRST


class Killed(BaseException):
    """The end of a command, at a call that a test chose."""


Perform = Callable[[Call], Any]


def typed(cloud: SelfHosted, wrap: Callable[[Perform], Perform]) -> Upgraded:
    """Run an upgrade of which each call to the master is wrapped."""
    release = read_release(cloud.top / "release")
    urls = tuple(cloud.urls.values())

    async def main(runtime: Runtime) -> Upgraded:
        replicas = await find_replicas(runtime, urls, "")

        async def question(master: Master) -> Upgraded:
            found = await find(master)
            wrapped = evolve(master, perform=wrap(master.perform))
            target = Target(NEW_URL, NEW.name, has_directory=True)
            upgrade = Upgrade(
                wrapped, replicas, target, release, lambda *_: None, 600.0
            )
            return await upgrade.perform(found)

        return await ask(runtime, urls, question)

    return cloud.launch(main)


CHANGING = ("supplySupply", "requestComputerPartition")


def test_killed_at_each_change_the_same_command_goes_on(cloud: SelfHosted) -> None:
    """Before the master heard of it, then before its answer came, each time."""
    is_made = True
    changed: list[str] = []

    def wrap(perform: Perform) -> Perform:
        async def mortal(call: Call) -> object:
            if call.method in CHANGING:
                if is_made:
                    await perform(call)
                changed.append(call.method)
                raise Killed
            return await perform(call)

        return mortal

    for _ in range(2 * (len(REGIONS) + 1)):
        is_made = not is_made
        with pytest.raises(Killed):
            typed(cloud, wrap)

    assert typed(cloud, lambda it: it).is_done
    assert changed[-2:] == ["requestComputerPartition"] * 2
    assert cloud.running() == ALL_NEW
    assert sorted(cloud.rolled) == sorted((it, NEW_URL) for it in REGIONS)


def test_a_master_that_is_away_now_and_then_is_asked_again(cloud: SelfHosted) -> None:
    """Calls fail before they are heard, and after."""
    chance = random.Random(1)

    def wrap(perform: Perform) -> Perform:
        async def weak(call: Call) -> object:
            if chance.random() < 0.05:
                raise Unavailable("being started")
            answer = await perform(call)
            if chance.random() < 0.05:
                raise Unavailable("stopped just now")
            return answer

        return weak

    assert typed(cloud, wrap).is_done
    assert cloud.running() == ALL_NEW
