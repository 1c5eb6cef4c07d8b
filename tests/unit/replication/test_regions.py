"""The description of a neo_cluster: read as it was written, or refused."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from replication.programs import (
    Launcher,
    program_arguments,
    render_supervisord,
)
from replication.regions import (
    PORTS,
    Misdescribed,
    NeoCluster,
    ProgramKind,
    Region,
    parse_description,
    plan_neo_cluster,
    render_description,
)

REGION_NAMES = ("paris", "lyon", "tokyo")

names = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)


def a_neo_cluster(
    region_names: tuple[str, ...] = REGION_NAMES, host: str = "127.0.0.1"
) -> NeoCluster:
    return plan_neo_cluster("probe", region_names, 12, host, iter(PORTS))


def numbered(neo_cluster: NeoCluster) -> NeoCluster:
    """With cells: the storage nodes are S100001, S200001 ..."""
    return neo_cluster.numbered(
        {
            it.storage_node: f"S{n}00001"
            for n, it in enumerate(neo_cluster.regions, start=1)
        }
    )


@given(
    name=names,
    region_names=st.lists(names, min_size=3, max_size=9, unique=True).filter(
        lambda names: len(names) % 2
    ),
    partition_count=st.integers(1, 1000),
    host=st.sampled_from(["127.0.0.1", "::1"]),
    is_created=st.booleans(),
)
def test_a_description_is_read_as_it_was_written(
    name, region_names, partition_count, host, is_created
) -> None:
    planned = plan_neo_cluster(name, region_names, partition_count, host, iter(PORTS))
    neo_cluster = numbered(planned) if is_created else planned

    assert parse_description(render_description(neo_cluster)) == neo_cluster
    assert neo_cluster.is_created is is_created


@given(content=st.binary() | st.text().map(str.encode))
def test_what_is_no_description_is_refused(content: bytes) -> None:
    with pytest.raises(Misdescribed):
        parse_description(content)


@given(data=st.data())
def test_a_description_that_lacks_something_or_has_another_type_is_refused(
    data,
) -> None:
    document = json.loads(render_description(a_neo_cluster()))
    place = data.draw(st.sampled_from([document, document["regions"][1]]))
    key = data.draw(st.sampled_from(sorted(set(place) - {"storage_node_id"})))
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(st.sampled_from([None, -1, True, "", "Ä", [], {}, 1.5]))

    with pytest.raises(Misdescribed):
        parse_description(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: a_neo_cluster(("a", "b", "a")), "region a is there twice"),
        (lambda: a_neo_cluster(()), "0 regions: an odd number"),
        (lambda: a_neo_cluster(("a", "b")), "2 regions: an odd number"),
        (lambda: a_neo_cluster(tuple("abcd")), "4 regions: an odd number"),
        (lambda: a_neo_cluster(("Paris", "b", "c")), "no name of a region"),
        (lambda: a_neo_cluster(tuple("abcdefghijk")), "11 regions"),
        (lambda: a_region(number=0), "0 is no number of a region"),
        (
            lambda: evolve(a_neo_cluster(), regions=(a_region(), a_region(name="x"))),
            "the number 1 is there twice",
        ),
        (lambda: evolve(a_neo_cluster(), name="A b"), "lower-case"),
        (lambda: evolve(a_neo_cluster(), partition_count=0), "1 to 1000"),
        (lambda: a_region(neo_master="10.0.0.1:1"), "write 127.0.0.1:PORT"),
        (lambda: a_region(neo_master="127.0.0.1:0"), "write 127.0.0.1:PORT"),
        (lambda: a_region(neo_master="127.0.0.1:65536"), "write 127.0.0.1:PORT"),
        (lambda: a_region(storage_node_id="M1"), "no storage node"),
        (
            lambda: evolve(
                a_neo_cluster(),
                regions=(a_region(storage_node="127.0.0.1:1"),),
            ),
            "is there twice",
        ),
    ],
)
def test_a_fault_is_said_in_a_sentence(make, sentence: str) -> None:
    with pytest.raises(Misdescribed, match=sentence):
        make()


def a_region(**overrides) -> Region:
    fields = {
        "name": "paris",
        "number": 1,
        "neo_master": "127.0.0.1:1",
        "storage_node": "127.0.0.1:2",
        "admin_node": "127.0.0.1:3",
    }
    return Region(**{**fields, **overrides})


def test_the_address_of_the_store_names_all_neo_masters() -> None:
    assert a_neo_cluster().store_uri == (
        "neo:probe@127.0.0.1:20000,127.0.0.1:20003,127.0.0.1:20006"
    )
    assert a_neo_cluster(host="::1").store_uri == (
        "neo:probe@[::1]:20000,[::1]:20003,[::1]:20006"
    )


@pytest.mark.parametrize(
    ("wanted", "difference"),
    [
        (a_neo_cluster(), ""),
        (
            plan_neo_cluster(
                "probe", REGION_NAMES, 12, "127.0.0.1", iter(range(1, 99))
            ),
            "",
        ),
        (a_neo_cluster(tuple("abc")), "regions paris lyon tokyo, not a b c"),
        (a_neo_cluster(host="::1"), "host 127.0.0.1, not ::1"),
        (evolve(a_neo_cluster(), name="other"), "name probe, not other"),
        (evolve(a_neo_cluster(), partition_count=6), "partitions 12, not 6"),
    ],
)
def test_another_neo_cluster_is_told_by_what_somebody_asked_for(
    wanted: NeoCluster, difference: str
) -> None:
    """Ports are drawn: they are nobody's wish."""
    assert numbered(a_neo_cluster()).difference(wanted) == difference


def test_an_unknown_region_is_told_with_those_there_are() -> None:
    with pytest.raises(Misdescribed, match="there are paris, lyon, tokyo"):
        a_neo_cluster().region("berlin")


def test_each_region_has_a_copy_of_everything() -> None:
    neo_cluster = a_neo_cluster()
    region = neo_cluster.regions[1]

    arguments = program_arguments(neo_cluster, region, ProgramKind.NEO_MASTER, "/d")

    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert options == {
        "--cluster": "probe",
        "--masters": "127.0.0.1:20000 127.0.0.1:20003 127.0.0.1:20006",
        "--bind": "127.0.0.1:20003",
        "--partitions": "12",
        "--replicas": "2",
        "--verdict": "/d/verdict.json",
    }


def test_no_program_makes_cells_by_itself() -> None:
    """A neo_cluster whose databases are gone must not begin again with nothing."""
    neo_cluster = a_neo_cluster()
    conf = render_supervisord(
        neo_cluster, neo_cluster.regions[0], "/d/paris", "sv.sock", Launcher("py", "p")
    )

    assert "--autostart" not in conf
    assert conf.count("[program:") == 3
    assert "--region 1 --adapter SQLite --database /d/paris/database.sqlite" in conf
