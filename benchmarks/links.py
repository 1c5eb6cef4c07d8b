"""What a link costs: bytes and answers through two stunnels, beside the bare socket.

Both ways end in one program, which throws bytes away and sends small messages back. The
stunnels are real, on loopback, with files that `slapcluster link apply` wrote.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.result import Figure, Goal, Result
from benchmarks.spread import ratios, spread_of
from runtime.keys import Keys
from stunnel_conf.links import Endpoint, Export, Links, Peer, Span
from stunnel_conf.pins import sign_itself
from stunnel_conf.writing import encode_links
from tests import programs
from tests.source_tree import TOP

ROUND_COUNT = 12
CHUNK = bytes(256 * 1024)
CHUNK_COUNT = 1024
"""256 MiB: half a second through a link."""

PING_COUNT = 1000
PING = b"x" * 64
CONNECTION_COUNT = 50

OUTSIDE = "::1"
SINK = """
import socket, sys, threading
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=200)
def serve(stream):
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    kind = stream.recv(1)
    if kind == b"p":
        while data := stream.recv(64):
            stream.sendall(data)
    buffer = bytearray(1 << 20)
    while stream.recv_into(buffer):
        pass
    if kind == b"t":
        stream.sendall(b"all")
    stream.close()
while True:
    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()
"""
"""Of a connection, the first byte says what it is for."""


def run() -> Result:
    with (
        tempfile.TemporaryDirectory(prefix="bench-links-") as name,
        ExitStack() as held,
    ):
        bare, linked = _start(Path(name), held)
        taken: dict[str, dict[str, list[float]]] = {}
        for number in range(ROUND_COUNT):
            ways = [("bare", bare), ("link", linked)]
            # Who is first changes, as does what the machine does besides.
            for way, place in ways if number % 2 else reversed(ways):
                for what, measure in MEASURES.items():
                    found = taken.setdefault(what, {}).setdefault(way, [])
                    found.append(measure(place))
    return _result(taken)


def _result(taken: dict[str, dict[str, list[float]]]) -> Result:
    figures, goals = [], []
    for what, unit, is_rate in (
        ("one stream", "Gbit/s", True),
        ("64 bytes and back", "us", False),
        ("new connections", "per second", True),
    ):
        found = taken[what]
        for way, measured in found.items():
            spread = spread_of(measured, larger_is_worse=not is_rate)
            figures.append(Figure(f"{way}: {what}", unit, spread))
        quotients = ratios(found["link"], found["bare"])
        spread = spread_of(quotients, larger_is_worse=not is_rate)
        goals.append(Goal(f"{what}: link / bare", spread))
    return Result("links", tuple(figures), tuple(goals), {})


def _throughput(place: tuple[str, int]) -> float:
    with _open(place, b"t") as stream:
        begun = _now()
        for _ in range(CHUNK_COUNT):
            stream.sendall(CHUNK)
        stream.shutdown(socket.SHUT_WR)
        assert stream.recv(3) == b"all"
        return CHUNK_COUNT * len(CHUNK) * 8 / (_now() - begun) / 1e9


def _latency(place: tuple[str, int]) -> float:
    times = []
    with _open(place, b"p") as stream:
        for _ in range(PING_COUNT):
            begun = _now()
            stream.sendall(PING)
            stream.recv(len(PING), socket.MSG_WAITALL)
            times.append(_now() - begun)
    return median(times) * 1e6


def _connections(place: tuple[str, int]) -> float:
    begun = _now()
    for _ in range(CONNECTION_COUNT):
        with _open(place, b"p") as stream:
            stream.sendall(PING)
            stream.recv(len(PING), socket.MSG_WAITALL)
    return CONNECTION_COUNT / (_now() - begun)


MEASURES: dict[str, Callable[[tuple[str, int]], float]] = {
    "one stream": _throughput,
    "64 bytes and back": _latency,
    "new connections": _connections,
}


def _open(place: tuple[str, int], kind: bytes) -> socket.socket:
    stream = socket.create_connection(place, timeout=60)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.sendall(kind)
    return stream


def _now() -> float:
    return time.perf_counter()


def _start(home: Path, held: ExitStack) -> tuple[tuple[str, int], tuple[str, int]]:
    """Return where the program is, and where the near end of its link is."""
    bare = ("127.0.0.1", programs.free_port())
    outside, entry = programs.free_port(OUTSIDE), programs.free_port()
    argv = (sys.executable, "-c", SINK, str(bare[1]))
    held.enter_context(programs.running(argv, home / "sink.log"))
    span = Span("127.0.0.1", entry, entry)
    export = Export("sink", outside, Endpoint(*bare), frozenset(["near"]))
    far = Links("far", OUTSIDE, "far.pem", span, (export,), (_peer("near", {}),))
    near = Links(
        "near", OUTSIDE, "near.pem", span, (), (_peer("far", {"sink": outside}),)
    )
    for name in ("far", "near"):
        key = Keys().new_private_key()
        now = time.time()  # noqa: TID251 - of this computer
        certificate = sign_itself(name, key, now, days=2)
        (home / f"{name}.pem").write_text(key + certificate)
        (home / f"{name}.crt").write_text(certificate)
    for links in (far, near):
        file, place = home / f"{links.name}.toml", home / links.name
        file.write_text(encode_links(links))
        command = (str(TOP / "bin" / "slapcluster"), "--output", "json", "link")
        done = programs.run((*command, "apply", str(file), "--home", str(place)))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["is_running"] is False
        stunnel = ("stunnel", str(place / "stunnel.conf"))
        held.enter_context(programs.running(stunnel, home / f"{links.name}.out"))
    linked = ("127.0.0.1", entry)
    programs.eventually(lambda: _latency(linked) > 0, 10, "the link answers")
    return bare, linked


def _peer(name: str, reaches: dict[str, int]) -> Peer:
    return Peer(name, OUTSIDE, (f"{name}.crt",), reaches)
