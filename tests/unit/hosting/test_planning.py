"""What a region runs in its partition, and when its cells may be made."""

from __future__ import annotations

import re
import shlex

import pytest
from attrs import evolve

from master_cluster.store.neo_uri import parse_neo_uri
from replication.answers import CellSeen
from slapcluster.hosting.places import FIRST_ENTRY, FIRST_PORT, read_place
from slapcluster.hosting.planning import (
    InForce,
    choose_names,
    may_create,
    merge,
    missing_of,
    own_region,
    parse_in_force,
    plan_creator,
    plan_links,
    plan_programs,
    plan_promises,
    plan_replica,
    render_in_force,
    store_uri,
)
from slapcluster.hosting.wanted import (
    Misasked,
    WantedRegion,
    read_published,
    render_published,
)
from stunnel_conf.links import Endpoint
from stunnel_conf.ports import assign, entry_name
from tests.unit.hosting.regions import (
    NAMES,
    a_certificate,
    a_place,
    a_published,
    a_region,
    all_published,
    an_answer,
)

EVERYTHING = ("-I", "-S", "-B")


def entries_of(place, links):
    names = [entry_name(*it) for it in links.reached]
    ports = assign(names, place.entries, {})
    return {it: Endpoint(place.entries.host, ports[it]) for it in names}


def programs_of(name, published):
    """The command lines of a region, by what their files begin with."""
    place = a_place(NAMES.index(name) + 1)
    links = plan_links(place, name, published).links
    files = plan_programs(place, a_region(name), published, entries_of(place, links))
    found = {}
    for file, content in files.items():
        program, _, digits = file.rpartition("-")
        assert re.fullmatch("[0-9a-f]{8}", digits)
        shebang, line = content.splitlines()
        assert shebang == "#!/bin/sh"
        found[program] = shlex.split(line)[1:]
    return found


def options_of(argv):
    words = argv[5:]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_programs_bind_inside_and_announce_outside():
    """Nothing listens at all addresses; the others come in by stunnel alone."""
    found = programs_of("lyon", all_published())
    neo_master = options_of(found["neo-master"])
    storage = options_of(found["storage-node"])
    admin = options_of(found["admin-node"])

    assert found["neo-master"][:5] == [
        *("/usr/bin/python3", *EVERYTHING),
        "/soft/bin/neo-master",
    ]
    assert neo_master["--masters"] == (
        "[fd00:1::2]:20000 [fd00:2::2]:20000 [fd00:3::2]:20000"
    )
    assert (neo_master["--bind"], neo_master["--announce"]) == (
        "10.0.0.2:20000",
        "[fd00:2::2]:20000",
    )
    assert (neo_master["--partitions"], neo_master["--replicas"]) == ("12", "2")
    assert (storage["--bind"], storage["--region"]) == ("10.0.0.2:20001", "2")
    assert storage["--database"] == "/srv/region2/slappart0/srv/neo/database.sqlite"
    assert admin["--bind"] == "10.0.0.2:20002"
    assert found["stunnel"] == [
        "/usr/bin/stunnel",
        "/srv/region2/slappart0/srv/links/stunnel.conf",
    ]
    assert "--autostart" not in str(found)
    assert "0.0.0.0" not in str(found)


def elsewhere(name="paris", number=7, before=None):
    """A region that is placed anew, in its first pass there."""
    asked = evolve(a_region(name, NAMES), before=before or a_published(name))
    place = a_place(number)
    names = choose_names(asked, place, None)
    new = own_region(
        asked, place, (a_certificate("new"),), is_created=False, known_as=names
    )
    return asked, place, new


def test_a_region_that_is_elsewhere_starts_nothing_anew_at_the_others():
    """They exchange what stunnel reads while connections live."""
    published = all_published()
    _, _, new = elsewhere()
    after = {**published, "paris": read_published("paris", render_published(new))}

    assert programs_of("lyon", after) == programs_of("lyon", published)
    links = plan_links(a_place(2), "lyon", after)
    (peer,) = (it for it in links.links.peers if it.name == "paris")
    assert peer.address == "fd00:7::2"


def test_a_region_that_is_elsewhere_announces_what_it_was_known_as():
    """And binds where it is; so do the passes after the first one."""
    asked, place, new = elsewhere()
    published = {**all_published(), "paris": new}
    links = plan_links(place, "paris", published).links
    files = plan_programs(place, asked, published, entries_of(place, links))
    (line,) = (it for name, it in files.items() if name.startswith("storage-node"))
    options = options_of(shlex.split(line.splitlines()[1])[1:])
    assert (options["--bind"], options["--announce"]) == (
        "10.0.0.7:20001",
        "[fd00:1::2]:20001",
    )
    in_force = InForce("paris", 1, published, admin_node="10.0.0.7:20002")
    again = evolve(asked, before=None)
    assert choose_names(again, place, in_force) == new.linked.known_as


