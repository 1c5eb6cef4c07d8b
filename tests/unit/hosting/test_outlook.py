"""How a cloud stands that hosts itself, and what the end of each region does."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from slap.model import PartitionKey
from slap.replicas import ListedReplica
from slap.reports import InstanceReport, TreeReport, TreeSummary
from slapcluster.hosting.outlook import (
    Keeping,
    Readiness,
    ReplicaAnswer,
    candidates,
    foresee,
    is_of_master,
    replica_urls,
)
from slapcluster.outlook_views import outlook_sentences, outlook_table

NAMES = ("paris", "lyon", "tokyo")
URLS = {name: f"https://[fd00:{n}::2]:20003" for n, name in enumerate(NAMES, 1)}
RELEASE = "http://127.0.0.1:5000/release/software/master-cluster/software.cfg"
READY = ReplicaAnswer(Readiness.READY)
AWAY = ReplicaAnswer(Readiness.AWAY, "no answer")
NOT_READY = ReplicaAnswer(Readiness.NOT_READY, "the store is away")
UNKNOWN = ReplicaAnswer(Readiness.UNKNOWN, "asking it takes --identity")


def an_instance(title: str, **fields) -> InstanceReport:
    known = {
        "root_title": "cloud",
        "instance_guid": f"I-{title}",
        "requester_title": None,
        "software_release_url": RELEASE,
        "software_type": "default",
        "is_shared": False,
        "requested_state": "started",
        "reported_state": "started",
        "partition": PartitionKey(f"COMP-{title}", "slappart0"),
    }
    return InstanceReport(title, **{**known, **fields})


def a_region(name: str, **fields) -> InstanceReport:
    connection = {"region": name, "replica-url": URLS[name]}
    return an_instance(name, **{"connection_parameters": connection, **fields})


ROOT = an_instance("cloud", parameters={"regions": "paris lyon tokyo"})
TREE = TreeReport("cloud", (ROOT, *map(a_region, NAMES)))


def outlook(tree: TreeReport = TREE, **answers: ReplicaAnswer):
    known = dict.fromkeys(URLS.values(), READY)
    return foresee(tree, known | {URLS[name]: it for name, it in answers.items()})


def with_error(name: str, message: str) -> TreeReport:
    failing = a_region(name, reported_state="error", message=message)
    return TreeReport(
        "cloud", (ROOT, *(failing if it == name else a_region(it) for it in NAMES))
    )


def losses(**answers: ReplicaAnswer) -> dict[str, tuple[bool | None, str]]:
    return {it.name: (it.goes_on, it.if_lost) for it in outlook(**answers).regions}


def test_a_whole_cloud_goes_on_without_any_region() -> None:
    assert losses() == {
        "paris": (True, "goes on with lyon and tokyo"),
        "lyon": (True, "goes on with paris and tokyo"),
        "tokyo": (True, "goes on with paris and lyon"),
    }
    found = outlook()
    assert found.is_quorum_kept
    assert found.quorum == "paris, lyon and tokyo of 3 regions reach a majority"


def test_with_one_away_the_end_of_another_one_stops_it() -> None:
    assert losses(tokyo=AWAY) == {
        "paris": (False, "stops: tokyo is away already"),
        "lyon": (False, "stops: tokyo is away already"),
        "tokyo": (True, "it is away already; goes on with paris and lyon"),
    }


def test_who_is_not_ready_does_not_count() -> None:
    assert losses(tokyo=NOT_READY)["paris"] == (False, "stops: tokyo is not ready")


def test_what_could_not_be_asked_is_unknown() -> None:
    assert losses(tokyo=UNKNOWN)["paris"] == (
        None,
        "unknown: tokyo could not be asked",
    )
    nobody = outlook(**dict.fromkeys(NAMES, UNKNOWN))
    assert nobody.is_quorum_kept is None
    assert nobody.regions[0].if_lost == "unknown: lyon and tokyo could not be asked"


def test_no_quorum() -> None:
    found = outlook(paris=NOT_READY, lyon=AWAY, tokyo=AWAY)

    assert found.is_quorum_kept is False
    assert found.quorum == "no replica that was asked reaches a majority of the regions"
    assert {it.goes_on for it in found.regions} == {False}


def test_a_region_whose_cells_are_late_does_not_count() -> None:
    message = "Promise 'lag' failed with output: 3 of 12 cells are out of date"

    found = outlook(with_error("tokyo", message))

    paris, _, tokyo = found.regions
    assert paris.if_lost == "stops: tokyo has not everything yet"
    assert tokyo.promises["lag"] is Keeping.BROKEN
    assert tokyo.trouble == message
    assert {tokyo.promises[it] for it in ("links", "certificates")} == {Keeping.UNKNOWN}


def test_other_broken_promises_are_told_and_change_nothing_else() -> None:
    found = outlook(
        with_error("lyon", "Promise 'links' failed with output: no stunnel")
    )

    assert found.regions[1].promises["links"] is Keeping.BROKEN
    assert [it.goes_on for it in found.regions] == [True, True, True]


@pytest.mark.parametrize("message", ["no space left", "Promise 'x' is failing", ""])
def test_an_error_that_is_no_promise_leaves_them_unknown(message: str) -> None:
    lyon = outlook(with_error("lyon", message)).regions[1]

    assert set(lyon.promises.values()) == {Keeping.UNKNOWN}
    assert lyon.trouble == message


def test_promises_of_a_region_that_is_heard_are_kept_and_of_others_unknown() -> None:
    paris, lyon, _ = outlook(lyon=AWAY).regions

    assert set(paris.promises.values()) == {Keeping.KEPT}
    assert set(lyon.promises.values()) == {Keeping.UNKNOWN}


def test_a_region_that_is_not_there_yet_is_told() -> None:
    found = outlook(TreeReport("cloud", TREE.instances[:3]))

    tokyo = found.regions[2]
    assert (tokyo.replica, tokyo.computer_id) == (Readiness.NONE, "")
    assert found.regions[0].if_lost == "stops: tokyo has no replica yet"


def test_regions_have_the_order_of_their_numbers() -> None:
    root = evolve(ROOT, parameters={"regions": "paris=3 lyon=1 tokyo=2"})
    odd = evolve(ROOT, parameters={"regions": "paris"})

    by_number = outlook(TreeReport("cloud", (root, *TREE.instances[1:])))
    by_name = outlook(TreeReport("cloud", (odd, *TREE.instances[1:])))

    assert [it.name for it in by_number.regions] == ["lyon", "tokyo", "paris"]
    assert [it.name for it in by_name.regions] == ["lyon", "paris", "tokyo"]


def test_the_master_is_a_tree_whose_replicas_are_listed() -> None:
    listed = (ListedReplica(URLS["paris"] + "/", "paris"),)
    other = evolve(ROOT, software_release_url="http://x/hello/software.cfg")

    assert is_of_master(TREE, listed)
    assert not is_of_master(TREE, (ListedReplica("http://[::1]:1", "x"),))
    assert not is_of_master(TREE, ())
    assert not is_of_master(
        evolve(TREE, instances=(other, *TREE.instances[1:])), listed
    )
    assert not is_of_master(TreeReport("cloud"), listed)
    assert replica_urls(TREE) == tuple(URLS.values())


def test_small_services_are_not_asked_about() -> None:
    trees = [TreeSummary(f"t{n}", n, 0, "", "") for n in (1, 3, 4, 10)]

    assert candidates(trees) == ("t4", "t10")


@given(
    st.lists(st.sampled_from([READY, AWAY, NOT_READY, UNKNOWN]), min_size=3, max_size=3)
)
def test_what_goes_on_has_a_majority_without_the_region(answers) -> None:
    found = outlook(**dict(zip(NAMES, answers, strict=True)))

    for region in found.regions:
        others = [it for it in found.regions if it.name != region.name]
        surely = sum(it.is_ready for it in others)
        perhaps = sum(it.replica is Readiness.UNKNOWN for it in others)
        assert (region.goes_on is True) == (surely >= 2)
        assert (region.goes_on is False) == (surely + perhaps < 2)


def test_people_are_told_the_same() -> None:
    message = "Promise 'links' failed with output: stunnel does not run"
    found = outlook(with_error("lyon", message), tokyo=AWAY)

    assert outlook_table(found).lines[1] == (
        *("lyon", "COMP-lyon", "ready", "links", "stops: tokyo is away already"),
    )
    assert outlook_sentences(found) == (
        "The cloud hosts itself. The quorum is kept: paris and lyon of 3 regions reach"
        f" a majority.\nlyon: {message}\ntokyo: no answer"
    )
