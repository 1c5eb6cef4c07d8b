"""A new history begins in the file of a state, and ends what was of the old master."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from ZODB.DB import DB

from master_cluster.errors import Unusable
from master_cluster.records import ReportedState
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from master_cluster.store.content import verify
from master_cluster.store.restoring import COPIED
from master_cluster.store.storages import open_file
from master_cluster.store.succeeding import (
    LeftCloud,
    Succession,
    begin_history,
    look_at,
)
from master_cluster.succeeding import CloudHistory, check_name, follow, number_of
from master_cluster.transferring import decide_freeze
from slap.errors import Unavailable
from slap.model import PartitionKey, RequestedState
from slap.replicas import ListedReplica
from slap.transfer import Standing
from tests.unit.master_cluster.benches import StoreBench

RELEASE_PATH = "/software/master-cluster/software.cfg"
RELEASE = f"http://127.0.0.1:5000/release/abc{RELEASE_PATH}"
OLD = ListedReplica("https://[2001:db8:1::2]:20003", "paris")
FIRST = ListedReplica("https://[2001:db8:1::1]:5443", "mini-master")
SUCCESSION = Succession("again", "backup.fs", FIRST, RELEASE_PATH, frozenset({"one"}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The state of a cloud with two computers, its master and a service on each."""
    path = tmp_path / "state.fs"
    bench = StoreBench(f"file:{path}")
    for number, title in ((1, "one"), (2, "two")):
        bench.format(3, f"COMP-{number}")
        bench.decide(
            lambda it, _, number=number, title=title: it.certificates.set_title(
                f"COMP-{number}", title
            )
        )
    bench.decide(lambda it, _: it.replicas.announce(OLD))
    for title, url, computer_id in (
        ("cloud", RELEASE, "COMP-1"),
        ("wiki", "http://[::1]/wiki.cfg", "COMP-1"),
        ("mail", "http://[::1]/mail.cfg", "COMP-2"),
    ):
        bench.request(
            title,
            software_release_url=url,
            allocation_filter={"computer_guid": computer_id},
        )
    root = bench.ask(lambda it: it.root("cloud"))
    assert root is not None
    bench.request(
        "lyon",
        software_release_url=RELEASE,
        requester=root.partition,
        allocation_filter={"computer_guid": "COMP-2"},
    )
    bench.close()
    return path


@pytest.fixture
def recovered(path: Path) -> Iterator[StoreBench]:
    """The same after a new history began in it."""
    begin_history(path, StoreBench(seed=1).runtime.calendar, SUCCESSION)
    bench = StoreBench(f"file:{path}", seed=2)
    yield bench
    bench.close()


def watch(done: int, total: int) -> None:
    assert done <= total


def look(path: Path) -> LeftCloud:
    return look_at(path, RELEASE_PATH)


def test_a_state_says_of_which_cloud_it_is(path: Path) -> None:
    before = path.read_bytes()

    left = look(path)

    assert (left.histories, verify(path, watch).history) == ((), 1)
    assert left.replicas == (OLD,)
    assert (left.masters, left.services) == (("cloud",), ("mail", "wiki"))
    assert [(it.computer_id, it.title, it.services) for it in left.computers] == [
        ("COMP-1", "one", ("cloud", "wiki")),
        ("COMP-2", "two", ("cloud", "mail")),
    ]
    assert left.last_tid == verify(path, watch).last_transaction
    assert path.read_bytes() == before


def test_a_new_history_follows_the_one_that_was_recovered(path: Path) -> None:
    last = look(path).last_tid
    calendar = StoreBench(seed=1).runtime.calendar

    begun = begin_history(path, calendar, SUCCESSION)
    again = begin_history(path, calendar, evolve(SUCCESSION, name="third"))

    assert begun == CloudHistory(2, "again", calendar.now(), last, "backup.fs")
    assert (again.number, again.name) == (3, "third")
    assert look(path).histories == (begun, again)
    assert verify(path, watch).history == again.number


def test_nobody_is_told_of_the_replicas_that_were(recovered: StoreBench) -> None:
    assert recovered.ask(lambda it: it.replicas.list()) == (FIRST,)


