"""When the leg of a region is proved, and who is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from runtime.ports import Runtime
from runtime.real import build_runtime
from slap.errors import Unavailable
from slapcluster.hosting.banging import BANG_SECONDS
from slapcluster.hosting.judging import Judgement
from slapcluster.hosting.layout import ASKED_FILE, PROMISES, SETTLED_FILE
from slapcluster.hosting.proving import LOOK_SECONDS, have_leg_proved
from tests.reactor import ReactorBench
from tests.unit.hosting.regions import NAMES
from tests.unit.recipe.loopback_master import LoopbackMaster, serve


@define
class Region:
    """One whose promises are kept as a test says."""

    home: Path
    runtime: Runtime
    clock: Clock
    master: LoopbackMaster
    broken: set[str] = field(factory=set)
    asked: list[str] = field(factory=list)
    proving: Deferred[None] = field(factory=Deferred)

    async def check(self, _: Runtime, name: str, home: str) -> Judgement:
        assert home == str(self.home)
        self.asked.append(name)
        return Judgement(name not in self.broken, f"{name} speaks")

    def begin(self) -> None:
        proving = have_leg_proved(self.runtime, str(self.home), "7", self.check)
        self.proving = Deferred.fromCoroutine(proving)

    def look(self) -> str:
        """Let one look pass; return what is settled."""
        self.clock.advance(LOOK_SECONDS)
        file = self.home / SETTLED_FILE
        return file.read_text() if file.exists() else ""


@pytest.fixture
def region(tmp_path: Path, run_real: ReactorBench) -> Iterator[Region]:
    refusals = [Unavailable("no quorum")]

    def answer(_: object) -> None:
        if refusals:
            raise refusals.pop()

    clock = Clock()
    runtime = evolve(build_runtime(run_real.reactor), clock=clock)
    (tmp_path / "etc").mkdir()
    with serve(answer) as master:
        asked = {
            "parameters": {"regions": " ".join(NAMES), "region": "lyon", "leg": "7"},
            "connection": {
                "server_urls": master.url,
                "computer_id": "COMP-1",
                "partition_id": "slappart0",
            },
        }
        (tmp_path / ASKED_FILE).write_text(json.dumps(asked))
        yield Region(tmp_path, runtime, clock, master)


def test_promises_are_kept_three_times_before_anybody_is_told(region):
    """One look at which one is broken begins the count anew."""
    region.broken.add("lag")
    region.begin()
    assert [region.look(), region.look()] == ["", ""]
    assert region.asked == ["links", "quorum", "lag"] * 2
    region.broken.clear()
    region.look()
    region.look()
    region.broken.add("disk")
    region.look()
    region.broken.clear()
    region.asked.clear()
    assert [region.look() for _ in range(3)] == ["", "", "7\n"]
    assert region.asked == [*PROMISES] * 3

    told = [it.arguments["message"] for it in region.master.calls]
    region.clock.advance(BANG_SECONDS)
    again = [it.arguments["message"] for it in region.master.calls]
    assert told == ["the region is settled in leg 7"]
    assert again == told * 2
    region.clock.advance(BANG_SECONDS)
    assert len(region.master.calls) == 2
    assert not region.proving.called
