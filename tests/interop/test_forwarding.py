"""Our master forwards to the stock slapproxy, and the stock slapproxy to ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from attrs import frozen

from slap import calls
from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.errors import NotFound, OtherMasterAway
from slap.model import InstanceRequest, PartitionKey, RequestedState
from tests import programs
from tests.builders import a_computer_definition, an_instance_request
from tests.interop.stock import stock_environment

OURS = [sys.executable, "-c", "from slapcluster.cli import main; main()", "proxy"]


@frozen
class Proxy:
    """A running mini-master, ours or the stock one, with a computer of its name."""

    url: str

    def ask(self, call: Call):
        return decode_answer(call, self.send(call))

    def send(self, call: Call) -> HttpAnswer:
        http = encode_call(call)
        body = http.body if http.verb == "POST" else None
        wanted = Request(self.url + http.path, body, dict(http.headers))
        try:
            with urlopen(wanted, timeout=50) as reply:
                return HttpAnswer(reply.status, dict(reply.headers), reply.read())
        except HTTPError as error:
            return HttpAnswer(error.code, dict(error.headers), error.read())

    def request(self, wanted: InstanceRequest):
        return self.ask(calls.request_instance(wanted))


@contextmanager
def running(
    home: Path, name: str, argv: list[str], port: int, sections: str = ""
) -> Iterator[Proxy]:
    url = f"http://127.0.0.1:{port}/"
    cfg = home / f"{name}.cfg"
    cfg.write_text(
        f"[slapos]\nmaster_url = {url}\ncomputer_id = {name}\n"
        f"[slapproxy]\nhost = 127.0.0.1\nport = {port}\n"
        f"database_uri = {home}/{name}.db\n{sections}"
    )
    with programs.running([*argv, "--cfg", str(cfg)], home / f"{name}.log"):
        programs.eventually(
            lambda: programs.is_listening("127.0.0.1", port), 30, f"the proxy {name}"
        )
        proxy = Proxy(url)
        proxy.ask(calls.define_computer(a_computer_definition(4, computer_id=name)))
        yield proxy


def stock() -> list[str]:
    return [str(stock_environment() / "slapos"), "proxy", "start"]


@contextmanager
def two(home: Path, near: list[str], far: list[str]) -> Iterator[tuple[Proxy, Proxy]]:
    """A proxy that knows another one, and that one."""
    port, far_port = programs.free_port(), programs.free_port()
    # The stock one fails over a section without a list.
    section = (
        f"[multimaster/http://127.0.0.1:{far_port}/]\n"
        "software_release_list =\n  http://release.invalid/listed.cfg\n"
    )
    with (
        running(home, "far", far, far_port) as there,
        running(home, "near", near, port, section) as here,
    ):
        yield here, there


LISTED = an_instance_request(
    title="front", software_release_url="http://release.invalid/listed.cfg"
)


def wanted_at(far: Proxy, **overrides) -> InstanceRequest:
    fields = {
        "title": "my_db",
        "parameters": {"size": "3"},
        "allocation_filter": {"master_url": far.url},
    }
    return an_instance_request(**{**fields, **overrides})


def test_ours_forwards_to_the_stock_one(tmp_path: Path) -> None:
    """By filter and by release; published there, seen here; destroyed there."""
    with two(tmp_path, OURS, stock()) as (near, far):
        there = near.request(wanted_at(far))
        front = near.request(LISTED)
        far.ask(calls.publish_connection(there.key, {"url": "http://[fd00::9]/"}))
        again = near.request(wanted_at(far))
        leaving = near.request(wanted_at(far, requested_state=RequestedState.DESTROYED))
        partition = far.ask(calls.get_partition(there.key))
        nowhere = {"master_url": far.url, "computer_guid": "nowhere"}
        with pytest.raises(NotFound, match="answers"):
            near.request(wanted_at(far, title="x", allocation_filter=nowhere))

    assert there.key == PartitionKey("far", "slappart0")
    assert front.key == PartitionKey("far", "slappart1")
    assert again.connection_parameters == {"url": "http://[fd00::9]/"}
    assert leaving.key == there.key
    assert partition.requested_state is RequestedState.DESTROYED
    assert partition.instance.title == "user_my_db"


def test_the_stock_one_forwards_to_ours(tmp_path: Path) -> None:
    """Its own answer has another class then: the texts in it are what is compared."""
    destroyed = RequestedState.DESTROYED
    with two(tmp_path, stock(), OURS) as (near, far):
        first = near.send(calls.request_instance(wanted_at(far)))
        front = near.send(calls.request_instance(LISTED))
        tree = far.ask(calls.get_tree_report("user_my_db"))
        place = tree.instances[0].partition
        far.ask(calls.publish_connection(place, {"url": "http://[fd00::9]/"}))
        again = near.send(calls.request_instance(wanted_at(far)))
        near.send(calls.request_instance(wanted_at(far, requested_state=destroyed)))
        cloud = far.ask(calls.get_cloud_report())

    assert (first.status, front.status, again.status) == (200, 200, 200)
    assert f"<string>{place.partition_id}</string>".encode() in first.body
    assert b"http://[fd00::9]/" in again.body
    assert [(it.title, it.requested_state) for it in cloud.trees] == [
        ("user_front", "started"),
        ("user_my_db", "destroyed"),
    ]


@pytest.mark.parametrize("argv", [OURS, None], ids=["ours", "stock"])
def test_a_master_that_is_away_is_523(argv: list[str] | None, tmp_path: Path) -> None:
    away = f"http://127.0.0.1:{programs.free_port()}/"
    section = f"[multimaster/{away}]\nsoftware_release_list = none\n"
    port = programs.free_port()

    with (
        running(tmp_path, "near", argv or stock(), port, section) as near,
        pytest.raises(OtherMasterAway),
    ):
        near.request(an_instance_request(allocation_filter={"master_url": away}))