def test_a_region_goes_home_under_the_name_that_it_has():
    """And a third place is no other case than the second."""
    _, _, new = elsewhere()
    _, _, third = elsewhere(number=8, before=new)
    assert third.linked.announced("neo-master") == Endpoint("fd00:1::2", 20000)
    _, _, home = elsewhere(number=1, before=third)
    assert home.linked.known_as == {}


def test_nobody_takes_the_name_of_another_region():
    """Where that one was before, a new one announces another port."""
    _, _, new = elsewhere()
    published = {**all_published(), "paris": new}
    others = {it: published[it] for it in ("paris", "tokyo")}
    lyon = WantedRegion("lyon", a_region("lyon").root, others)
    names = choose_names(lyon, a_place(1), None)
    assert names == {
        "neo-master": Endpoint("fd00:1::2", 21000),
        "storage-node": Endpoint("fd00:1::2", 21001),
    }


def test_each_announced_address_is_reached_from_each_region():
    """One's own directly, the others' by entries of one's own links."""
    published = all_published()
    for number, name in enumerate(NAMES, start=1):
        argv = programs_of(name, published)["storage-node"]
        pairs = options_of(argv)["--translate"].split()
        reached = dict(it.split("=") for it in pairs)
        assert {f"[fd00:{n}::2]:{p}" for n in (1, 2, 3) for p in (20000, 20001)} <= (
            reached.keys()
        )
        assert all(it.startswith(f"10.0.0.{number}:") for it in reached.values())
        assert len(set(reached.values())) == len(reached)
        assert reached[f"[fd00:{number}::2]:20000"] == f"10.0.0.{number}:20000"


def test_another_certificate_starts_nothing_anew_and_another_address_does():
    """Stunnel reads its pins again by itself."""
    published = all_published()
    renewed = {
        **published,
        "tokyo": a_published("tokyo", a_certificate("a"), a_certificate("b")),
    }
    assert programs_of("lyon", renewed) == programs_of("lyon", published)
    planned = plan_links(a_place(2), "lyon", renewed)
    assert planned.files["peer-tokyo-2.crt"] == a_certificate("b")
    (tokyo,) = (it for it in planned.links.peers if it.name == "tokyo")
    assert tokyo.certificates == ("peer-tokyo-1.crt", "peer-tokyo-2.crt")


def test_regions_let_each_other_in_to_neo_alone():
    """The replica is reached by agents, directly; an admin node by nobody."""
    planned = plan_links(a_place(2), "lyon", all_published())
    assert {it.program for it in planned.links.exports} == {
        "neo-master",
        "storage-node",
    }
    assert planned.links.listen == "fd00:2::2"
    assert all(it.to.host == "10.0.0.2" for it in planned.links.exports)


def test_the_store_of_a_replica_reads_near_and_by_the_links():
    """What the store takes as a URI."""
    place, published = a_place(3), all_published()
    entries = entries_of(place, plan_links(place, "tokyo", published).links)
    neo = parse_neo_uri(store_uri(place, a_region("tokyo"), published, entries))
    assert neo.name == "slapcluster"
    assert neo.near == ("[fd00:3::2]:20001",)
    assert len(neo.neo_masters) == len(NAMES)
    assert dict(neo.translations)["[fd00:3::2]:20000"] == "10.0.0.3:20000"


def test_regions_that_are_not_heard_of_stay_as_they_were():
    """A master that lost its memory for a moment takes nothing down."""
    own = a_published("paris")
    wanted = a_region(others=("lyon",))
    assert missing_of(wanted, merge(wanted, own, None)) == ("tokyo",)
    before = InForce("paris", 1, all_published(tokyo=True))
    merged = merge(a_region(), own, before)
    assert merged == all_published(tokyo=True)
    moved = a_region("paris", published="{}", regions="paris lyon lima")
    assert set(merge(moved, own, before)) == {"paris", "lyon"}


def test_what_is_in_force_is_read_as_it_was_written():
    """By the promises, and by the next pass."""
    in_force = InForce(
        "lyon", 2, all_published(lyon=True), ("x",), "10.0.0.2:20002", "neo:"
    )
    assert parse_in_force(render_in_force(in_force)) == in_force


CELL = CellSeen("S100001", "UP_TO_DATE")


