"""What an instance request costs: identical ones, and new ones of many clients."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from http import HTTPStatus
from multiprocessing import get_context
from pathlib import Path

from attrs import evolve

from benchmarks.polls import RELEASE_URL, cpu_ms, fill
from benchmarks.result import Figure, Goal, Result
from benchmarks.rivals import Line, Rival, a_definition, our_master, stock_master
from benchmarks.spread import ratios, spread_of
from slap import calls
from slap.calls import HttpCall
from slap.errors import SlapError
from slap.model import Computer, InstanceRequest

COMPUTER_ID = "COMP-1"
IDENTICAL_ROUND_COUNT = 9
IDENTICAL_COUNT = 200

ROUND_COUNT = 9
CLIENT_COUNT = 8
TITLES_PER_CLIENT = 40


def run_identical() -> Result:
    """Repeat one request, with a connection for each as stock clients do."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        our_master(Path(name)) as ours,
        stock_master(Path(name), COMPUTER_ID) as stock,
    ):
        spent: dict[str, list[float]] = {ours.name: [], stock.name: []}
        for rival in (ours, stock):
            fill(rival)
        wanted = calls.encode_call(calls.request_instance(_wanted("instance 0")))
        for _ in range(IDENTICAL_ROUND_COUNT):
            for rival in (ours, stock):
                ask = _repeat(rival.line(is_kept=False), wanted)
                spent[rival.name].append(cpu_ms(rival, IDENTICAL_COUNT, ask))
    our_figures, their_figures = spent[ours.name], spent[stock.name]
    return Result(
        "identical_requests",
        (
            Figure("slapproxy: identical request", "ms CPU", spread_of(their_figures)),
            Figure("ours: identical request", "ms CPU", spread_of(our_figures)),
        ),
        (
            Goal(
                "identical request / slapproxy",
                spread_of(ratios(our_figures, their_figures)),
                at_most=1 / 3,
            ),
        ),
    )


def _repeat(line: Line, wanted: HttpCall) -> Callable[[], None]:
    first = line.send(wanted)

    def once() -> None:
        answer = line.send(wanted)
        assert (answer.status, answer.body) == (HTTPStatus.OK, first.body)

    return once


def run_concurrent() -> Result:
    """New titles from eight client processes at once, on a durable store."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        our_master(Path(name)) as ours,
        stock_master(Path(name), COMPUTER_ID) as stock,
    ):
        rates: dict[str, list[float]] = {ours.name: [], stock.name: []}
        lost: dict[str, int] = {ours.name: 0, stock.name: 0}
        acknowledged: dict[str, int] = {ours.name: 0, stock.name: 0}
        with ProcessPoolExecutor(CLIENT_COUNT, get_context("spawn")) as clients:
            list(clients.map(abs, range(CLIENT_COUNT)))
            for number in range(ROUND_COUNT):
                for rival in (ours, stock):
                    rate, count, kept = _round(rival, clients, f"COMP-R{number}")
                    rates[rival.name].append(rate)
                    acknowledged[rival.name] += count
                    lost[rival.name] += count - kept
    return Result(
        "concurrent_allocations",
        tuple(
            Figure(f"{it}: allocations", "per second", spread_of(rates[it]))
            for it in (stock.name, ours.name)
        ),
        (
            Goal(
                "allocation rate / slapproxy",
                spread_of(
                    ratios(rates[ours.name], rates[stock.name]), larger_is_worse=False
                ),
                at_least=1.0,
            ),
            Goal("lost by ours", spread_of([lost[ours.name]]), at_most=0),
        ),
        {
            "acknowledged_ours": acknowledged[ours.name],
            "acknowledged_slapproxy": acknowledged[stock.name],
            "lost_slapproxy": lost[stock.name],
        },
    )


def _round(
    rival: Rival, clients: ProcessPoolExecutor, computer_id: str
) -> tuple[float, int, int]:
    """Fill a computer; returns the rate, what was acknowledged, and what is there."""
    line = rival.line()
    count = CLIENT_COUNT * TITLES_PER_CLIENT
    line.perform(calls.define_computer(a_definition(computer_id, count)))
    before = time.perf_counter()
    done = list(
        clients.map(
            _request_all,
            [rival.port] * CLIENT_COUNT,
            [computer_id] * CLIENT_COUNT,
            range(CLIENT_COUNT),
        )
    )
    seconds = time.perf_counter() - before
    computer = line.perform(calls.get_computer(computer_id))
    line.close()
    assert isinstance(computer, Computer)
    kept = {it.instance.title for it in computer.partitions if it.instance is not None}
    titles = [title for each in done for title in each]
    return len(titles) / seconds, len(titles), len(kept.intersection(titles))


def _request_all(port: int, computer_id: str, client: int) -> Sequence[str]:
    """Request the titles of one client; returns those that were acknowledged."""
    line = Line(port, is_kept=False)
    acknowledged = []
    for number in range(TITLES_PER_CLIENT):
        title = f"{computer_id} {client} {number}"
        wanted = evolve(
            _wanted(title), allocation_filter={"computer_guid": computer_id}
        )
        try:
            line.perform(calls.request_instance(wanted))
        except SlapError:
            continue
        acknowledged.append(title)
    return acknowledged


def _wanted(title: str) -> InstanceRequest:
    return InstanceRequest(
        title,
        RELEASE_URL,
        parameters={"greeting": "hello"},
        allocation_filter={"computer_guid": COMPUTER_ID},
    )
