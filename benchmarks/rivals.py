"""Masters as real processes: ours and the stock slapproxy, asked the same things."""

from __future__ import annotations

import http.client
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from attrs import define, frozen

from slap.calls import Call, HttpAnswer, HttpCall, decode_answer, encode_call
from slap.model import (
    ComputerDefinition,
    NetworkAddress,
    PartitionDefinition,
)
from tests import programs
from tests.interop.stock import stock_environment

OUR_COMMAND = "from slapcluster.cli import main; main()"
HOST = "127.0.0.1"
START_SECONDS_MAX = 30.0
ANSWER_SECONDS_MAX = 120.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """The CPU that a process has used, in steps of a tick."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user_ticks, system_ticks = int(fields[11]), int(fields[12])
    return (user_ticks + system_ticks) / TICKS_PER_SECOND


@frozen
class Rival:
    """A running master."""

    name: str
    pid: int
    port: int

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * PAGE_BYTES

    def line(self, *, is_kept: bool = True) -> Line:
        return Line(self.port, is_kept=is_kept)


@define
class Line:
    """A client; ``is_kept`` keeps its connection where the master does, too."""

    port: int
    is_kept: bool = True
    _connection: http.client.HTTPConnection | None = None

    def send(
        self, wanted: HttpCall, headers: Mapping[str, str] = MappingProxyType({})
    ) -> HttpAnswer:
        """Send a call once; its answer whatever the status."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                HOST, self.port, timeout=ANSWER_SECONDS_MAX
            )
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        path = f"/{wanted.path}"
        self._connection.request(
            wanted.verb, path, wanted.body or None, {**wanted.headers, **headers}
        )
        reply = self._connection.getresponse()
        answer = HttpAnswer(reply.status, dict(reply.getheaders()), reply.read())
        if not self.is_kept or reply.will_close:
            self.close()
        return answer

    def perform(self, call: Call) -> object:
        """Perform a call; gives its answer or raises the error of the master."""
        return decode_answer(call, self.send(encode_call(call)))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def a_definition(computer_id: str, partition_count: int) -> ComputerDefinition:
    """A computer as format describes it: one IPv4 and one IPv6 for each partition."""
    return ComputerDefinition(
        computer_id,
        "2001:db8::1",
        "ffff:ffff:ffff:ffff::",
        tuple(
            PartitionDefinition(
                f"slappart{number}",
                (
                    NetworkAddress(
                        f"slaptap{number}", f"10.0.{number // 250}.{number % 250 + 1}"
                    ),
                    NetworkAddress(f"slaptap{number}", f"2001:db8::{number + 2:x}"),
                ),
            )
            for number in range(partition_count)
        ),
    )


@contextmanager
def our_master(
    home: Path, store_uri: str | None = None, descriptors_max: int | None = None
) -> Iterator[Rival]:
    """Run our mini-master on a durable store, with few descriptors if so wished."""
    port = programs.free_port(HOST)
    uri = store_uri or f"file:{home}/ours.zodb"
    limit = [] if descriptors_max is None else ["prlimit", f"-n{descriptors_max}"]
    argv = [*limit, sys.executable, "-c", OUR_COMMAND, "proxy"]
    argv += ["--listen", f"{HOST}:{port}", "--store", uri]
    with _running("slapcluster", argv, home / "ours.log", port) as rival:
        yield rival


@contextmanager
def stock_master(home: Path, computer_id: str) -> Iterator[Rival]:
    """Run the stock slapproxy."""
    port = programs.free_port(HOST)
    configuration = home / "slapos.cfg"
    configuration.write_text(
        f"""[slapos]
master_url = http://{HOST}:{port}/
computer_id = {computer_id}
[slapproxy]
host = {HOST}
port = {port}
database_uri = {home}/proxy.db
"""
    )
    slapos = stock_environment() / "slapos"
    argv = [str(slapos), "proxy", "start", "--cfg", str(configuration)]
    with _running("slapproxy", argv, home / "slapproxy.log", port) as rival:
        yield rival


@contextmanager
def _running(name: str, argv: list[str], log: Path, port: int) -> Iterator[Rival]:
    with programs.running(argv, log) as program:
        programs.eventually(
            lambda: programs.is_listening(HOST, port), START_SECONDS_MAX, name
        )
        yield Rival(name, program.pid, port)
