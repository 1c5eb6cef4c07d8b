"""Masters as real processes: ours and the stock slapproxy, asked the same things."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from attrs import define, evolve, frozen

from slap.calls import Call, HttpAnswer, HttpCall, decode_answer, encode_call
from slap.identities import Identity, Role
from slap.model import (
    ComputerDefinition,
    NetworkAddress,
    PartitionDefinition,
)
from tests import programs
from tests.certificates import a_region, a_root, write_identity
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
    """A running master; with a ``context`` it is asked by TLS."""

    name: str
    pid: int
    port: int
    context: ssl.SSLContext | None = None

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pid)

    def resident_bytes(self) -> int:
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * PAGE_BYTES

    def line(self, *, is_kept: bool = True) -> Line:
        return Line(self.port, is_kept, self.context)


@define
class Line:
    """A client; ``is_kept`` keeps its connection where the master does, too."""

    port: int
    is_kept: bool = True
    context: ssl.SSLContext | None = None
    _connection: http.client.HTTPConnection | None = None

    def send(
        self, wanted: HttpCall, headers: Mapping[str, str] = MappingProxyType({})
    ) -> HttpAnswer:
        """Send a call once; its answer whatever the status."""
        if self._connection is None:
            self._connection = self._new_connection()
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

    def _new_connection(self) -> http.client.HTTPConnection:
        seconds = ANSWER_SECONDS_MAX
        if self.context is None:
            return http.client.HTTPConnection(HOST, self.port, timeout=seconds)
        return http.client.HTTPSConnection(
            HOST, self.port, timeout=seconds, context=self.context
        )

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
def our_replica(home: Path, computer_id: str) -> Iterator[tuple[Rival, Rival]]:
    """Run a master with TLS; as a computer and as a person see it."""
    root = a_root()
    region = a_region(root)
    own = region.issue_to(Identity(Role.REPLICA, "lyon"))
    identity = write_identity(home / "lyon", own, root)
    contexts = []
    for who in (Identity(Role.COMPUTER, computer_id), Identity(Role.PERSON, "ada")):
        directory = write_identity(home / who.role, region.issue_to(who), root)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(directory / "root.crt")
        context.load_cert_chain(directory / "own.crt", directory / "own.key")
        contexts.append(context)
    port = programs.free_port(HOST)
    argv = [sys.executable, "-c", OUR_COMMAND, "master", "--listen", f"{HOST}:{port}"]
    argv += ["--store", f"file:{home}/replica.zodb", "--identity", str(identity)]
    with _running("slapcluster", argv, home / "replica.log", port) as rival:
        computer, person = (evolve(rival, context=it) for it in contexts)
        yield computer, person


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
