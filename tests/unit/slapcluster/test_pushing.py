"""`slapcluster release`: an operator sends a release to replicas, which may be away."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result

from labsim.stores import open_untold_memory
from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.service import build_service
from runtime.ports import Runtime, TcpAddress
from slap.replicas import ListedReplica
from slap.transfer import PIECE_BYTES_MAX
from slapcluster.cli import cli
from slapcluster.pushes import AtReplica, Standing
from slapcluster.session import Session
from tests.sessions import once
from tests.unit.master_cluster.releases import SmallRelease, a_release, content_of

T = TypeVar("T")

REGIONS = ("paris", "lyon", "tokyo")
SECONDS_MAX = 3_000.0

BIG = SmallRelease(
    {
        **a_release().files,
        "wheelhouse/big.whl": bytes(range(256)) * (PIECE_BYTES_MAX // 200),
    }
)


class Cloud:
    """A replica in each region, and the operator."""

    def __init__(self, top: Path) -> None:
        self.world = World(0)
        self.top = top
        self._open = open_untold_memory()
        self.urls = {}
        for region in REGIONS:
            host = self.world.host(region)
            self.urls[region] = f"http://[{host.address}]:5000"
            config = Config(
                "memory:",
                TcpAddress(host.address, 5000),
                is_loopback_only=False,
                announced=ListedReplica(self.urls[region], region),
                pushed_directory=str(self.depot(region)),
            )
            host.boot(partial(build_service, config, opening=self._open))
            self.world.run_for(1)

    def depot(self, region: str) -> Path:
        return self.top / region

    def release(self, release: SmallRelease) -> Path:
        return release.write(self.top / "release")

    def type(self, *words: str) -> Result:
        """Type a command of releases."""
        masters = [word for url in self.urls.values() for word in ("--master", url)]
        return CliRunner().invoke(
            cli,
            [*masters, "--output", "json", "release", *words],
            obj=Session(launch=once(self._launch)),
        )

    def push(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Push what was written; return the exit code and the document."""
        result = self.type("push", str(self.top / "release"), *words)
        assert result.stdout, result.output
        return result.exit_code, json.loads(result.stdout)

    def kill_in_the_middle(
        self, region: str, boot_seconds: float | None = None
    ) -> None:
        """Kill a replica when it has a part of a file."""
        host = self.world.host(region)
        clock = self.world.host("operator").runtime.clock
        if not [*self.depot(region).rglob("parts/*")]:
            clock.callLater(0.01, self.kill_in_the_middle, region, boot_seconds)
            return
        host.kill()
        if boot_seconds is not None:
            clock.callLater(boot_seconds, host.boot)

    def _launch(self, main: Callable[[Runtime], Coroutine[Any, Any, T]], /) -> T:
        runtime = self.world.host("operator").runtime
        return self.world.result(main(runtime), SECONDS_MAX)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path)
    yield cloud
    cloud.world.finish()


def whole(document: dict[str, Any]) -> set[str]:
    return {it["region"] for it in document["replicas"] if it["is_whole"]}


def test_a_release_is_everywhere_in_the_end(cloud: Cloud) -> None:
    """In pieces; a second time nothing is sent, and a dry run sends nothing at all."""
    directory = cloud.release(BIG)
    code, document = cloud.push("--dry-run")
    assert (code, whole(document), document["is_spread"]) == (0, set(), False)
    assert not cloud.depot("paris").exists()

    code, document = cloud.push()

    assert (code, document["is_spread"]) == (0, True)
    assert whole(document) == set(REGIONS)
    for region in REGIONS:
        assert content_of(cloud.depot(region) / BIG.name) == content_of(directory)
    (cloud.depot("paris") / BIG.name).touch()
    assert cloud.push() == (code, document)


def test_most_regions_are_enough_and_the_other_one_is_named(cloud: Cloud) -> None:
    cloud.release(BIG)
    cloud.world.host("lyon").kill()

    code, document = cloud.push()

    assert (code, whole(document)) == (0, {"paris", "tokyo"})
    (away,) = (it for it in document["replicas"] if it["region"] == "lyon")
    assert "no answer" in away["failure"]

    cloud.world.host("lyon").boot()
    cloud.world.run_for(1)
    assert whole(cloud.push()[1]) == set(REGIONS)


