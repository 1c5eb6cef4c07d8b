"""Clients that hold connections and say little, at a real mini-master."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.rivals import HOST, Rival, our_master
from slap import calls
from slap.model import Computer
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.capabilities import REFUSED
from tests.stores import store_uri_of_program

IDLE_COUNT = 10_000
WAITING_COUNT = 1_000
SPARE_DESCRIPTORS = 300
POLL = f"GET /getFullComputerInformation?computer_id={COMPUTER_ID} HTTP/1.1\r\n"

needs_descriptors = pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < IDLE_COUNT + SPARE_DESCRIPTORS,
    reason=REFUSED + f"{IDLE_COUNT} open connections of one process",
)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Rival]:
    uri = store_uri_of_program(f"file:{tmp_path}/state.zodb")
    with our_master(tmp_path, uri) as ours:
        fill(ours)
        yield ours


def fill(ours: Rival) -> None:
    line = ours.line()
    line.perform(calls.define_computer(a_computer_definition(3)))
    line.perform(calls.request_instance(an_instance_request(title="root")))
    line.close()


@contextmanager
def connections(ours: Rival, count: int) -> Iterator[list[socket.socket]]:
    """Hold connections, each accepted by the kernel at least."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE_DESCRIPTORS
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    held: list[socket.socket] = []
    try:
        held += (
            socket.create_connection((HOST, ours.port), timeout=30)
            for _ in range(count)
        )
        yield held
    finally:
        for each in held:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def poll(ours: Rival) -> None:
    """A poll and a change by somebody else, on connections of their own."""
    line = ours.line(is_kept=False)
    answer = line.perform(calls.get_computer(COMPUTER_ID))
    assert isinstance(answer, Computer)
    key = answer.partitions[0].key
    line.perform(calls.bang_instance(key, "still there"))


@needs_descriptors
def test_ten_thousand_idle_connections_keep_nobody_out(ours: Rival) -> None:
    with connections(ours, IDLE_COUNT):
        poll(ours)

        megabytes = ours.resident_bytes() / 1e6

    assert megabytes < 1_000
    poll(ours)


@needs_descriptors
def test_a_master_with_few_descriptors_ends_idle_connections_for_new_ones(
    tmp_path: Path,
) -> None:
    with our_master(tmp_path, descriptors_max=400) as ours:
        fill(ours)
        with connections(ours, 1000):
            poll(ours)


def test_slow_and_half_open_clients_disturb_nobody(ours: Rival) -> None:
    with connections(ours, 300) as held:
        for number, each in enumerate(held):
            match number % 4:
                case 0:  # half a line
                    each.sendall(b"GET /getFull")
                case 1:  # a body that never comes
                    each.sendall(
                        b"POST /supplySupply HTTP/1.1\r\nHost: ::1\r\n"
                        b"Content-Length: 100000\r\n\r\nurl="
                    )
                case 2:  # asks, and closes its side
                    each.sendall(POLL.encode() + b"\r\n")
                    each.shutdown(socket.SHUT_WR)
                case 3:  # asks, and never reads
                    each.sendall((POLL.encode() + b"\r\n") * 20)
        poll(ours)
        poll(ours)


def test_a_thousand_waiting_polls_are_all_woken_by_one_change(ours: Rival) -> None:
    line = ours.line()
    known = line.send(calls.encode_call(calls.get_computer(COMPUTER_ID)))
    line.close()
    head = (
        f"{POLL}Host: {HOST}\r\nIf-None-Match: {known.headers['ETag']}\r\n"
        "Prefer: wait=60\r\n\r\n"
    )
    with connections(ours, WAITING_COUNT) as waiting:
        for each in waiting:
            each.sendall(head.encode())

        poll(ours)  # changes the document

        statuses = {status_line(each) for each in waiting}
    assert statuses == {b"HTTP/1.1 200 OK"}
    poll(ours)


def status_line(connection: socket.socket) -> bytes:
    """The first line of an answer; what is never answered fails after 30 seconds."""
    received = b""
    while b"\r\n" not in received:
        received += connection.recv(4096)
    return received.partition(b"\r\n")[0]
