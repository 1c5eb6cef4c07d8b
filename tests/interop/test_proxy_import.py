"""The state of a real reference proxy, taken over while it runs and told again."""

from __future__ import annotations

import contextlib
import json
import subprocess  # noqa: TID251 - its timeout is what the bound of a wait raises
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import evolve

from slap import calls
from slap.model import Computer, Partition, PartitionKey, RequestedState
from tests import programs
from tests.interop.proxy_state import (
    OTHER_RELEASE,
    RELEASE,
    Perform,
    live,
    performer,
    request,
)
from tests.interop.stock import stock_environment
from tests.interop.stock_cloud import OUR_COMMAND, write_stock_configuration

START_SECONDS_MAX = 20

COMPUTERS = ("local", "other")


@contextmanager
def reference_proxy(cfg: Path, port: int, home: Path) -> Iterator[Perform]:
    slapos = str(stock_environment() / "slapos")
    argv = [slapos, "proxy", "start", "--cfg", str(cfg)]
    with programs.running(argv, home / "reference.log"):
        programs.eventually(
            lambda: programs.is_listening("127.0.0.1", port),
            START_SECONDS_MAX,
            "the reference proxy",
        )
        yield performer(f"http://127.0.0.1:{port}/")


@contextmanager
def our_proxy(store_uri: str, home: Path) -> Iterator[Perform]:
    port = programs.free_port()
    argv = [
        *(sys.executable, "-c", OUR_COMMAND, "proxy", "--store", store_uri),
        *("--listen", f"127.0.0.1:{port}", "--computer-id", "local"),
    ]
    with programs.running(argv, home / "ours.log"):
        programs.eventually(
            lambda: programs.is_listening("127.0.0.1", port),
            START_SECONDS_MAX,
            "our mini-master",
        )
        yield performer(f"http://127.0.0.1:{port}/")


def imported(database: Path, *options: str) -> str:
    done = programs.run(
        [
            *(sys.executable, "-c", OUR_COMMAND, "--output", "json", "proxy", "import"),
            *("--slapproxy-database", str(database), *options),
        ]
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def polls(perform: Perform) -> list[Computer]:
    """What the nodes are told, without what decision page 14 says differs."""
    return [comparable(perform(calls.get_computer(it))) for it in COMPUTERS]


def comparable(computer: object) -> Computer:
    assert isinstance(computer, Computer)
    partitions = [comparable_partition(it) for it in computer.partitions]
    return evolve(computer, partitions=tuple(partitions))


def comparable_partition(partition: Partition) -> Partition:
    instance = partition.instance
    if instance is None:
        # The proxy tells of no address of a free partition.
        return evolve(partition, addresses=())
    shared = sorted(
        (evolve(it, title="", timestamp=None) for it in instance.shared_instances),
        key=lambda it: it.reference,
    )
    return evolve(
        partition,
        instance=evolve(instance, shared_instances=tuple(shared), access_status=None),
    )


@pytest.fixture
def reference(tmp_path: Path) -> Iterator[tuple[Perform, Path, Path]]:
    """A reference proxy with a life behind it, typed and called."""
    port = programs.free_port()
    cfg = write_stock_configuration(tmp_path, f"http://127.0.0.1:{port}/", port)
    with reference_proxy(cfg, port, tmp_path) as perform:
        live(perform)
        slapos = str(stock_environment() / "slapos")
        typed = ("request", "--cfg", str(cfg), "typed", RELEASE)
        done = programs.run([slapos, *typed, "--parameters", "greeting=hé"])
        assert done.returncode == 0, done.stderr
        yield perform, tmp_path / "proxy.db", cfg


def test_nodes_are_told_the_same_by_our_master(
    reference: tuple[Perform, Path, Path], tmp_path: Path
) -> None:
    """Partitions, states, parameters, timestamps, what is published: all equal."""
    perform, database, _ = reference
    told = polls(perform)
    store_uri = f"file:{tmp_path}/state.zodb"

    imported(database, "--dry-run")
    imported(database, "--store", store_uri)

    with our_proxy(store_uri, tmp_path) as ours:
        assert polls(ours) == told
        root, kid = (PartitionKey("local", f"slappart{it}") for it in range(2))
        request(ours, "first", parameters={"greeting": 'hé & <b> "x"', "b": "2"})
        request(
            ours,
            "kid",
            OTHER_RELEASE,
            requester=root,
            software_type="small",
            requested_state=RequestedState.STOPPED,
        )
        request(
            ours,
            "front_end",
            requester=kid,
            is_shared=True,
            parameters={"domain": "front_end.invalid"},
        )
        assert polls(ours) == told, "who asks for the same again wakes nobody"


def test_the_import_left_the_proxy_as_it_was(
    reference: tuple[Perform, Path, Path], tmp_path: Path
) -> None:
    """It runs on, and writes on."""
    perform, database, _ = reference
    before = database.read_bytes()

    imported(database, "--store", f"file:{tmp_path}/state.zodb")

    assert database.read_bytes() == before
    perform(calls.bang_instance(PartitionKey("local", "slappart0"), "again"))
    assert database.read_bytes() != before


def test_an_import_that_is_killed_is_whole_or_absent(
    reference: tuple[Perform, Path, Path], tmp_path: Path
) -> None:
    """Killed at any moment and repeated, it is there once."""
    _, database, _ = reference
    store_uri = f"file:{tmp_path}/state.zodb"
    argv = [
        *(sys.executable, "-c", OUR_COMMAND, "proxy", "import"),
        *("--slapproxy-database", str(database), "--store", store_uri),
    ]
    for delay_seconds in (0.3, 0.6, 0.8, 1.0, 1.2):
        with programs.running(argv, tmp_path / "killed.log") as program:
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(delay_seconds)
            program.kill()

    written = [json.loads(imported(database, "--store", store_uri))["is_written"]]
    written += [json.loads(imported(database, "--store", store_uri))["is_written"]]

    assert written[1] is False
    with our_proxy(store_uri, tmp_path) as ours:
        titles = [it.instance.title for it in polls(ours)[0].partitions if it.instance]
    assert titles == ["first", "kid", "grandkid", "dying", "typed"]
