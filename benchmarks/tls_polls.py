"""What mutual TLS costs a master: the same polls with and without, in one run."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.polls import COMPUTER_ID, cpu_ms, fill
from benchmarks.result import Figure, Goal, Result
from benchmarks.rivals import HOST, Rival, our_master, our_replica
from benchmarks.spread import ratios, spread_of
from slap import calls

ROUND_COUNT = 9
KEPT_COUNT = 1500
NEW_COUNT = 300
HANDSHAKE_COUNT = 300
"""A round is long enough for the ticks of the kernel: some hundred milliseconds."""


def run() -> Result:
    """Poll a mini-master and a replica with TLS in turns, as one computer.

    A poll is conditional and finds nothing new, as most do. Rates are those of one
    processor that does nothing else: the client has another one.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        our_master(Path(name)) as plain,
        our_replica(Path(name), COMPUTER_ID) as (secure, person),
    ):
        for rival in (plain, person):
            fill(rival)
        return _measure(plain, secure)


def _asking(rival: Rival, *, is_kept: bool) -> Callable[[], None]:
    line = rival.line(is_kept=is_kept)
    poll = calls.encode_call(calls.get_computer(COMPUTER_ID))
    condition = {"If-None-Match": line.send(poll).headers["ETag"]}

    def ask() -> None:
        answer = line.send(poll, condition)
        assert answer.status == 304, answer  # noqa: PLR2004 - not modified

    return ask


def _shake(rival: Rival) -> None:
    assert rival.context is not None
    with (
        socket.create_connection((HOST, rival.port)) as raw,
        rival.context.wrap_socket(raw) as wrapped,
    ):
        # The server has verified us when it has answered something.
        wrapped.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert wrapped.recv(1)


def _measure(plain: Rival, secure: Rival) -> Result:
    kept, new = (
        [_asking(it, is_kept=kept) for it in (plain, secure)] for kept in (True, False)
    )
    rows: dict[str, list[float]] = {}
    for _ in range(ROUND_COUNT):
        for name, rival, count, ask in (
            ("kept connection, plain", plain, KEPT_COUNT, kept[0]),
            ("kept connection, TLS", secure, KEPT_COUNT, kept[1]),
            ("new connection, plain", plain, NEW_COUNT, new[0]),
            ("new connection, TLS", secure, NEW_COUNT, new[1]),
            ("handshake", secure, HANDSHAKE_COUNT, lambda: _shake(secure)),
        ):
            rows.setdefault(name, []).append(cpu_ms(rival, count, ask))
    figures = [
        Figure(name, "ms CPU", spread_of(values)) for name, values in rows.items()
    ]
    figures += [
        Figure(
            f"{name}, of one processor",
            "per second",
            spread_of([1000 / it for it in values], larger_is_worse=False),
        )
        for name, values in rows.items()
    ]
    return Result(
        "tls_polls",
        tuple(figures),
        (
            Goal(
                "poll, kept connection: TLS / plain",
                spread_of(
                    ratios(rows["kept connection, TLS"], rows["kept connection, plain"])
                ),
                at_most=2.0,
            ),
            Goal(
                "poll, new connection: TLS / plain",
                spread_of(
                    ratios(rows["new connection, TLS"], rows["new connection, plain"])
                ),
            ),
        ),
    )
