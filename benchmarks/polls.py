"""What a poll costs: the document of a computer of 100 busy partitions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from benchmarks.result import Figure, Goal, Result
from benchmarks.rivals import Line, Rival, a_definition, our_master, stock_master
from benchmarks.spread import ratios, spread_of
from slap import calls
from slap.model import InstanceRequest, PartitionKey, SoftwareInstallation

COMPUTER_ID = "COMP-1"
PARTITION_COUNT = 100
RELEASE_URL = "http://release.invalid/software.cfg"
ROUND_COUNT = 9

STOCK_POLL_COUNT = 15
OUR_POLL_COUNT = 600
OUR_CONDITIONAL_COUNT = 2500
"""A round is long enough for the ticks of the kernel: some hundred milliseconds."""

PARAMETERS: Mapping[str, str] = MappingProxyType(
    {f"parameter-{number}": f"value {number} of some length" for number in range(8)}
)


def fill(rival: Rival, partition_count: int = PARTITION_COUNT) -> None:
    """Make every partition of the computer busy, with parameters both ways."""
    line = rival.line()
    line.perform(calls.define_computer(a_definition(COMPUTER_ID, partition_count)))
    line.perform(calls.supply(SoftwareInstallation(RELEASE_URL, COMPUTER_ID)))
    for number in range(partition_count):
        line.perform(calls.request_instance(_wanted(number)))
        line.perform(
            calls.publish_connection(
                PartitionKey(COMPUTER_ID, f"slappart{number}"), PARAMETERS
            )
        )
    line.close()


def _wanted(number: int) -> InstanceRequest:
    return InstanceRequest(
        f"instance {number}",
        RELEASE_URL,
        parameters=PARAMETERS,
        allocation_filter={"computer_guid": COMPUTER_ID},
    )


def cpu_ms(rival: Rival, count: int, ask: Callable[[], None]) -> float:
    """Return the CPU of the master for each of ``count`` questions."""
    before = rival.cpu_seconds()
    for _ in range(count):
        ask()
    return (rival.cpu_seconds() - before) / count * 1000


def run() -> Result:
    """Poll both masters in turns.

    Stock nodes open a connection for each poll; our agent keeps one.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        our_master(Path(name)) as ours,
        stock_master(Path(name), COMPUTER_ID) as stock,
    ):
        for rival in (ours, stock):
            fill(rival)
        return _measure(ours, stock)


def _measure(ours: Rival, stock: Rival) -> Result:
    poll = calls.encode_call(calls.get_computer(COMPUTER_ID))
    fresh, kept = ours.line(is_kept=False), ours.line()
    theirs = stock.line(is_kept=False)
    first = kept.send(poll)
    condition = {"If-None-Match": first.headers["ETag"]}
    stock_bytes = len(theirs.send(poll).body)

    def ask(line: Line, status: int, headers: Mapping[str, str]) -> Callable[[], None]:
        def once() -> None:
            answer = line.send(poll, headers)
            assert answer.status == status, answer

        return once

    whole, conditional, whole_kept, conditional_kept, peer = [], [], [], [], []
    for _ in range(ROUND_COUNT):
        peer.append(cpu_ms(stock, STOCK_POLL_COUNT, ask(theirs, 200, {})))
        whole.append(cpu_ms(ours, OUR_POLL_COUNT, ask(fresh, 200, {})))
        conditional.append(
            cpu_ms(ours, OUR_CONDITIONAL_COUNT, ask(fresh, 304, condition))
        )
        whole_kept.append(cpu_ms(ours, OUR_POLL_COUNT, ask(kept, 200, {})))
        conditional_kept.append(
            cpu_ms(ours, OUR_CONDITIONAL_COUNT, ask(kept, 304, condition))
        )
    kept.close()
    rows = (
        ("poll, new connection", whole, 1 / 20),
        ("poll, kept connection", whole_kept, 1 / 20),
        ("conditional poll, new connection", conditional, None),
        ("conditional poll, kept connection", conditional_kept, 1 / 100),
    )
    return Result(
        "polls",
        (
            Figure("slapproxy: poll", "ms CPU", spread_of(peer)),
            *(Figure(f"ours: {name}", "ms CPU", spread_of(it)) for name, it, _ in rows),
        ),
        tuple(
            Goal(f"{name} / slapproxy", spread_of(ratios(it, peer)), at_most=goal)
            for name, it, goal in rows
        ),
        {"document_bytes": len(first.body), "slapproxy_document_bytes": stock_bytes},
    )
