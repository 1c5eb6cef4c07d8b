"""The contract of a neo_cluster on three regions of real processes.

    python -m tests.neo_port.run_contract HOME [SCENARIO ...]

To be run by root of a namespace: see ``three_regions.APART``.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

from tests import programs
from tests.contract.neo_contract import GOES_ON_SECONDS_MAX, SCENARIOS
from tests.interop.stock import neo_environment
from tests.neo_port.faults import Committing, digest_of
from tests.neo_port.three_regions import (
    PROBE_SECONDS,
    REGIONS,
    ThreeRegions,
    Way,
    heal,
    make_networks,
    sever,
)


class ProcessBench:
    """Three regions in networks of their own."""

    def __init__(self, regions: ThreeRegions) -> None:
        self._regions = regions
        self._clients = ExitStack()
        self._numbers = count()

    def now(self) -> float:
        return time.monotonic()  # noqa: TID251 - the clock of the committers

    def rest(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: TID251 - what must not happen is waited for

    def wait_until(
        self, condition: Callable[[], object], seconds_max: float, what: str
    ) -> None:
        programs.eventually(condition, seconds_max, what, PROBE_SECONDS)

    def begin_client(self, region: int, key: str) -> Committing:
        client = Committing(self._regions, region, 0, key)
        self._clients.enter_context(client.running())
        programs.eventually(client.acknowledged, GOES_ON_SECONDS_MAX, "a commit")
        return client

    def end_clients(self) -> None:
        self._clients.close()

    def count_together(self, key: str, times: int) -> int:
        both = [
            Committing(self._regions, region, next(self._numbers), key)
            for region in (1, 2)
        ]
        with ExitStack() as running:
            for client in both:
                argv = client.argv(f"count-{times}")
                running.enter_context(programs.running(argv, client.log))
            for client in both:
                self.wait_until(
                    partial(_has_counted, client.log), GOES_ON_SECONDS_MAX, "counted"
                )
        done = programs.run(
            both[0].argv("count-0"), timeout_seconds=GOES_ON_SECONDS_MAX
        )
        return int(done.stdout.split()[-1])

    def primary_region(self) -> int | None:
        return self._regions.primary_region()

    def kill(self, region: int, *, neo_master: bool, storage_node: bool) -> None:
        if neo_master:
            self._regions.neo_masters[region].send_signal(signal.SIGKILL)
        if storage_node:
            self._regions.storages[region].send_signal(signal.SIGKILL)

    def start(self, region: int, *, neo_master: bool, storage_node: bool) -> None:
        if neo_master:
            self._regions.start_neo_master(region)
        if storage_node:
            self._regions.start_storage(region)

    def cut_off(self, region: int) -> None:
        sever(_ways(region))

    def join(self, region: int) -> None:
        heal(_ways(region))

    def is_whole(self) -> bool:
        return self._regions.is_whole()

    def are_copies_equal(self) -> bool:
        return len({digest_of(self._regions.database(it)) for it in REGIONS}) == 1


def _ways(region: int) -> list[tuple[int, int]]:
    others = [it for it in REGIONS if it != region]
    return [way for it in others for way in ((it, region), (region, it))]


def _has_counted(log: Path) -> bool:
    return "counted" in log.read_text()


def main() -> None:
    home, *names = sys.argv[1:]
    environment = neo_environment()
    make_networks()
    with ExitStack() as stack:
        regions = ThreeRegions(Path(home), environment, stack, Way.DIRECT)
        for name in names or SCENARIOS:
            begun = time.monotonic()  # noqa: TID251
            bench = ProcessBench(regions)
            try:
                SCENARIOS[name](bench)
            finally:
                bench.end_clients()
            seconds = time.monotonic() - begun  # noqa: TID251
            sys.stdout.write(f"{name} {seconds:.1f} s\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
