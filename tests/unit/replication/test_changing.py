"""What is next when regions change: each case, and each command killed anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from attrs import evolve

from replication.changing import (
    GOES_ON,
    DatabaseKind,
    DatabaseSeen,
    EntrySeen,
    Step,
    Verb,
    View,
    plan_all_steps,
    plan_next_step,
    predict,
)
from replication.observation import region_of
from replication.regions import NeoCluster, plan_neo_cluster
from replication.undertakings import (
    Refused,
    Undertaking,
    plan_addition,
    plan_move,
    plan_removal,
    plan_replacement,
    storage_id,
)

NAMES = ("paris", "lyon", "tokyo", "nice", "rome")
STEPS_MAX = 60

Plan = Callable[[NeoCluster], Undertaking]


def a_neo_cluster(count: int = 3) -> NeoCluster:
    planned = plan_neo_cluster(
        "probe", NAMES[:count], 4, "127.0.0.1", iter(range(20000, 20100))
    )
    return planned.numbered(
        {it.storage_node: f"S{it.number}00001" for it in planned.regions}
    )


def more_ports() -> Iterator[int]:
    return iter(range(21000, 21100))


def an_entry(storage: int | None = None, **fields: object) -> EntrySeen:
    database = DatabaseSeen(DatabaseKind.FILLED, storage)
    return evolve(EntrySeen(database, True, True, False, GOES_ON), **fields)  # noqa: FBT003


def a_view(count: int = 3, **fields: object) -> View:
    """All of it runs and has all."""
    neo_cluster = a_neo_cluster(count)
    storages = frozenset(storage_id(it) or 0 for it in neo_cluster.regions)
    view = View(
        neo_cluster,
        True,  # noqa: FBT003
        "",
        {it.name: an_entry(storage_id(it)) for it in neo_cluster.regions},
        storages,
        storages,
        storages,
        frozenset(),
    )
    return evolve(view, **fields)


def with_entry(view: View, name: str, **fields: object) -> View:
    entries = {**view.entries, name: evolve(view.entries[name], **fields)}
    return evolve(view, entries=entries)


def lost(view: View, kind: DatabaseKind = DatabaseKind.MISSING) -> View:
    """The database of paris is gone, and its storage node with it."""
    left = view.holders - {100001}
    seen = evolve(view, connected=left, complete=left)
    return with_entry(seen, "paris", database=DatabaseSeen(kind), is_running=False)


def replacing(neo_cluster: NeoCluster) -> Undertaking:
    return plan_replacement(neo_cluster, "paris")


def discarding(neo_cluster: NeoCluster) -> Undertaking:
    return plan_replacement(neo_cluster, "paris", 100001)


def adding(neo_cluster: NeoCluster) -> Undertaking:
    return plan_addition(neo_cluster, ("nice", "rome"), more_ports())


def removing(neo_cluster: NeoCluster) -> Undertaking:
    return plan_removal(neo_cluster, ("paris", "rome"))


def moving(neo_cluster: NeoCluster) -> Undertaking:
    return plan_move(neo_cluster, "paris", "oslo", more_ports())


# -- what is next --------------------------------------------------------------------

COMING = evolve(
    lost(a_view()),
    pending=frozenset({100007}),
)
NEW = DatabaseSeen(DatabaseKind.EMPTY, 100007)


@pytest.mark.parametrize(
    ("plan", "view", "expected"),
    [
        (replacing, a_view(), (Verb.DONE, "", None)),
        (replacing, lost(a_view()), (Verb.START, "paris", None)),
        (
            replacing,
            lost(a_view(), DatabaseKind.DAMAGED),
            (Verb.SET_ASIDE, "paris", None),
        ),
        (
            replacing,
            with_entry(a_view(), "paris", database=DatabaseSeen(DatabaseKind.MISSING)),
            (Verb.SET_ASIDE, "paris", None),
        ),
        (discarding, a_view(), (Verb.DISCARD, "paris", 100001)),
        (
            replacing,
            with_entry(COMING, "paris", database=NEW, is_running=True),
            (Verb.ADD, "paris", 100007),
        ),
        (
            replacing,
            evolve(
                with_entry(COMING, "paris", database=NEW, is_running=True),
                pending=frozenset(),
            ),
            (Verb.WAIT, "paris", None),
        ),
        (
            replacing,
            evolve(
                with_entry(COMING, "paris", database=NEW, is_running=True),
                pending=frozenset(),
                holders=a_view().holders | {100007},
                connected=COMING.connected | {100007},
            ),
            (Verb.WAIT, "paris", 100007),
        ),
        (
            replacing,
            evolve(
                with_entry(COMING, "paris", database=NEW, is_running=True),
                pending=frozenset(),
                holders=a_view().holders | {100007},
                connected=COMING.connected | {100007},
                complete=COMING.complete | {100007},
            ),
            (Verb.DROP, "paris", 100001),
        ),
        (adding, a_view(), (Verb.DESCRIBE, "", None)),
        (adding, a_view(is_running=False, entries={}), (Verb.WAIT, "", None)),
        (removing, a_view(5), (Verb.DROP, "paris", 100001)),
        (
            removing,
            a_view(5, complete=frozenset({100001, 200001, 500001})),
            (Verb.WAIT, "", None),
        ),
        (
            removing,
            a_view(5, holders=frozenset({200001, 300001, 400001})),
            (Verb.STOP, "paris", None),
        ),
        (removing, a_view(5, is_running=False, entries={}), (Verb.WAIT, "", None)),
        (
            lambda it: plan_removal(it, ("nice", "rome")),
            with_entry(a_view(), "lyon", is_stale=True),
            (Verb.RENEW, "lyon", None),
        ),
        (
            lambda it: plan_removal(it, ("nice", "rome")),
            with_entry(a_view(), "lyon", is_stale=True, if_lost="stops: x"),
            (Verb.WAIT, "lyon", None),
        ),
        (moving, a_view(), (Verb.DESCRIBE, "", None)),
    ],
)
def test_the_next_step(
    plan: Plan, view: View, expected: tuple[Verb, str, int | None]
) -> None:
    step = plan_next_step(plan(view.neo_cluster), view)

    assert (step.verb, step.region, step.storage) == expected


AWAY = with_entry(
    a_view(connected=frozenset({200001, 300001}), complete=frozenset({200001, 300001})),
    "paris",
    is_running=False,
)
ALONE = lost(a_view())


@pytest.mark.parametrize(
    ("plan", "view", "sentence"),
    [
        (replacing, AWAY, "that can be read, of storage node S100001: start"),
        (
            replacing,
            with_entry(ALONE, "paris", if_lost="stops: nobody else has all"),
            "when the others go on without it: now all of it stops",
        ),
        (
            discarding,
            with_entry(a_view(), "paris", if_lost="stops: regions [2] of"),
            "when the others go on without it: now all of it stops",
        ),
        (
            replacing,
            with_entry(
                a_view(), "paris", database=DatabaseSeen(DatabaseKind.FILLED, 100009)
            ),
            "storage node S100009, which has no cells any more",
        ),
        (
            lambda it: plan_addition(it, ("nice",), more_ports()),
            a_view(),
            "that makes 4 regions: an odd number is needed, 3 to 9",
        ),
        (
            lambda it: plan_addition(it, ("nice", "paris"), more_ports()),
            a_view(),
            "there is a region paris already, and not the others",
        ),
        (
            lambda it: plan_addition(it, ("nice", "No"), more_ports()),
            a_view(),
            "'No' is no name of a region",
        ),
        (removing, a_view(), "there is no region 'rome'"),
        (
            lambda it: plan_removal(it, ("paris", "lyon")),
            a_view(),
            "that makes 1 regions",
        ),
        (
            lambda it: plan_move(it, "paris", "lyon", more_ports()),
            a_view(),
            "there is a region lyon already",
        ),
        (
            replacing,
            a_view(neo_cluster=adding(a_neo_cluster()).during),
            "region nice is not there yet: first repeat the command",
        ),
    ],
)
def test_what_is_refused(plan: Plan, view: View, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence.replace("[", r"\[")):
        plan_next_step(plan(view.neo_cluster), view)


# -- killed anywhere, and repeated ---------------------------------------------------

CASES = {
    "replace": (replacing, lost(a_view()), {1, 2, 3}),
    "discard": (discarding, a_view(), {1, 2, 3}),
    "damaged": (replacing, lost(a_view(), DatabaseKind.DAMAGED), {1, 2, 3}),
    "add": (adding, a_view(), {1, 2, 3, 4, 5}),
    "remove": (removing, a_view(5), {2, 3, 4}),
    "move": (moving, a_view(), {1, 2, 3}),
}


def perform(step: Step, view: View) -> View:
    """As ``predict``, but who is added replicates while it is waited for."""
    if step.verb is Verb.WAIT:
        return evolve(view, complete=view.complete | (view.holders & view.connected))
    after = predict(step, view)
    if step.verb is Verb.ADD:
        return evolve(after, complete=after.complete - {step.storage})
    return after


def check(before: View, step: Step, view: View) -> None:
    """What has to be so after each step."""
    assert len({region_of(it) for it in view.complete}) >= 2
    assert len({region_of(it) for it in view.holders}) >= 3
    changed = {region_of(it) for it in before.holders ^ view.holders}
    assert len(changed) <= 1
    if step.verb is Verb.DROP:
        assert step.storage is not None
        rest = {it for it in view.holders if region_of(it) == region_of(step.storage)}
        assert rest <= view.complete


def finish(plan: Plan, view: View) -> View:
    """Go on to the end, looking anew before each step."""
    undertaking = plan(view.neo_cluster)
    for _ in range(STEPS_MAX):
        step = plan_next_step(undertaking, view)
        if step.verb is Verb.DONE:
            return view
        after = perform(step, view)
        check(view, step, after)
        view = after
    raise AssertionError(f"no end: {step}")


@pytest.mark.parametrize("name", CASES)
def test_a_command_that_is_killed_after_any_step_is_repeated(name: str) -> None:
    """Also when the step was done twice, and when it is killed again and again."""
    plan, view, numbers = CASES[name]
    undertaking = plan(view.neo_cluster)
    always_killed = view
    for _ in range(STEPS_MAX):
        step = plan_next_step(undertaking, view)
        if step.verb is Verb.DONE:
            break
        view = perform(step, view)
        for seen in (view, perform(step, view)):
            ended = finish(plan, seen)
            assert {region_of(it) for it in ended.holders} == numbers
            assert ended.holders == ended.complete
        step = plan_next_step(plan(always_killed.neo_cluster), always_killed)
        always_killed = perform(step, always_killed)

    assert {region_of(it) for it in view.holders} == numbers
    assert {storage_id(it) for it in view.neo_cluster.regions} == view.holders
    assert len(view.holders) == len(numbers)
    assert always_killed.holders == view.holders
    assert not any(it.is_stale for it in view.entries.values())
    assert plan_next_step(plan(view.neo_cluster), view).verb is Verb.DONE


@pytest.mark.parametrize("name", CASES)
def test_a_dry_run_says_what_will_be_done(name: str) -> None:
    plan, view, _ = CASES[name]
    undertaking = plan(view.neo_cluster)
    done = []
    seen = view
    while (step := plan_next_step(undertaking, seen)).verb is not Verb.DONE:
        if step.verb is not Verb.WAIT:
            done.append(step)
        seen = perform(step, seen)

    assert list(plan_all_steps(undertaking, view)) == done


def test_the_storage_node_of_a_killed_addition_is_dropped() -> None:
    """Its database was removed by hand, another one was drawn."""
    during = adding(a_neo_cluster()).during
    view = a_view(neo_cluster=during, holders=a_view().holders | {400005})
    entries = {
        "nice": an_entry(400006),
        "rome": an_entry(500006),
        **view.entries,
    }
    new = {400006, 500006}
    view = evolve(
        view,
        entries=entries,
        holders=view.holders | new,
        connected=view.connected | new,
        complete=view.complete | new,
    )

    step = plan_next_step(adding(during), view)

    assert (step.verb, step.storage) == (Verb.DROP, 400005)
