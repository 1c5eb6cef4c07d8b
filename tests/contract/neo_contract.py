"""What a neo_cluster of three regions does, simulated or of real processes.

A scenario is a function of a bench. The model plays all of them in each build, real
processes as a part of `make test-neo`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

REGIONS = (1, 2, 3)
COMMITS = 10
COUNTS = 10

GOES_ON_SECONDS_MAX = 60.0
WHOLE_SECONDS_MAX = 120.0
EQUAL_SECONDS_MAX = 30.0

ON_ITS_WAY_SECONDS = 2.0
"""What was on its way when a fault began is acknowledged within that."""

ALONE_SECONDS = 20.0
"""More than a silence and an election: whoever could go on would."""


class Client(Protocol):
    """Commits one number after the other, and never stops."""

    @property
    def backwards_count(self) -> int:
        """How often it missed what it had been told, or its last tid did not grow."""

    def acknowledged(self) -> list[tuple[float, int]]:
        """When, and which number."""

    def missing(self) -> int | None:
        """The first number up to the last acknowledged that a new client misses."""


class NeoBench(Protocol):
    """Three regions, each with a neo_master and a storage node."""

    def now(self) -> float:
        """The clock of ``Client.acknowledged``."""

    def rest(self, seconds: float) -> None:
        """Let time pass."""

    def wait_until(
        self, condition: Callable[[], object], seconds_max: float, what: str
    ) -> None:
        """Let time pass until a condition holds; fail when it never does."""

    def begin_client(self, region: int, key: str) -> Client:
        """Let a client of that region commit numbers below ``key``."""

    def end_clients(self) -> None:
        """Stop all clients."""

    def count_together(self, key: str, times: int) -> int:
        """Let two clients count in one object at once; return what it has then."""

    def primary_region(self) -> int | None:
        """Where the primary is."""

    def kill(self, region: int, *, neo_master: bool, storage_node: bool) -> None:
        """End programs of a region without a word."""

    def start(self, region: int, *, neo_master: bool, storage_node: bool) -> None:
        """Start them again."""

    def cut_off(self, region: int) -> None:
        """Drop all between this region and the others."""

    def join(self, region: int) -> None:
        """Undo that."""

    def is_whole(self) -> bool:
        """Whether all are there and all copies complete."""

    def are_copies_equal(self) -> bool:
        """Whether all storage nodes have the same transactions."""


def wait_for_commits(bench: NeoBench, client: Client) -> None:
    """Wait until a client is acknowledged some more, not only what was on its way."""
    since = bench.now() + ON_ITS_WAY_SECONDS
    bench.wait_until(
        lambda: sum(at > since for at, _ in client.acknowledged()) >= COMMITS,
        GOES_ON_SECONDS_MAX,
        "commits go on",
    )


def primary_of(bench: NeoBench) -> int:
    region = bench.primary_region()
    assert region is not None, "there is no primary"
    return region


@contextmanager
def whole_in_the_end(bench: NeoBench, *clients: Client) -> Iterator[None]:
    """Clients commit before and after; nothing acknowledged is missing then."""
    for client in clients:
        wait_for_commits(bench, client)
    yield
    bench.wait_until(bench.is_whole, WHOLE_SECONDS_MAX, "all copies")
    for client in clients:
        wait_for_commits(bench, client)
    bench.end_clients()
    for client in clients:
        assert client.missing() is None
        assert not client.backwards_count
    bench.wait_until(bench.are_copies_equal, EQUAL_SECONDS_MAX, "equal copies")


def a_commit_is_seen_by_another_client(bench: NeoBench) -> None:
    client = bench.begin_client(1, "seen")
    wait_for_commits(bench, client)
    bench.end_clients()
    assert client.missing() is None
    assert not client.backwards_count


def who_meets_another_counts_again(bench: NeoBench) -> None:
    assert bench.count_together("together", COUNTS) == 2 * COUNTS


def it_goes_on_without_its_primary(bench: NeoBench) -> None:
    region = primary_of(bench)
    client = bench.begin_client(region % len(REGIONS) + 1, "primary")
    with whole_in_the_end(bench, client):
        bench.kill(region, neo_master=True, storage_node=False)
        wait_for_commits(bench, client)
        assert bench.primary_region() != region
        bench.start(region, neo_master=True, storage_node=False)


def it_goes_on_without_a_storage_node(bench: NeoBench) -> None:
    client = bench.begin_client(1, "storage")
    with whole_in_the_end(bench, client):
        bench.kill(3, neo_master=False, storage_node=True)
        wait_for_commits(bench, client)
        assert not bench.is_whole()
        bench.start(3, neo_master=False, storage_node=True)


def it_goes_on_without_the_region_of_its_primary(bench: NeoBench) -> None:
    region = primary_of(bench)
    client = bench.begin_client(region % len(REGIONS) + 1, "region")
    with whole_in_the_end(bench, client):
        bench.kill(region, neo_master=True, storage_node=True)
        wait_for_commits(bench, client)
        bench.start(region, neo_master=True, storage_node=True)


def a_region_alone_acknowledges_nothing(bench: NeoBench) -> None:
    region = primary_of(bench)
    client = bench.begin_client(region % len(REGIONS) + 1, "majority")
    lonely = bench.begin_client(region, "alone")
    with whole_in_the_end(bench, client, lonely):
        bench.cut_off(region)
        begun = bench.now() + ON_ITS_WAY_SECONDS
        wait_for_commits(bench, client)
        bench.rest(ALONE_SECONDS)
        assert [at for at, _ in lonely.acknowledged() if at > begun] == []
        bench.join(region)


def one_of_three_acknowledges_nothing(bench: NeoBench) -> None:
    client = bench.begin_client(1, "two-away")
    with whole_in_the_end(bench, client):
        for region in (2, 3):
            bench.kill(region, neo_master=True, storage_node=True)
        begun = bench.now() + ON_ITS_WAY_SECONDS
        bench.rest(ALONE_SECONDS)
        assert [at for at, _ in client.acknowledged() if at > begun] == []
        bench.start(2, neo_master=True, storage_node=True)
        wait_for_commits(bench, client)
        bench.start(3, neo_master=True, storage_node=True)


SCENARIOS: Mapping[str, Callable[[NeoBench], None]] = {
    scenario.__name__: scenario
    for scenario in (
        a_commit_is_seen_by_another_client,
        who_meets_another_counts_again,
        it_goes_on_without_its_primary,
        it_goes_on_without_a_storage_node,
        it_goes_on_without_the_region_of_its_primary,
        a_region_alone_acknowledges_nothing,
        one_of_three_acknowledges_nothing,
    )
}
