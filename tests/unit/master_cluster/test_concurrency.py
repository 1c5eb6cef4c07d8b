"""Many clients at once: no partition is used twice, nothing acknowledged is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from pathlib import Path
from random import Random

import pytest
from twisted.internet.defer import Deferred, gatherResults

from labsim.world.world import World
from master_cluster.requesting import Refused
from master_cluster.store import decisions
from master_cluster.store.storages import open_database
from master_cluster.store.store import Store
from runtime.ports import Runtime
from runtime.real import build_runtime
from slap.errors import NotFound
from slap.model import InstanceRequest, RequestedInstance, RequestedState
from tests.builders import a_computer_definition, an_instance_request
from tests.reactor import ReactorBench
from tests.unit.master_cluster.invariants import check_cloud

PARTITION_COUNT = 40


class Clients:
    """Clients of one or several stores, with guids drawn from a stream of their own."""

    def __init__(self, runtime: Runtime, seed: int, *stores: Store) -> None:
        self.store = stores[0]
        self._turns = cycle(stores)
        self._runtime = runtime
        self._entropy = Random(seed)

    async def format(self, partitions: int = PARTITION_COUNT) -> None:
        definition = a_computer_definition(partitions)
        now = self._runtime.calendar.now()
        await self.store.decide(
            lambda it, _: decisions.define_computer(it, definition, now)
        )

    async def send(self, wanted: InstanceRequest) -> RequestedInstance | Refused:
        guid = f"SOFTINST-{self._entropy.getrandbits(96):024x}"
        now = self._runtime.calendar.now()
        return await next(self._turns).decide(
            lambda it, attempt: decisions.request_instance(
                it,
                wanted,
                instance_guid=guid,
                default_computer_id=None,
                now=now,
                attempt=attempt,
            )
        )

    async def destroy(self, title: str) -> str:
        """Request the destruction of a root and report it done."""
        wanted = an_instance_request(
            title=title, requested_state=RequestedState.DESTROYED
        )
        doomed = await self.send(wanted)
        assert isinstance(doomed, RequestedInstance)
        now = self._runtime.calendar.now()
        return await next(self._turns).decide(
            lambda it, _: decisions.report_destroyed(it, doomed.key, now)
        )


async def together(work: Sequence[Awaitable[object]]) -> list[object]:
    running = [Deferred.fromCoroutine(it) for it in work]  # type: ignore[arg-type]
    answers: list[object] = await gatherResults(running, consumeErrors=True)
    return answers


async def meet(clients: Clients) -> None:
    """Request distinct and equal titles at once, more than there are partitions."""
    await clients.format()
    titles = [f"title {number % 30}" for number in range(60)]
    titles += [f"more {number}" for number in range(20)]
    answers = await together(
        [clients.send(an_instance_request(title=it)) for it in titles]
    )

    found = {}
    for title, answer in zip(titles, answers, strict=True):
        if isinstance(answer, RequestedInstance):
            known = found.setdefault(title, answer)
            assert (answer.key, answer.instance_guid) == (
                known.key,
                known.instance_guid,
            )
        else:
            assert isinstance(answer, Refused)
            assert isinstance(answer.error, NotFound)
    assert len(found) == PARTITION_COUNT
    used = Counter(it.key for it in found.values())
    assert set(used.values()) == {1}
    await clients.store.ask(check_cloud)
    for title, answer in found.items():
        assert await clients.send(an_instance_request(title=title)) == answer


async def part(clients: Clients) -> None:
    """Destroy roots while others ask for children and shared instances in them."""
    await clients.format()
    roots = [
        await clients.send(an_instance_request(title=f"root {number}"))
        for number in range(6)
    ]
    work: list[Awaitable[object]] = []
    for number, root in enumerate(roots):
        assert isinstance(root, RequestedInstance)
        for is_shared in (False, True):
            wanted = an_instance_request(
                title=f"child {is_shared}", requester=root.key, is_shared=is_shared
            )
            work.append(survive(clients.send(wanted)))
        work.append(clients.destroy(f"root {number}"))
        wanted = an_instance_request(
            title=f"guest {number}",
            is_shared=True,
            allocation_filter={"instance_guid": root.instance_guid or ""},
        )
        work.append(survive(clients.send(wanted)))
        work.append(clients.format(PARTITION_COUNT - number))

    await together(work)

    await clients.store.ask(check_cloud)


async def survive(work: Awaitable[object]) -> None:
    """Let a requester be gone before it asks."""
    try:
        await work
    except NotFound:
        return


@pytest.mark.parametrize("scenario", [meet, part])
@pytest.mark.parametrize("seed", range(30))
def test_drawn_interleavings_keep_the_store_whole(
    scenario: Callable[[Clients], Awaitable[None]], seed: int
) -> None:
    world = World(seed, has_permuted_ties=True)
    runtime = world.host("master").runtime
    store = Store(open_database("memory:", runtime.calendar), runtime)

    async def run() -> None:
        await store.prepare()
        await scenario(Clients(runtime, seed, store))

    world.result(run(), limit_seconds=600)
    store.close()


@pytest.mark.parametrize("scenario", [meet, part])
def test_real_threads_keep_a_durable_store_whole(
    scenario: Callable[[Clients], Awaitable[None]],
    run_real: ReactorBench,
    tmp_path: Path,
) -> None:
    runtime = build_runtime(run_real.reactor)

    async def run() -> None:
        uri = f"file:{tmp_path}/state.fs"
        store = Store(open_database(uri, runtime.calendar), runtime)
        try:
            await store.prepare()
            await scenario(Clients(runtime, 0, store))
        finally:
            await runtime.threads.stop()
            store.close()

    run_real(run())


def test_two_runs_of_one_seed_are_the_same() -> None:
    def digest() -> str:
        world = World(5)
        runtime = world.host("master").runtime
        database = open_database("memory:", runtime.calendar)
        store = Store(database, runtime)

        async def run() -> None:
            await store.prepare()
            await meet(Clients(runtime, 5, store))

        world.result(run(), limit_seconds=600)
        last_tid = database.storage.lastTransaction()
        store.close()
        return f"{world.digest()} {last_tid.hex()}"

    assert digest() == digest()
