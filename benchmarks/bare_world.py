"""How fast simulated time passes: calls of the clock, and packets between hosts.

Each figure is beside that of a bare ``heapq`` loop of the same run, so that it says
something on a machine that does other things too.
"""

from __future__ import annotations

import gc
import heapq
import time
from collections.abc import Callable
from random import Random

from benchmarks.result import Figure, Goal, Result
from benchmarks.spread import ratios, spread_of
from labsim.world.world import World

HOST_COUNT = 500
PACKETS_PER_SECOND = 8
"""Of each host: the shape that other simulators were measured with."""

EVENTS = HOST_COUNT * 400
"""A round is some hundred milliseconds, long enough for the ticks of the kernel."""

WORLD_SECONDS = EVENTS / HOST_COUNT / PACKETS_PER_SECOND
ROUND_COUNT = 9
PACKET_BYTES = 200

Work = Callable[[], int]
"""What is measured, of something that was built before; gives the number of events."""


def run() -> Result:
    """Measure the loop, timers and packets in turns."""
    loops, timers, packets = [], [], []
    for seed in range(ROUND_COUNT):
        loops.append(bare_loop_rate(seed))
        timers.append(_rate(_timers(seed)))
        packets.append(_rate(_packets(seed)))
    per_second = HOST_COUNT * PACKETS_PER_SECOND
    times = [rate / per_second for rate in packets]
    return Result(
        "bare_world",
        (
            _figure("bare heapq loop", "events/s", loops),
            _figure("timers of 500 hosts", "events/s", timers),
            _figure("packets between 500 hosts", "packets/s", packets),
        ),
        (
            _goal("timers / bare loop", ratios(timers, loops), 1 / 5),
            _goal("packets / bare loop", ratios(packets, loops), 1 / 5),
            _goal("real time, 500 hosts x 8 packets/s", times, 100),
        ),
    )


def bare_loop_rate(seed: int) -> float:
    """Events for each second of CPU of a loop that only pops, makes and pushes."""
    return _rate(_bare_loop(seed))


def _figure(name: str, unit: str, figures: list[float]) -> Figure:
    return Figure(name, unit, spread_of(figures, larger_is_worse=False))


def _goal(name: str, figures: list[float], least: float) -> Goal:
    return Goal(name, spread_of(figures, larger_is_worse=False), at_least=least)


def _rate(work: Work) -> float:
    """Return events for each second of CPU."""
    gc.collect()
    gc.freeze()
    before = time.process_time()
    count = work()
    spent = time.process_time() - before
    gc.unfreeze()
    return count / spent


def _bare_loop(seed: int) -> Work:
    """Pop a call, make it, push its successor: what no simulator goes below."""
    draw = Random(seed).random
    heap: list[tuple[float, int, Callable[[], None]]] = []
    count = 0

    def call() -> None:
        nonlocal count
        count += 1

    heap += [(draw(), number, call) for number in range(HOST_COUNT)]
    heapq.heapify(heap)

    def work() -> int:
        number = HOST_COUNT
        while count < EVENTS:
            due, _, made = heapq.heappop(heap)
            made()
            number += 1
            heapq.heappush(heap, (due + draw(), number, made))
        return count

    return work


def _timers(seed: int) -> Work:
    """Count calls of production's clocks, as services make them."""
    world = World(seed)
    count = 0
    for number in range(HOST_COUNT):
        host = world.host(f"host {number}")
        clock, draw = host.runtime.clock, host.runtime.entropy.random

        def tick(call_later: Callable[..., object] = clock.callLater) -> None:
            nonlocal count
            count += 1
            call_later(1.0, tick, call_later)

        clock.callLater(draw(), tick, clock.callLater)

    def work() -> int:
        world.run_for(EVENTS / HOST_COUNT)
        return count

    return work


def _packets(seed: int) -> Work:
    """Count packets that arrive; each host sends one to each of eight others."""
    world = World(seed)
    hosts = [world.host(f"host {number}") for number in range(HOST_COUNT)]
    draw = world.entropy("packets").random
    ways = [
        [
            world.network.way(
                host.name, hosts[(number + 1 + other * 7) % HOST_COUNT].name
            )
            for other in range(PACKETS_PER_SECOND)
        ]
        for number, host in enumerate(hosts)
    ]
    count = 0
    send = world.network.send

    def hear() -> None:
        nonlocal count
        count += 1

    def tick(number: int) -> None:
        for way in ways[number]:
            send(way, PACKET_BYTES, hear)
        world.clock.call_at(world.clock.now + 1.0, tick, number)

    for number in range(HOST_COUNT):
        world.clock.call_at(draw(), tick, number)

    def work() -> int:
        world.run_for(WORLD_SECONDS)
        return count

    return work