def test_one_of_three_is_not_enough(cloud: Cloud) -> None:
    """And says who lacks it; what is there stays."""
    cloud.release(a_release())
    for region in ("lyon", "tokyo"):
        cloud.depot(region).write_text("the disk is broken")

    code, document = cloud.push()

    assert (code, document["is_spread"], whole(document)) == (2, False, {"paris"})
    told = {it["region"]: it["failure"] for it in document["replicas"]}
    assert "a release is not kept" in told["lyon"]
    for region in ("lyon", "tokyo"):
        cloud.depot(region).unlink()
    assert cloud.push()[0] == 0


def test_a_push_that_is_broken_off_goes_on_where_it_was(cloud: Cloud) -> None:
    """Replicas are killed while it goes on; the bytes that came are not sent again."""
    cloud.release(BIG)
    for region in REGIONS:
        cloud.kill_in_the_middle(region)
    code, _ = cloud.push()
    assert code == 2
    assert [*cloud.depot("paris").rglob("parts/*")]

    for region in REGIONS:
        cloud.world.host(region).boot()
        cloud.world.run_for(1)
    assert cloud.push()[0] == 0
    assert set(content_of(cloud.depot("paris"))) == {
        f"{BIG.name}/{path}" for path in (*BIG.files, "SHA256SUMS", "fingerprint")
    }


def test_a_replica_that_starts_anew_meanwhile_is_waited_for(cloud: Cloud) -> None:
    cloud.release(BIG)
    cloud.kill_in_the_middle("tokyo", boot_seconds=2.0)

    assert whole(cloud.push()[1]) == set(REGIONS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda it: (it / "versions.cfg").write_text("other"), "SHA256SUMS says"),
        (lambda it: (it / "versions.cfg").unlink(), "No such file"),
        (lambda it: (it / "fingerprint").write_text("0" * 64), "make release"),
        (lambda it: (it / "SHA256SUMS").unlink(), "holds no release"),
        (lambda it: link(it / "versions.cfg"), "is a link"),
        (lambda it: link(it / "wheelhouse"), "is a link"),
    ],
)
def test_what_is_no_whole_release_is_not_sent(
    cloud: Cloud, change: Callable[[Path], object], sentence: str
) -> None:
    change(cloud.release(a_release()))

    result = cloud.type("push", str(cloud.top / "release"))

    assert result.exit_code == 1
    assert sentence in result.stderr
    assert not cloud.depot("paris").exists()


def link(path: Path) -> None:
    moved = path.with_name("elsewhere")
    path.rename(moved)
    path.symlink_to(moved)


def test_releases_are_listed_and_forgotten(cloud: Cloud) -> None:
    cloud.release(a_release())
    cloud.push()
    name = a_release().name

    listed = json.loads(cloud.type("list").stdout)["replicas"]
    assert {it["region"] for it in listed} == set(REGIONS)
    assert [it["fingerprint"] for it in listed[0]["releases"]] == [name]

    for _ in range(2):
        assert cloud.type("forget", name).exit_code == 0
    assert all(
        not it["releases"] for it in json.loads(cloud.type("list").stdout)["replicas"]
    )
    assert cloud.type("forget", "../paris").exit_code == 1


def standing(*whole_regions: str, of: tuple[str, ...] = REGIONS) -> Standing:
    return Standing(
        "f",
        2,
        9,
        tuple(AtReplica(f"u{it}", it, it in whole_regions) for it in of),
    )


@pytest.mark.parametrize(
    ("found", "is_spread"),
    [
        (standing(), False),
        (standing("paris"), False),
        (standing("paris", "lyon"), True),
        (standing("paris", of=("paris", "paris", "lyon")), False),
        (standing("paris", of=("paris",)), True),
    ],
)
def test_most_regions_have_to_have_it(found: Standing, is_spread: bool) -> None:
    assert found.is_spread is is_spread


def test_who_lacks_it_is_told_with_the_reason() -> None:
    replicas = (
        AtReplica("u1", "paris", is_whole=True),
        AtReplica("u2", "lyon", failure="no answer"),
        AtReplica("u3", "tokyo", file_count=3),
    )

    assert Standing("f", 5, 9, replicas).sentence == (
        "1 of 3 regions have it whole; not lyon: no answer; tokyo: 3 files are there"
    )
