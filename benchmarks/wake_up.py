"""How soon a change at one replica wakes a poll at another, and what idle polls cost.

Two masters on a real NEO of this computer: what is measured is the work, not the way to
another region. Of idle polls each has a connection of its own, as that of an agent.
"""

from __future__ import annotations

import resource
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.result import Figure, Goal, Result
from benchmarks.rivals import Rival, our_master
from benchmarks.spread import Spread, spread_of
from tests import programs
from tests.neo_port.test_cluster import NAME, NeoCluster
from tests.neo_port.wakes import Replica, wake_seconds
from tests.source_tree import TOP

WAKES = 200
WAKE_MS_MAX = 1000.0

FLEET = 1000
IDLE_SECONDS = 10
ROUND_COUNT = 3
SETTLING_SECONDS = 3


def run() -> Result:
    """Wake polls one after the other; then let a thousand of them wait."""
    with tempfile.TemporaryDirectory(prefix="bench-wake-") as name, ExitStack() as it:
        home = Path(name)
        neo = NeoCluster(home, TOP / "bin", it)
        uri = f"neo:{NAME}@{neo.master_nodes.replace(' ', ',')}"
        rivals = []
        for number in range(2):
            place = home / str(number)
            place.mkdir()
            rivals.append(it.enter_context(our_master(place, uri)))
        one, other = (Replica(rival.port) for rival in rivals)
        wakes = spread_of(
            [1000 * seconds for seconds in wake_seconds(one, other, WAKES)]
        )
        alone = _idle(rivals[1], other, 0, 0)
        silent = _idle(rivals[1], other, FLEET, 0)
        signing = _idle(rivals[1], other, FLEET, 1)
    return Result(
        "wake_up",
        (
            Figure("from a commit to a woken poll at another replica", "ms", wakes),
            Figure("CPU of a replica without polls", "% of a core", alone),
            Figure(f"with {FLEET:,} that wait, without signs", "% of a core", silent),
            Figure(f"with {FLEET:,}, a sign a second each", "% of a core", signing),
        ),
        (Goal("from a commit to a woken poll, ms", wakes, at_most=WAKE_MS_MAX),),
        {"wakes": WAKES, "worst ms": wakes.worst},
    )


def _idle(rival: Rival, replica: Replica, count: int, sign_seconds: int) -> Spread:
    """CPU while so many polls wait for nothing, in parts of a hundred of a core."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, 4 * FLEET), limit))
    etag = replica.etag()
    waiting = [replica.begin_waiting(etag, sign_seconds) for _ in range(count)]
    _rest(SETTLING_SECONDS)
    rounds = []
    for _ in range(ROUND_COUNT):
        begun = rival.cpu_seconds()
        _rest(IDLE_SECONDS)
        rounds.append(100 * (rival.cpu_seconds() - begun) / IDLE_SECONDS)
    for it in waiting:
        it.close()
    return spread_of(rounds)


def _rest(seconds: int) -> None:
    programs.run(["sleep", str(seconds)])
