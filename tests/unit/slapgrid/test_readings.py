"""What was consumed between two readings."""

from __future__ import annotations

import random

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from slapgrid.collecting.measures import Measure
from slapgrid.collecting.readings import (
    COMPUTER,
    Consumption,
    ProcessReading,
    Reading,
    adopt,
    compare,
)

SUPERVISORD = 1


def a_process(pid: int = 10, *, own: int = 0, children: int = 0, **fields: int):
    """A process of slappart0, supervisord's child, that started after ten seconds."""
    return ProcessReading(
        pid,
        fields.get("started", 1000),
        fields.get("parent", SUPERVISORD),
        "slappart0",
        own,
        children,
        fields.get("read", 0),
        fields.get("written", 0),
    )


def a_reading(*processes: ProcessReading, uptime: float = 60.0, boot: str = "b"):
    return Reading(boot, uptime, processes)


def cpu_seconds(before: Reading | None, after: Reading) -> float:
    used = compare(before, after).amounts.get("slappart0", {})
    return used.get(Measure.CPU_SECONDS, 0.0)


def test_the_first_reading_ever_says_nothing() -> None:
    assert compare(None, a_reading(a_process(own=900))) == Consumption()


def test_a_process_consumed_what_it_grew() -> None:
    before = a_reading(a_process(own=100, read=10, written=20))
    after = a_reading(a_process(own=250, read=15, written=20), uptime=120)

    assert compare(before, after) == Consumption(
        60.0,
        {
            "slappart0": {
                Measure.CPU_SECONDS: 1.5,
                Measure.READ_BYTES: 5,
                Measure.WRITTEN_BYTES: 0,
            }
        },
    )


def test_a_process_that_began_since_consumed_everything_it_has() -> None:
    after = a_reading(a_process(own=100, children=50, started=7000), uptime=120)

    assert cpu_seconds(a_reading(), after) == 1.5


def test_a_process_that_was_overlooked_begins_when_it_is_seen() -> None:
    after = a_reading(a_process(own=100, started=200), uptime=120)

    assert cpu_seconds(a_reading(), after) == 0


def test_a_recycled_number_is_another_process() -> None:
    before = a_reading(a_process(own=5000))
    after = a_reading(a_process(own=30, started=9000), uptime=120)

    assert cpu_seconds(before, after) == 0.3


def test_a_child_that_ended_counts_once() -> None:
    """It had 400 ticks, and 100 more until its parent waited for it."""
    before = a_reading(a_process(own=100), a_process(11, own=400, parent=10))
    after = a_reading(a_process(own=110, children=500), uptime=120)

    assert cpu_seconds(before, after) == 1.1


def test_a_grandchild_counts_once_too() -> None:
    before = a_reading(
        a_process(), a_process(11, own=40, parent=10), a_process(12, own=60, parent=11)
    )
    after = a_reading(a_process(children=100), uptime=120)

    assert cpu_seconds(before, after) == 0


def test_nothing_is_taken_back_when_a_parent_ignores_its_children() -> None:
    before = a_reading(a_process(own=100), a_process(11, own=400, parent=10))
    after = a_reading(a_process(own=130), uptime=120)

    assert cpu_seconds(before, after) == 0.3


def test_after_another_boot_everything_was_consumed() -> None:
    before = a_reading(a_process(own=9000), uptime=5000)
    after = a_reading(a_process(own=70), uptime=90, boot="c")

    assert compare(before, after).elapsed_seconds == 90
    assert cpu_seconds(before, after) == 0.7


def test_a_counter_that_went_down_began_again() -> None:
    key = (COMPUTER, Measure.SENT_BYTES)
    other = ("slappart0", Measure.SENT_BYTES)
    before = Reading("b", 60, counters={key: 500})
    after = Reading("b", 120, counters={key: 80, other: 7})

    assert compare(before, after).amounts == {
        COMPUTER: {Measure.SENT_BYTES: 80},
        "slappart0": {Measure.SENT_BYTES: 7},
    }


def test_a_child_that_does_not_say_whose_it_is_goes_with_its_parent() -> None:
    unknown = ProcessReading(11, 0, 10, "")
    found = adopt((unknown, a_process(), ProcessReading(12, 0, 1, "")))

    assert {each.pid: each.partition_id for each in found} == {
        10: "slappart0",
        11: "slappart0",
    }


@define
class _Living:
    """A process of a small kernel, which waits for its children or leaves them."""

    pid: int
    parent: int
    started: int
    own: int = 0
    children: int = 0


@define
class SmallKernel:
    """Processes that begin, work and end at random; ``truth`` is what they worked."""

    entropy: random.Random
    is_waited_for: bool
    ticks: int = 1000
    truth: int = 0
    last_pid: int = 10
    living: dict[int, _Living] = field(factory=lambda: {10: _Living(10, 1, 1000)})

    def step(self) -> None:
        self.ticks += 1
        pid = self.entropy.choice(sorted(self.living))
        match self.entropy.randrange(3):
            case 0:
                worked = self.entropy.randrange(100)
                self.living[pid].own += worked
                self.truth += worked
            case 1:
                self.last_pid += 1
                self.living[self.last_pid] = _Living(self.last_pid, pid, self.ticks)
            case _ if pid != 10:
                self._end(pid)

    def _end(self, pid: int) -> None:
        gone = self.living.pop(pid)
        for child in self.living.values():
            if child.parent == pid:
                child.parent = 1
        parent = self.living.get(gone.parent)
        if parent is not None and self.is_waited_for:
            parent.children += gone.own + gone.children

    def read(self) -> Reading:
        return Reading(
            "boot",
            self.ticks / 100,
            tuple(
                ProcessReading(
                    it.pid, it.started, it.parent, "slappart0", it.own, it.children
                )
                for it in self.living.values()
            ),
        )


@given(st.randoms(use_true_random=False), st.booleans())
def test_nobody_pays_more_than_was_consumed(
    entropy: random.Random, is_waited_for: bool
) -> None:
    """Whatever begins and ends between readings; and a steady process pays all."""
    kernel = SmallKernel(entropy, is_waited_for)
    before, counted = kernel.read(), 0.0
    for _ in range(20):
        for _ in range(entropy.randrange(8)):
            kernel.step()
        after = kernel.read()
        counted += cpu_seconds(before, after)
        before = after

    assert counted <= kernel.truth / 100 + 1e-9
    assert counted >= kernel.living[10].own / 100 - 1e-9
