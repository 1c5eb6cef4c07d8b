"""The store as a place: transactions, conflicts, files, full disks and sudden ends."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from persistent.timestamp import TimeStamp
from ZEO.Exceptions import ClientDisconnected
from ZODB.MappingStorage import MappingStorage
from ZODB.POSException import ConflictError

from master_cluster.errors import Misconfigured
from master_cluster.records import ReportedState
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from master_cluster.store.schema import ROOT_KEY
from master_cluster.store.storages import later_tid, open_database
from master_cluster.store.store import ATTEMPTS_MAX, Store
from slap.errors import NotFound, Unavailable
from tests.builders import a_computer_definition, a_partition_key, an_installation
from tests.programs import eventually, running
from tests.source_tree import TOP
from tests.unit.master_cluster.benches import StoreBench
from tests.unit.master_cluster.invariants import check_cloud


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.fs"


def test_a_file_keeps_what_was_answered(path: Path) -> None:
    before = StoreBench(f"file:{path}")
    before.format()
    root = before.request()
    before.close()

    after = StoreBench(f"file:{path}")

    assert after.request() == root
    after.close()


def test_what_is_said_again_is_not_written_again() -> None:
    bench = StoreBench()
    storage = bench.store._database.storage  # noqa: SLF001 - no other way to see

    def say_everything() -> bytes:
        bench.format()
        bench.decide(lambda it, _: decisions.supply(it, an_installation()))
        root = bench.request()
        child = bench.request("child", requester=root.key)
        bench.publish(child.key, {"url": "http://[::1]/"})
        bench.report(root.key, ReportedState.STARTED)
        last_tid: bytes = storage.lastTransaction()
        return last_tid

    assert say_everything() == say_everything()
    bench.close()


def test_a_store_of_another_layout_is_refused_in_a_sentence(path: Path) -> None:
    bench = StoreBench(f"file:{path}")
    bench.close()
    database = open_database(f"file:{path}", bench.runtime.calendar)
    with database.transaction() as connection:
        connection.root()[ROOT_KEY].layout = 1
    store = Store(database, bench.runtime)

    with pytest.raises(Misconfigured, match="layout 1; this one reads layout 2"):
        bench.world.result(store.prepare())
    store.close()


def test_two_processes_do_not_share_a_file(path: Path) -> None:
    bench = StoreBench(f"file:{path}")

    with pytest.raises(Misconfigured, match="another process uses the store"):
        open_database(f"file:{path}", bench.runtime.calendar)
    bench.close()


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("neo:cluster@somewhere:1", "is no address of NEO"),
        ("zeo:somewhere", "is not where a storage is served"),
        ("zeo:localhost:8100", "is not where a storage is served"),
        ("zeo:127.0.0.1:0", "is not where a storage is served"),
        ("tcp:somewhere", "is neither"),
        ("memory:x", "is neither"),
        ("file:", "is neither"),
        ("file:/nowhere/at/all/state.fs", "cannot be opened"),
    ],
)
def test_a_store_that_cannot_be_is_said_in_a_sentence(uri: str, sentence: str) -> None:
    bench = StoreBench()

    with pytest.raises(Misconfigured, match=sentence):
        open_database(uri, bench.runtime.calendar)


def test_a_question_writes_nothing() -> None:
    bench = StoreBench()
    bench.format()

    bench.ask(lambda cloud: cloud._stored.computers.clear())  # noqa: SLF001

    assert len(bench.computer().partitions) == 3


def test_an_error_of_a_decision_is_told_and_writes_nothing() -> None:
    bench = StoreBench()
    bench.format()

    def fail_after_a_change(cloud: Cloud, _: int) -> None:
        cloud._stored.computers.clear()  # noqa: SLF001 - to do harm
        raise NotFound("odd")

    with pytest.raises(NotFound, match="odd"):
        bench.decide(fail_after_a_change)

    assert len(bench.computer().partitions) == 3


def test_a_decision_that_meets_others_runs_again_a_bounded_number_of_times() -> None:
    bench = StoreBench()
    attempts = []

    def conflict(_: Cloud, attempt: int) -> None:
        attempts.append(attempt)
        raise ConflictError

    with pytest.raises(Unavailable) as raised:
        bench.decide(conflict)

    assert attempts == list(range(ATTEMPTS_MAX))
    assert raised.value.retry_after_seconds > 0


def test_a_store_that_stops_is_unavailable() -> None:
    bench = StoreBench()
    bench.world.result(bench.runtime.threads.stop())

    with pytest.raises(Unavailable):
        bench.ask(Cloud.computer_ids)


@contextmanager
def a_full_disk(path: Path, free_bytes: int) -> Iterator[None]:
    """Let files of this process grow no further than a little beyond ``path``.

    The kernel then refuses to write in the middle of a transaction, as it does on a
    full disk, with another number (EFBIG).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = path.stat().st_size + free_bytes
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("free_bytes", [0, 100, 1000, 10_000, 100_000])
def test_a_full_disk_refuses_and_keeps_what_was_answered(
    path: Path, free_bytes: int
) -> None:
    bench = StoreBench(f"file:{path}")
    bench.format()
    root = bench.request()

    with a_full_disk(path, free_bytes):
        for _ in range(3):
            with pytest.raises(Unavailable, match="cannot be written"):
                bench.request("big", parameters={"v": "x" * 200_000})
        same = bench.request()
    small = bench.request("small")
    bench.close()
    reopened = StoreBench(f"file:{path}")

    assert same == root
    assert [reopened.request(), reopened.request("small")] == [root, small]
    with pytest.raises(NotFound):
        reopened.ask(lambda cloud: cloud.occupant(a_partition_key(2)))
    reopened.close()