@pytest.mark.parametrize(
    ("wanted", "published", "answer", "reason"),
    [
        (a_region(storage="create"), all_published(), an_answer(), ""),
        (
            a_region(storage="create"),
            {"paris": a_published("paris")},
            an_answer(),
            "lyon, tokyo has not published yet",
        ),
        (
            a_region(storage="create"),
            all_published(tokyo=True),
            an_answer(),
            "tokyo has seen cells: they are never made again",
        ),
        (
            a_region(),
            all_published(),
            an_answer(),
            "there are no cells, and the request does not say storage=create",
        ),
        (
            a_region("lyon", storage="create"),
            all_published(),
            an_answer(),
            "paris has them made",
        ),
        (
            a_region(storage="create"),
            all_published(),
            None,
            "the admin node says nothing",
        ),
        (
            a_region(storage="create"),
            all_published(),
            an_answer(cells=(CELL,)),
            "there are cells",
        ),
        (
            a_region(storage="create"),
            all_published(),
            an_answer(names=("paris", "tokyo")),
            "the storage node of lyon is not there yet",
        ),
        (
            a_region(storage="create"),
            all_published(),
            an_answer("RUNNING"),
            "the storage node of paris, lyon, tokyo is not there yet",
        ),
    ],
)
def test_cells_are_made_once_by_one_region_over_empty_databases(
    wanted, published, answer, reason
):
    """Whatever is not as it must be is the reason."""
    assert may_create(wanted, published, answer) == reason


def test_a_storage_node_of_nobody_stands_in_the_way_of_creation():
    """It would get cells that nobody wants there."""
    published = all_published()
    foreign = an_answer()
    wanted = a_region(storage="create", regions="paris lyon lima")
    published["lima"] = published.pop("tokyo")
    told = may_create(wanted, published, foreign)
    assert told == ""
    published["lima"] = a_published("lyon")
    assert may_create(wanted, published, foreign) == (
        "[fd00:3::2]:20001 is no storage node of a wanted region"
    )


def test_a_replica_listens_outside_as_who_it_is():
    """Agents come to it directly; its key and its last documents are beside it.

    It says that it is there, and serves what it was built from, and what was pushed.
    """
    (content,) = plan_replica(a_place(2), "lyon", "neo:x@[fd00::1]:1?near=y").values()
    argv = shlex.split(content.splitlines()[1])
    home = "/srv/region2/slappart0/srv"
    assert argv[5:] == [
        *("/soft/bin/slapcluster", "master", "--listen", "[fd00:2::2]:20003"),
        *("--store", "neo:x@[fd00::1]:1?near=y"),
        *("--identity", f"{home}/identity", "--documents", f"{home}/documents"),
        "--receive",
        *("--announce", "https://[fd00:2::2]:20003", "lyon"),
        *("--release", "/soft/release"),
        *("--pushed-releases", f"{home}/releases"),
    ]


def test_who_has_cells_made_is_there_while_that_may_come_to_pass():
    """In the first region, until anybody has seen cells."""
    wish = {"storage": "create"}

    def creators(region, **created):
        return list(plan_creator(a_place(), region, all_published(**created)))

    (name,) = creators(a_region(**wish))
    assert name.startswith("creator-")
    assert creators(a_region(**wish), tokyo=True) == []
    assert creators(a_region("lyon", **wish)) == []
    assert creators(a_region()) == []


def test_promises_are_programs_of_the_release():
    """Each says which one it is, and of which partition."""
    (content,) = plan_promises(a_place(), ("lag",)).values()
    assert content.endswith(
        "/soft/bin/slapcluster hosted check lag /srv/region1/slappart0\n"
    )


def test_entries_of_partitions_with_one_address_do_not_meet():
    """Nor do they reach the ports that partitions have."""
    first, second = a_place().entries, a_place(first_port=FIRST_PORT + 10).entries
    assert (first.first, second.first) == (FIRST_ENTRY, first.last + 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ipv4": ""}, "the partition has no IPv4 address"),
        ({"ipv6": "x"}, "the partition: 'x' is no numeric address"),
        ({"first_port": "20000"}, "the partition: '20000' is no port"),
        ({"first_port": 28000}, "the partition has ports from 28000 on"),
        ({"first_port": 1000}, "the partition has ports from 1000 on"),
    ],
)
def test_a_partition_that_will_not_do_is_refused(changes, sentence):
    """By a sentence that says what it lacks."""
    told = {"ipv4": "10.0.0.1", "ipv6": "fd00::1", "first_port": 20000, **changes}
    with pytest.raises(Misasked) as caught:
        read_place(
            told,
            "/home",
            python="/python",
            bin_directory="/bin",
            stunnel="/stunnel",
            release_directory="/release",
        )
    assert str(caught.value).startswith(sentence)