def test_the_old_master_is_to_be_destroyed_and_services_go_on(
    recovered: StoreBench,
) -> None:
    states = {
        it.title: it.requested_state for it in recovered.ask(lambda c: [*c.instances()])
    }

    destroyed, started = RequestedState.DESTROYED, RequestedState.STARTED
    assert states == {
        "cloud": destroyed,
        "lyon": destroyed,
        "wiki": started,
        "mail": started,
    }


def test_nothing_is_placed_on_a_computer_before_it_is_back(
    recovered: StoreBench,
) -> None:
    def busy(cloud: Cloud) -> list[str]:
        occupants = (it.occupant_guid for it in cloud.partitions("COMP-2"))
        found = (cloud.find_instance(it) for it in occupants)
        return sorted(it.title if it else "" for it in found)

    assert recovered.ask(busy) == ["lyon", "mail"]
    assert recovered.ask(lambda it: len(it.partition_ids("COMP-1"))) == 3
    recovered.format(3, "COMP-2")
    assert recovered.ask(busy) == ["", "lyon", "mail"]


def test_the_old_master_goes_as_its_computers_report(recovered: StoreBench) -> None:
    trees = recovered.ask(lambda it: [x for x in it.instances() if x.title != "wiki"])
    places = {it.title: it.partition for it in trees}

    def report(partition: PartitionKey) -> str:
        return recovered.decide(
            lambda it, _: decisions.report_destroyed(it, partition, recovered.now())
        )

    assert "child partitions: lyon" in report(places["cloud"])
    assert report(places["lyon"]) == "OK"
    assert report(places["cloud"]) == "OK"
    assert [it.title for it in recovered.ask(Cloud.roots)] == ["mail", "wiki"]


def test_a_state_that_was_frozen_is_open_in_its_new_history(path: Path) -> None:
    bench = StoreBench(f"file:{path}", seed=1)
    bench.decide(lambda it, _: it.standing.write(decide_freeze(it.standing.read())))
    with pytest.raises(Unavailable, match="is being moved"):
        bench.report(
            bench.ask(lambda it: it.roots()[0].partition), ReportedState.STARTED
        )
    bench.close()

    begin_history(path, bench.runtime.calendar, SUCCESSION)

    bench = StoreBench(f"file:{path}", seed=2)
    assert bench.ask(lambda it: it.standing.read()).standing is Standing.OPEN
    bench.request("another")
    bench.close()


def test_a_copy_that_was_never_opened_is_no_state(path: Path) -> None:
    database = DB(open_file(str(path), StoreBench().runtime.calendar))
    with database.transaction() as connection:
        connection.root()._p_changed = True  # noqa: SLF001 - of persistence
        written = connection.transaction_manager.get()
        written.setExtendedInfo(*next(iter(COPIED.items())))
    database.close()

    with pytest.raises(Unusable, match="was never opened"):
        look(path)


def test_one_that_is_empty_is_no_state(tmp_path: Path) -> None:
    path = tmp_path / "empty.fs"
    open_file(str(path), StoreBench().runtime.calendar).close()

    with pytest.raises(Unusable, match="no state of a master"):
        look(path)


SECOND = follow((), name="cloud-2", now=5.0, follows_tid="0" * 16, source="x")


@pytest.mark.parametrize(
    ("name", "titles", "free"),
    [
        ("new", ("cloud", "wiki"), ""),
        ("cloud", ("cloud", "wiki"), "cloud-3"),
        ("wiki", ("cloud", "wiki"), "wiki-3"),
        # That of a history is taken when its service is long gone.
        ("cloud-2", (), "cloud-2-3"),
        ("cloud", ("cloud", "cloud-3", "cloud-4"), "cloud-5"),
    ],
)
def test_a_name_is_not_used_again(
    name: str, titles: tuple[str, ...], free: str
) -> None:
    told = check_name(name, SECOND, titles)

    assert (f'"{free}"' in told) if free else told == ""
    assert number_of(()) == 1
    assert number_of(SECOND) == 2
