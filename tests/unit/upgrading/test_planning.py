"""What is done next of an upgrade, from what is seen."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from slap.model import PartitionKey
from slap.reports import (
    ComputerReport,
    InstallationReport,
    InstanceReport,
    TreeReport,
)
from slapcluster.bootstrap.wanted_cloud import release_url_of
from slapcluster.outcomes import CommandFailed
from slapcluster.upgrading.performing import Found
from slapcluster.upgrading.planning import (
    WAITING,
    Refused,
    Step,
    Target,
    Verb,
    View,
    plan_all_steps,
    plan_next_step,
    predict,
)
from slapcluster.upgrading.rolled import former_releases, holding, rolled
from slapcluster.upgrading.running import Wish, choose_target, target_of

OLD, NEW, OTHER = (release_url_of(it * 64) for it in "abc")
TARGET = Target(NEW, "b" * 64)
PUSHED = evolve(TARGET, has_directory=True)
REGIONS = ("paris", "lyon", "tokyo")
CHANGED_AT = 100.0


def an_instance(title: str, url: str = OLD, **fields: Any) -> InstanceReport:
    region = "paris" if title == "cloud" else title
    known: dict[str, Any] = {
        "root_title": "cloud",
        "instance_guid": f"I-{title}",
        "requester_title": None,
        "software_type": "default",
        "is_shared": False,
        "requested_state": "started",
        "reported_state": "started",
        "reported_at": CHANGED_AT + 1,
        "partition": PartitionKey(f"COMP-{region}", "slappart0"),
    }
    return InstanceReport(title, software_release_url=url, **{**known, **fields})


def a_tree(root: str = OLD, *urls: str, **others: InstanceReport) -> TreeReport:
    known = urls or (OLD, OLD, OLD)
    regions = [
        others.get(name, an_instance(name, url))
        for name, url in zip(REGIONS, known, strict=True)
    ]
    top = others.get("cloud", an_instance("cloud", root))
    return TreeReport("cloud", (top, *regions))


def a_computer(name: str, **reported: str) -> ComputerReport:
    """Its releases by their letters, with what was reported of them."""
    return ComputerReport(
        name,
        installations=tuple(
            InstallationReport(
                release_url_of(letter * 64), "available", state, "the log", 7.0
            )
            for letter, state in reported.items()
        ),
    )


def computers(**reported: str) -> dict[str, ComputerReport]:
    names = [f"COMP-{it}" for it in REGIONS]
    return {it: a_computer(it, **{"a": "available", **reported}) for it in names}


BARE = View(a_tree(), computers(), regions=frozenset(REGIONS))
BUILT = evolve(BARE, computers=computers(b="available"))
SERVED = evolve(BARE, serving=frozenset({"paris"}))


@pytest.mark.parametrize(
    ("target", "view", "step"),
    [
        (PUSHED, BARE, Step(Verb.PUSH, reason="0 regions serve it")),
        (PUSHED, SERVED, Step(Verb.PUSH, reason="1 regions serve it")),
        (
            PUSHED,
            evolve(BARE, serving=frozenset({"paris", "lyon"})),
            Step(Verb.SUPPLY, "COMP-paris"),
        ),
        (TARGET, SERVED, Step(Verb.SUPPLY, "COMP-paris")),
        (Target("http://x/software.cfg"), BARE, Step(Verb.SUPPLY, "COMP-paris")),
        (
            TARGET,
            evolve(
                BARE,
                computers={
                    **computers(b="available"),
                    "COMP-lyon": a_computer("COMP-lyon", b="building"),
                },
            ),
            Step(Verb.BUILD, "COMP-lyon", "COMP-lyon builds it the log"),
        ),
        (TARGET, BUILT, Step(Verb.REQUEST, "cloud")),
        # Whoever was killed after the request asks again when it was.
        (TARGET, evolve(BUILT, tree=a_tree(NEW)), Step(Verb.REQUEST, "cloud")),
        (
            TARGET,
            evolve(BUILT, tree=a_tree(NEW), changed_at=CHANGED_AT + 2),
            Step(
                Verb.ROLL, "cloud", "0 of 4 run it; cloud on COMP-paris: to be changed"
            ),
        ),
        (
            TARGET,
            evolve(BUILT, tree=a_tree(NEW, NEW, NEW, NEW), changed_at=CHANGED_AT),
            Step(Verb.DONE),
        ),
        (TARGET, evolve(BUILT, tree=a_tree(NEW, NEW, NEW, NEW)), Step(Verb.DONE)),
    ],
)
def test_the_next_step_follows_from_what_is_seen(
    target: Target, view: View, step: Step
) -> None:
    assert plan_next_step(target, view) == step


@pytest.mark.parametrize(
    ("target", "view", "sentence"),
    [
        (TARGET, BARE, "no replica serves release"),
        (TARGET, evolve(SERVED, computers=computers(b="error")), "the log"),
        (
            TARGET,
            evolve(SERVED, computers=computers(b="error"), tree=a_tree(NEW)),
            "go back",
        ),
        (
            TARGET,
            evolve(BUILT, tree=a_tree(OTHER), changed_at=CHANGED_AT),
            "somebody else",
        ),
    ],
)
def test_what_goes_no_further_says_why(
    target: Target, view: View, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence):
        plan_next_step(target, view)


def test_a_failure_from_before_is_tried_again_by_its_agent() -> None:
    failing = evolve(SERVED, computers=computers(b="error"))
    before = evolve(failing, failed_before={"COMP-paris": 7.0})

    step = plan_next_step(TARGET, before)

    assert (step.verb, step.subject) == (Verb.BUILD, "COMP-paris")
    assert "tries again" in step.reason
    with pytest.raises(Refused):
        plan_next_step(TARGET, evolve(before, failed_before={"COMP-paris": 6.0}))


def test_a_computer_for_later_holds_no_region() -> None:
    """Once the release is requested; before, all of them have to have built it."""
    spare = a_computer("COMP-spare", b="building")
    known = {**computers(b="available"), "COMP-spare": spare}

    assert plan_next_step(TARGET, evolve(BUILT, computers=known)).verb is Verb.BUILD
    rolling = evolve(BUILT, computers=known, tree=a_tree(NEW))
    assert plan_next_step(TARGET, rolling).verb is Verb.REQUEST


LEG = {"parameters": {"leg": "2"}}


@pytest.mark.parametrize(
    ("region", "sentence"),
    [
        (an_instance("lyon"), "its turn comes"),
        (an_instance("lyon", NEW), "runs it"),
        (
            an_instance("lyon", NEW, reported_state="error", message="a\nno disk"),
            "fails: no disk",
        ),
        (an_instance("lyon", NEW, reported_state="error"), "fails: no reason was told"),
        (
            an_instance("lyon", NEW, reported_state="error", message="bang called: x"),
            "is processed again: bang called: x",
        ),
        (an_instance("lyon", NEW, reported_state=""), "to be started"),
        (
            an_instance("lyon", NEW, connection_parameters={"release-url": OLD}),
            "its programs are of the release before",
        ),
        (an_instance("lyon", NEW, **LEG), "its promises are looked at"),
        (
            an_instance("lyon", NEW, **LEG, connection_parameters={"settled": "1"}),
            "its promises are looked at",
        ),
        (
            an_instance("lyon", NEW, **LEG, connection_parameters={"settled": "2"}),
            "runs it",
        ),
    ],
)
def test_how_far_a_region_is_follows_from_what_it_published(
    region: InstanceReport, sentence: str
) -> None:
    found = rolled(a_tree(NEW, NEW, NEW, NEW, lyon=region), NEW, CHANGED_AT)

    (lyon,) = (it for it in found if it.title == "lyon")
    assert lyon.sentence == sentence
    assert lyon.is_done is (sentence == "runs it")


def test_the_region_that_is_in_the_middle_holds_the_others() -> None:
    """The root is told of the same by its promise."""
    root = an_instance("cloud", NEW, reported_state="error", message="lyon takes up")
    lyon = an_instance("lyon", NEW, reported_state="error", message="no disk")
    tree = a_tree(NEW, NEW, NEW, OLD, cloud=root, lyon=lyon)

    held = holding(rolled(tree, NEW, CHANGED_AT))

    assert held is not None
    assert (held.title, held.sentence) == ("lyon", "fails: no disk")
    waiting = rolled(a_tree(NEW, NEW, OLD, OLD, cloud=root), NEW, CHANGED_AT)
    first = holding(waiting)
    assert first is not None
    assert (first.title, first.sentence) == ("cloud", "fails: lyon takes up")


@pytest.mark.parametrize(
    ("tree", "reported", "former"),
    [
        (a_tree(), {}, ()),
        (a_tree(), {"b": "available"}, (NEW,)),
        (a_tree(), {"b": "error"}, ()),
        (a_tree(), {"b": "available", "c": "available"}, (OTHER, NEW)),
        (a_tree(NEW, NEW, OLD, OLD), {"b": "available", "c": "available"}, (OLD,)),
        (a_tree(NEW), {"b": "available", "c": "available"}, (OLD,)),
    ],
)
def test_the_former_release_is_what_is_left_of_it(
    tree: TreeReport, reported: dict[str, str], former: tuple[str, ...]
) -> None:
    assert former_releases(tree, computers(**reported)) == former


def test_a_former_release_is_on_every_computer_of_the_master() -> None:
    known = computers(b="available")
    known["COMP-lyon"] = a_computer("COMP-lyon", a="available")

    assert former_releases(a_tree(), known) == ()


def test_which_release_is_former_is_asked_when_there_are_several() -> None:
    found = Found(a_tree(), computers(b="available", c="available"))
    wish = Wish("", goes_back=True, is_dry_run=False, limit_seconds=1.0)

    with pytest.raises(CommandFailed, match="Say which one"):
        choose_target(wish, None, found)
    found = Found(a_tree(), computers(b="available"))
    assert choose_target(wish, None, found) == TARGET


def test_an_address_has_the_fingerprint_of_a_release_of_replicas() -> None:
    assert target_of(NEW) == TARGET
    elsewhere = f"http://192.0.2.1/release/{'b' * 64}/software.cfg"
    assert target_of(elsewhere) == Target(elsewhere)


STATES = st.sampled_from(["", "building", "available"])
URLS = st.sampled_from([OLD, NEW])


@given(
    target=st.sampled_from([TARGET, PUSHED]),
    root=URLS,
    regions=st.tuples(URLS, URLS, URLS),
    serving=st.frozensets(st.sampled_from(REGIONS), min_size=1),
    reported=st.tuples(STATES, STATES, STATES),
)
def test_from_whatever_is_seen_the_steps_lead_to_the_end(
    target: Target,
    root: str,
    regions: tuple[str, ...],
    serving: frozenset[str],
    reported: tuple[str, ...],
) -> None:
    """Nothing is requested before all have built it; each step is done once."""
    known = {
        f"COMP-{name}": a_computer(f"COMP-{name}", a="available", b=state)
        for name, state in zip(REGIONS, reported, strict=True)
    }
    view = View(a_tree(root, *regions), known, serving, frozenset(REGIONS))

    steps = plan_all_steps(target, view)

    assert len({(it.verb, it.subject) for it in steps}) == len(steps)
    for step in steps:
        if step.verb is Verb.REQUEST:
            assert all(
                it.installations[1].reported_state == "available"
                for it in view.computers.values()
            )
        view = predict(target, step, view)
    assert plan_next_step(target, view).verb is Verb.DONE
    assert {Verb.BUILD, Verb.ROLL} == WAITING
