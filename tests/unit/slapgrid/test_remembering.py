"""Partitions are read again when a file of theirs changed, and only then."""

from __future__ import annotations

from labsim.world.world import World
from slapgrid.convergence.views import LocalPartition
from slapgrid.instance.remembering import UNSETTLED_SECONDS, PartitionMemory


class Bench:
    """A partition whose readings are counted; a reading is named by its number."""

    def __init__(self) -> None:
        self.world = World(seed=1)
        self.runtime = self.world.host("alone").runtime
        self.tree = self.runtime.file_tree("/srv")
        self.tree.make_directory("slappart0/etc/plugin")
        self.memory = PartitionMemory(self.tree)
        self.reading_count = 0

    def observe(self, *, later_seconds: float = 0.0) -> str | None:
        now = self.runtime.calendar.now() + later_seconds
        return self.memory.observe("slappart0", now, self._read).timestamp

    def settle(self) -> None:
        self.world.run_for(UNSETTLED_SECONDS + 1)

    def _read(self) -> LocalPartition:
        self.reading_count += 1
        return LocalPartition("slappart0", timestamp=str(self.reading_count))


def test_what_is_unchanged_is_not_read_again() -> None:
    bench = Bench()
    bench.settle()

    assert [bench.observe(), bench.observe(), bench.observe()] == ["1", "1", "1"]


def test_what_changed_just_now_is_not_remembered() -> None:
    """It may change again with the same date."""
    bench = Bench()

    assert [bench.observe(), bench.observe()] == ["1", "2"]


def test_every_change_of_a_file_is_seen() -> None:
    """Written, made, removed, below and at the top; of the same size too."""
    bench = Bench()
    changes = (
        lambda: bench.tree.write("slappart0/.timestamp", b"1"),
        lambda: bench.tree.write("slappart0/.timestamp", b"2"),
        lambda: bench.tree.write("slappart0/etc/plugin/a.py", b""),
        lambda: bench.tree.remove("slappart0/etc/plugin/a.py"),
        lambda: bench.tree.make_directory("slappart0/.slapgrid/promise/cache"),
        lambda: bench.tree.change("slappart0", mode=0o700),
    )
    readings = []
    for change in changes:
        bench.settle()
        readings.append(bench.observe())
        change()
    bench.settle()
    readings.append(bench.observe())

    assert readings == ["1", "2", "3", "4", "5", "6", "7"]


def test_what_programs_log_is_no_change() -> None:
    bench = Bench()
    bench.settle()
    before = bench.observe()
    bench.tree.write("slappart0/.slappart0_service.log", b"noise")
    # The log is the only entry that changed.
    bench.settle()

    assert (before, bench.observe()) == ("1", "1")


def test_a_calendar_that_was_set_back_makes_everything_be_read_again() -> None:
    bench = Bench()
    bench.settle()
    bench.settle()

    assert [bench.observe(), bench.observe(later_seconds=-2.0)] == ["1", "2"]