def test_a_commit_that_cannot_be_synchronised_is_refused_and_taken_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = StoreBench(f"file:{path}")
    bench.format()
    root = bench.request()
    before = path.read_bytes()

    with monkeypatch.context() as patch:
        patch.setattr(FILE_STORAGE, "fsync", fail_to_synchronise)
        for _ in range(3):
            with pytest.raises(Unavailable, match="cannot be written"):
                bench.request("refused")
            assert path.read_bytes() == before
        assert bench.request() == root
    later = bench.request("later")
    bench.close()

    reopened = StoreBench(f"file:{path}")
    assert {it.title for it in reopened.ask(Cloud.roots)} == {"root", "later"}
    assert [reopened.request(), reopened.request("later")] == [root, later]
    reopened.close()


def test_a_disk_that_takes_nothing_back_refuses_until_a_restart(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = StoreBench(f"file:{path}")
    bench.format()
    root = bench.request()

    with monkeypatch.context() as patch:
        patch.setattr(FILE_STORAGE, "fsync", fail_to_synchronise)
        patch.setattr(os, "fsync", fail_to_synchronise)
        with pytest.raises(Unavailable, match="cannot be written"):
            bench.request("refused")
    for _ in range(2):
        with pytest.raises(Unavailable, match="could not be taken back"):
            bench.request()
    bench.store.close()

    reopened = StoreBench(f"file:{path}")
    assert reopened.request() == root
    reopened.close()


FILE_STORAGE = import_module("ZODB.FileStorage.FileStorage")
"""The module; its package has a class of the same name."""


def fail_to_synchronise(_descriptor: int) -> None:
    raise OSError(errno.EIO, "no such luck")


PROGRAM = """
import sys
from tests.unit.master_cluster.benches import StoreBench

bench = StoreBench("file:" + sys.argv[1])
bench.format(500)
for number in range(500):
    bench.request(f"root {number}")
    print(number, flush=True)
"""


def test_a_store_whose_process_is_killed_opens_again_with_what_was_answered(
    path: Path,
) -> None:
    log = path.with_suffix(".log")
    environment = {"PYTHONPATH": str(TOP)}

    def answered() -> list[int]:
        complete = log.read_text().rpartition("\n")[0]
        return [int(line) for line in complete.split()]

    for life in range(1, 4):
        argv = [sys.executable, "-c", PROGRAM, str(path)]
        with running(argv, log, environment) as program:
            eventually(enough(answered, 20 * life), 60, "requests are answered")
            program.kill()
            program.wait()
        bench = StoreBench(f"file:{path}")
        bench.ask(check_cloud)
        titles = {it.title for it in bench.ask(Cloud.roots)}
        bench.close()
        assert {f"root {number}" for number in answered()} <= titles


def enough(answered: Callable[[], list[int]], count: int) -> Callable[[], bool]:
    return lambda: len(answered()) >= count


def test_ids_of_transactions_follow_the_calendar_and_never_fall(path: Path) -> None:
    for uri in ("memory:", f"file:{path}"):
        bench = StoreBench(uri)
        storage = bench.store._database.storage  # noqa: SLF001 - no other way to see
        ids = []
        for number, step in enumerate((0.0, 3600.0, -7200.0, 0.0)):
            bench.host.calendar.step(step)
            bench.world.run_for(1)
            bench.format(number)
            ids.append(storage.lastTransaction())
        bench.close()

        assert ids == sorted(set(ids))
        assert TimeStamp(ids[0]).timeTime() == pytest.approx(
            bench.now() + 3600 - 3, abs=5
        )


@given(st.floats(0, 4e9), st.floats(0, 4e9))
def test_an_id_is_later_than_the_last(last: float, now: float) -> None:
    before = later_tid(last, b"\0" * 8)

    assert later_tid(now, before) > before


def test_answers_and_decisions_say_which_transaction_they_know(path: Path) -> None:
    """A decision that writes nothing knows what was there before."""
    bench = StoreBench(f"file:{path}")
    result, store = bench.world.result, bench.store
    before = result(store.ask_dated(Cloud.computer_ids)).tid
    definition = a_computer_definition(1)
    decided = result(
        store.decide_dated(lambda it, _: decisions.define_computer(it, definition, 1.0))
    )
    nothing = result(store.decide_dated(lambda it, _: it.computer_ids()))

    assert before < decided.tid
    assert nothing.tid == decided.tid
    assert result(store.ask_dated(Cloud.computer_ids)) == nothing
    bench.close()


def test_a_commit_that_is_refused_at_its_end_is_not_decided_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a storage that knows how it ended; for others see ``test_doubt``."""
    bench = StoreBench()
    attempts = []

    def lose(*_: object) -> None:
        raise ClientDisconnected

    def decide(cloud: Cloud, attempt: int) -> None:
        attempts.append(attempt)
        decisions.define_computer(cloud, a_computer_definition(1), 1.0)

    with monkeypatch.context() as patch:
        patch.setattr(MappingStorage, "tpc_finish", lose)
        with pytest.raises(Unavailable) as raised:
            bench.decide(decide)

    assert attempts == [0]
    assert raised.value.retry_after_seconds
    bench.close()
