"""What a reference proxy kept is taken over whole, or not at all.

The databases of ``reference_databases`` were filled by proxies of slapos.core 1.6.0,
1.7.0, 1.16.0, 1.25.0 and 1.26.1 with the calls of ``tests/interop/proxy_state.py``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from master_cluster.forwarding import remote_title
from master_cluster.store.takeover import take_over
from master_cluster.takeover.database import read_database
from master_cluster.takeover.deciding import Takeover, decide_takeover
from master_cluster.takeover.tables import TakeoverRefused
from slap import calls
from slap.model import (
    Partition,
    PartitionKey,
    RequestedState,
    SharedInstance,
    SoftwareInstallation,
    SupplyState,
)
from slap.reports import TreeReport
from tests.unit.master_cluster.benches import StoreBench, WebBench

FOLDER = Path(__file__).with_name("reference_databases")
VERSIONS = (14, 15, 16, 17, 18)
RELEASE = "http://release.invalid/software.cfg"
OTHER_RELEASE = "http://release.invalid/other.cfg"

Fill = Callable[..., Path]


@pytest.fixture
def fill(tmp_path: Path) -> Fill:
    """Make a database of a version, changed by statements."""

    def filled(version: int, *statements: str) -> Path:
        path = tmp_path / "proxy.db"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript((FOLDER / f"version{version}.sql").read_text())
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return path

    return filled


@pytest.fixture
def bench() -> Iterator[StoreBench]:
    bench = StoreBench()
    yield bench
    bench.close()


def decided(path: Path) -> Takeover:
    return decide_takeover(read_database(path), now=2_000_000_000.0)


def taken(bench: StoreBench, path: Path) -> bool:
    takeover = decided(path)
    return bench.decide(lambda cloud, _: take_over(cloud, takeover, bench.now()))


def timestamp_of(path: Path, partition_id: str, computer_id: str = "local") -> str:
    """What the proxy tells a node, out of the database itself."""
    (table,) = (it.table for it in read_database(path).of("partition")[:1])
    with closing(sqlite3.connect(path)) as connection:
        ((timestamp,),) = connection.execute(
            f"SELECT timestamp FROM {table}"
            " WHERE reference = ? AND computer_reference = ?",
            (partition_id, computer_id),
        )
    return str(timestamp)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_computer_is_told_what_the_proxy_told_it(
    bench: StoreBench, fill: Fill, version: int
) -> None:
    path = fill(version)

    assert taken(bench, path)

    computer = bench.computer("local")
    assert computer.installations == (
        SoftwareInstallation(RELEASE, "local"),
        SoftwareInstallation(OTHER_RELEASE, "local", SupplyState.DESTROYED),
    )
    assert [it.requested_state for it in computer.partitions] == [
        RequestedState.STARTED,
        RequestedState.STOPPED,
        RequestedState.STARTED,
        RequestedState.DESTROYED,
        RequestedState.DESTROYED,
    ]
    assert [it.instance is None for it in computer.partitions] == [False] * 4 + [True]
    check_root(computer.partitions[0], timestamp_of(path, "slappart0"), version)
    kid = computer.partitions[1].instance
    assert kid is not None
    assert kid.connection_parameters == {"url": "http://[::1]:8080/?a=1&b=2"}
    assert (kid.title, kid.root_title, kid.software_type) == ("kid", "first", "small")
    assert kid.timestamp == timestamp_of(path, "slappart1")


def check_root(partition: Partition, timestamp: str, version: int) -> None:
    root = partition.instance
    assert root is not None
    assert root.instance_guid == "local-slappart0"
    assert root.timestamp == timestamp
    assert root.parameters == {"greeting": 'hé & <b> "x"', "b": "2"}
    prefix = "slappart1" if version < 17 else "first"
    # The proxy told no timestamps of guests; the master gives them its own.
    guests = tuple(evolve(it, timestamp=None) for it in root.shared_instances)
    assert guests == (
        SharedInstance("_alone", "alone", "default", {"domain": "alone.invalid"}),
        SharedInstance(
            f"{prefix}_front_end",
            "front_end",
            "default",
            {"domain": "front_end.invalid"},
        ),
    )
    assert [(it.interface, it.address) for it in partition.addresses] == [
        ("tap0", "10.0.0.0"),
        ("tap0", "fd00::0"),
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_requests_again_change_nothing(
    bench: StoreBench, fill: Fill, version: int
) -> None:
    """An agent that goes on as before meets its instances, and wakes nobody."""
    taken(bench, fill(version))
    before = bench.computer("local")
    root, kid = (PartitionKey("local", f"slappart{it}") for it in range(2))

    again = [
        bench.request(
            "first",
            software_release_url=RELEASE,
            parameters={"greeting": 'hé & <b> "x"', "b": "2"},
        ),
        bench.request(
            "kid",
            software_release_url=OTHER_RELEASE,
            software_type="small",
            requester=root,
            requested_state=RequestedState.STOPPED,
            parameters={},
        ),
        bench.request(
            "grandkid",
            software_release_url=OTHER_RELEASE,
            requester=kid,
            parameters={},
        ),
        bench.request(
            "front_end",
            software_release_url=RELEASE,
            requester=kid,
            is_shared=True,
            parameters={"domain": "front_end.invalid"},
        ),
    ]

    assert [it.key.partition_id for it in again] == [
        *("slappart0", "slappart1", "slappart2", "slappart0"),
    ]
    assert again[3].connection_parameters == {"site": "https://front_end.invalid/"}
    assert bench.computer("local") == before


def test_an_instance_that_changes_gets_a_later_timestamp(
    bench: StoreBench, fill: Fill
) -> None:
    taken(bench, fill(18))
    key = PartitionKey("local", "slappart0")
    before = bench.timestamp(key)

    bench.request("first", software_release_url=RELEASE, parameters={"greeting": "ho"})

    assert int(bench.timestamp(key)) > float(before) * 1_000_000


def test_the_same_database_again_is_nothing_to_do(
    bench: StoreBench, fill: Fill
) -> None:
    path = fill(18)

    assert [taken(bench, path), taken(bench, path)] == [True, False]


def test_what_the_store_has_already_is_named(bench: StoreBench, fill: Fill) -> None:
    taken(bench, fill(18))
    changed = fill(18, "UPDATE software18 SET requested_state = 'destroyed'")

    with pytest.raises(TakeoverRefused) as refused:
        taken(bench, changed)

    assert refused.value.objections == (
        "the store has the computers local, other already",
        "the store has the services first, dying, second, alone already",
        (
            "the store has the instances local-slappart0, local-slappart3,"
            " other-slappart0, local-slappart1, local-slappart2 already"
        ),
    )


@pytest.mark.parametrize(
    ("version", "statement", "objection"),
    [
        (18, "CREATE TABLE extra18 (a)", "table extra18: unknown"),
        (18, "CREATE VIEW hidden AS SELECT 1", "table hidden: unknown"),
        (
            18,
            "ALTER TABLE partition18 ADD COLUMN colour",
            "table partition18, column colour: unknown",
        ),
        (17, "DROP TABLE config17", "table config17: missing"),
        (16, "CREATE TABLE computer17 (a)", "tables of several versions: 16, 17"),
        (
            18,
            (
                "UPDATE partition18 SET requested_state = 'paused'"
                " WHERE partition_reference = 'kid'"
            ),
            (
                "table partition18, row 2, column requested_state: 'paused' is none of"
                " started, stopped, destroyed"
            ),
        ),
        (
            18,
            (
                "UPDATE partition18 SET xml = '<instance>'"
                " WHERE partition_reference = 'kid'"
            ),
            "table partition18, row 2, column xml: no element found",
        ),
        (
            18,
            (
                "UPDATE partition18 SET requested_by = 'nobody'"
                " WHERE partition_reference = 'kid'"
            ),
            "table partition18, row 2, column requested_by: no service 'nobody'",
        ),
        (
            16,
            (
                "UPDATE partition16 SET requested_by = 'slappart4'"
                " WHERE partition_reference = 'kid'"
            ),
            (
                "table partition16, row 2, column requested_by: no instance in"
                " 'slappart4' leads on"
            ),
        ),
        (
            16,
            (
                "UPDATE partition16 SET requested_by = 'slappart2'"
                " WHERE partition_reference = 'kid'"
            ),
            (
                "table partition16, row 2, column requested_by: no instance in"
                " 'slappart1' leads on"
            ),
        ),
        (
            18,
            "UPDATE partition18 SET slap_state = 'odd'",
            (
                "table partition18, row 1, column slap_state: 'odd' is neither free nor"
                " busy"
            ),
        ),
        (
            18,
            "UPDATE partition18 SET software_release = NULL",
            (
                "table partition18, row 1, column software_release: a busy partition"
                " without a release"
            ),
        ),
        (
            18,
            "UPDATE partition18 SET timestamp = 'yesterday'",
            "table partition18, row 1, column timestamp: 'yesterday' is no time",
        ),
        (
            18,
            (
                "UPDATE partition18 SET partition_reference = NULL"
                " WHERE reference = 'slappart1' AND computer_reference = 'local'"
            ),
            "table partition18, row 2, column partition_reference: empty",
        ),
        (
            18,
            (
                "UPDATE partition18 SET slave_instance_list ="
                " '<marshal><none/></marshal>'"
                " WHERE partition_reference = 'first'"
            ),
            "table partition18, row 1, column slave_instance_list: no list",
        ),
        (
            18,
            (
                "UPDATE partition18 SET partition_reference = 'kid'"
                " WHERE partition_reference = 'grandkid'"
            ),
            (
                "'local-slappart2' and 'local-slappart1' both have the"
                " title 'kid' in one"
                " tree"
            ),
        ),
        (
            18,
            (
                "INSERT INTO forwarded_partition_request18"
                " VALUES ('slappart0_far', 'https://far.invalid/')"
            ),
            (
                "table forwarded_partition_request18, row 1, column"
                " partition_reference:"
                " 'slappart0_far' is forwarded to 'https://far.invalid/' under the name"
                " of a partition, which this master would not use: destroy it by the"
                " proxy, or remove the row from a copy"
            ),
        ),
        (
            18,
            "INSERT INTO config18 VALUES ('colour', 'blue')",
            "table config18, row 1, column name: the setting 'colour' is unknown",
        ),
        (
            18,
            "INSERT INTO partition_network18 VALUES ('gone', 'local', 'lo', '::', '')",
            (
                "table partition_network18, row 15, column partition_reference: no"
                " partition 'gone' of local"
            ),
        ),
        (
            18,
            "UPDATE software18 SET url = x'ff00' WHERE computer_reference = 'other'",
            "table software18, row 3, column url: \"b'\\\\xff\\\\x00'\" is no text",
        ),
    ],
)
def test_what_is_not_understood_is_named(
    fill: Fill, version: int, statement: str, objection: str
) -> None:
    path = fill(version, statement)

    with pytest.raises(TakeoverRefused) as refused:
        decided(path)

    assert refused.value.objections[0] == objection


def test_a_version_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "future.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE computer19 (reference)")

    with pytest.raises(TakeoverRefused, match="tables of version 19; 14 to 18"):
        read_database(path)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"[slapos]\n" * 99])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.db"
    path.write_bytes(content)

    with pytest.raises(TakeoverRefused):
        read_database(path)

    assert path.read_bytes() == content


def test_every_objection_is_named(fill: Fill) -> None:
    path = fill(18, "UPDATE partition18 SET requested_state = 'paused'")

    with pytest.raises(TakeoverRefused) as refused:
        decided(path)

    assert sum("'paused'" in it for it in refused.value.objections) == 5


def test_reading_writes_nothing_and_waits_for_no_reader(fill: Fill) -> None:
    """The proxy may run: what it wrote last is read, what it is writing is not."""
    path = fill(18)
    before = path.read_bytes()
    with closing(sqlite3.connect(path, isolation_level=None)) as proxy:
        proxy.execute("BEGIN IMMEDIATE")
        proxy.execute("DELETE FROM partition18")

        takeover = decided(path)

        proxy.execute("ROLLBACK")
    assert len(takeover.instances) == 7
    assert path.read_bytes() == before
    assert [it.name for it in path.parent.iterdir()] == [path.name]


def test_a_shared_instance_whose_requester_is_gone_becomes_a_service(
    bench: StoreBench, fill: Fill
) -> None:
    """The proxy never removes it: nothing is lost, and it can be seen and destroyed."""
    path = fill(
        18,
        "UPDATE slave18 SET reference = 'lost_front', requester_id = ''"
        " WHERE reference = 'first_front_end'",
        "UPDATE partition18 SET slave_instance_list ="
        " replace(slave_instance_list, 'first_front_end', 'lost_front')",
    )

    takeover = decided(path)

    assert taken(bench, path)
    assert any("'lost_front': its requester is gone" in it for it in takeover.notes)
    root = bench.ask(lambda cloud: cloud.root("lost_front"))
    assert root is not None
    assert root.is_shared


def test_a_reference_that_can_be_read_in_two_ways_is_not_guessed(fill: Fill) -> None:
    """``first`` with ``front_end``, or ``first_front`` with ``end``: both live."""
    rename = (
        "UPDATE partition18 SET partition_reference = 'first_front'"
        " WHERE partition_reference = 'dying'"
    )
    forget = "UPDATE slave18 SET requester_id = ''"

    with pytest.raises(TakeoverRefused, match="can be of several services"):
        decided(fill(18, rename, forget))
    assert len(decided(fill(18, rename)).instances) == 7


def test_a_computer_that_was_supplied_to_and_never_formatted_is_kept(
    bench: StoreBench, fill: Fill
) -> None:
    path = fill(18, "INSERT INTO software18 VALUES ('http://x/', 'far', 'available')")

    taken(bench, path)

    assert bench.computer("far").installations == (
        SoftwareInstallation("http://x/", "far"),
    )
    assert any(it.startswith("far was supplied to") for it in decided(path).notes)


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_that_is_asked_of_an_instance_is_answered(
    fill: Fill, tmp_path: Path, version: int
) -> None:
    """Guids and timestamps in the words of the proxy are understood everywhere."""
    uri = f"file:{tmp_path}/state.zodb"
    store = StoreBench(uri)
    taken(store, fill(version))
    guids = store.ask(lambda cloud: [it.instance_guid for it in cloud.instances()])
    store.close()
    web = WebBench(store_uri=uri)

    statuses = {
        (method, guid): web.send(
            "POST",
            f"slapos.{method}",
            {"Content-Type": "application/json"},
            json.dumps({"instance_guid": guid, **more}).encode(),
        ).status
        for guid in guids
        for method, more in (
            ("get.v0.software_instance", {}),
            ("put.v0.software_instance_error", {"message": "no space left"}),
            ("put.v0.software_instance_bang", {"message": "again"}),
            (
                "put.v0.software_instance_connection_parameter",
                {"connection_parameter_dict": {"url": "http://[::1]/"}},
            ),
        )
    }
    web.perform(calls.bang_computer("local", "again"))
    web.perform(calls.report_started(PartitionKey("local", "slappart0")))
    trees = [web.perform(calls.get_tree_report(it)) for it in ("first", "alone")]

    assert len(guids) == 7
    assert max(statuses.values()) < 500, statuses
    assert all(isinstance(it, TreeReport) for it in trees)
    web.close()


def test_what_a_person_forwarded_is_noted(fill: Fill) -> None:
    """The proxy kept a name alone; the other master meets it under the same one."""
    path = fill(
        18,
        "INSERT INTO forwarded_partition_request18"
        " VALUES ('user_far', 'https://far.invalid/')",
    )

    assert (
        "'user_far' stays at 'https://far.invalid/': the proxy kept its name alone;"
        " request it here again, and it is met there"
    ) in decided(path).notes
    assert remote_title("", "far") == "user_far"
