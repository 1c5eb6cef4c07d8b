"""Releases are pushed to a replica, by whoever may, and served by their names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from master_cluster.pushed_releases import RELEASES_KEPT_MAX
from slap import calls
from slap.errors import BadRequest, Forbidden, Refusal, Unavailable
from slap.model import SoftwareInstallation
from slap.pushing import HeldRelease, ReleasesReport
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.unit.master_cluster.benches import WebBench
from tests.unit.master_cluster.releases import (
    SmallRelease,
    a_release,
    push_by_calls,
)
from tests.unit.master_cluster.test_guarding import (
    COMPUTER,
    HOME,
    PERSON,
    SERVING,
    TlsBench,
)

ONE = a_release()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[WebBench]:
    own = a_release("own").write(tmp_path / "own")
    bench = WebBench(
        release_directory=str(own), pushed_directory=str(tmp_path / "depot")
    )
    bench.perform(calls.define_computer(a_computer_definition(1)))
    yield bench
    bench.close()


def fetch(bench: WebBench, release: SmallRelease, path: str) -> bytes | int:
    reply = bench.send("GET", f"release/{release.name}/{path}")
    return reply.body if reply.status == 200 else reply.status


def url_of(release: SmallRelease) -> str:
    return f"http://127.0.0.1:5000/release/{release.name}/software/hello/software.cfg"


def test_a_pushed_release_is_served_by_its_name_alone(bench: WebBench) -> None:
    """The bare address goes on to be that of the release which the replica runs."""
    wheel = "wheelhouse/a+ours.1.whl"
    bare = bench.send("GET", f"release/{wheel}").body
    bench.perform(calls.offer_release(ONE.offer))
    assert fetch(bench, ONE, wheel) == 404

    assert push_by_calls(bench.perform, ONE).is_whole

    assert fetch(bench, ONE, wheel) == ONE.files[wheel]
    assert fetch(bench, ONE, "SHA256SUMS") == ONE.sums.encode()
    profile = fetch(bench, ONE, "wheelhouse.cfg")
    assert isinstance(profile, bytes)
    assert f"release/{ONE.name}/wheelhouse/".encode() in profile
    assert fetch(bench, ONE, "../../../own/fingerprint") == 404
    assert bench.send("GET", f"release/{wheel}").body == bare != ONE.files[wheel]


def test_a_replica_tells_what_it_has(bench: WebBench) -> None:
    own = a_release("own")
    push_by_calls(bench.perform, ONE)
    bench.perform(calls.offer_release(a_release("two").offer))

    report = bench.perform(calls.get_releases_held())

    assert isinstance(report, ReleasesReport)
    assert report.is_taking
    assert {it.fingerprint: (it.is_whole, it.is_run) for it in report.releases} == {
        own.name: (True, True),
        ONE.name: (True, False),
        a_release("two").name: (False, False),
    }


def test_what_a_replica_runs_from_needs_no_pushing(bench: WebBench) -> None:
    held = bench.perform(calls.offer_release(a_release("own").offer))

    assert held == HeldRelease(a_release("own").name, is_whole=True, is_run=True)


def test_a_release_that_is_supplied_is_not_forgotten(bench: WebBench) -> None:
    push_by_calls(bench.perform, ONE)
    bench.perform(calls.supply(SoftwareInstallation(url_of(ONE), COMPUTER_ID)))

    with pytest.raises(Refusal, match="stays until"):
        bench.perform(calls.forget_release(ONE.name))
    assert fetch(bench, ONE, "versions.cfg") == ONE.files["versions.cfg"]


def test_a_release_that_nobody_names_is_forgotten(bench: WebBench) -> None:
    push_by_calls(bench.perform, ONE)

    for _ in range(2):
        bench.perform(calls.forget_release(ONE.name))

    assert fetch(bench, ONE, "versions.cfg") == 404
    with pytest.raises(BadRequest):
        bench.perform(calls.forget_release("../depot"))


def test_a_new_release_takes_the_room_of_one_that_nobody_has(bench: WebBench) -> None:
    """One is supplied, one is that of an instance."""
    releases = [a_release(f"number {it}") for it in range(RELEASES_KEPT_MAX)]
    for it in releases:
        push_by_calls(bench.perform, it)
    supplied, requested, *_ = releases
    bench.perform(calls.supply(SoftwareInstallation(url_of(supplied), COMPUTER_ID)))
    wanted = an_instance_request(software_release_url=url_of(requested))
    bench.perform(calls.request_instance(wanted))

    for number in range(3):
        assert push_by_calls(bench.perform, a_release(f"new {number}")).is_whole

    for it in (supplied, requested):
        assert fetch(bench, it, "versions.cfg") == it.files["versions.cfg"]
    report = bench.perform(calls.get_releases_held())
    assert isinstance(report, ReleasesReport)
    assert len([it for it in report.releases if not it.is_run]) == RELEASES_KEPT_MAX


def test_a_mini_master_takes_none() -> None:
    bench = WebBench()

    with pytest.raises(Refusal, match="--pushed-releases"):
        bench.perform(calls.offer_release(ONE.offer))

    assert bench.perform(calls.get_releases_held()) == ReleasesReport(is_taking=False)
    bench.close()


def test_persons_alone_push_by_calls(tmp_path: Path) -> None:
    """Everybody reads."""
    bench = TlsBench(
        identity_directory=HOME, has_tls=True, pushed_directory=str(tmp_path)
    )
    for who in (None, COMPUTER, SERVING):
        for call in (
            calls.get_releases_held(),
            calls.offer_release(ONE.offer),
            calls.receive_release(ONE.piece("versions.cfg", 0)),
            calls.forget_release(ONE.name),
        ):
            with pytest.raises(Forbidden):
                bench.call(who, call)
    assert list(tmp_path.iterdir()) == []

    assert push_by_calls(lambda it: bench.call(PERSON, it), ONE).is_whole

    reply = bench.ask(None, "GET", f"release/{ONE.name}/versions.cfg")
    assert reply.body == ONE.files["versions.cfg"]
    bench.close()


def test_a_disk_that_fails_is_said(bench: WebBench, tmp_path: Path) -> None:
    (tmp_path / "depot").write_text("a file is where the directory would be")

    with pytest.raises(Unavailable, match="a release is not kept"):
        bench.perform(calls.offer_release(ONE.offer))
