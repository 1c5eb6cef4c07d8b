"""What of a bootstrap is done: kept, read again, and never of another cloud."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from slapcluster.bootstrap.logbook import (
    Logbook,
    Otherwise,
    Step,
    Undertaking,
    begin,
    begin_recovery,
    check_same,
    parse_logbook,
    render_logbook,
)
from slapcluster.bootstrap.wanted_cloud import WantedCloud, WantedComputer


def a_cloud() -> WantedCloud:
    regions = ("paris", "lyon", "tokyo")
    computers = tuple(WantedComputer(f"{it}-1", it) for it in regions)
    return WantedCloud("cloud", "2001:db8:1::1", 5443, computers)


BEGINNINGS = (begin(a_cloud()), begin_recovery(a_cloud(), "/srv/backup.fs"))


@pytest.mark.parametrize("logbook", BEGINNINGS)
def test_steps_come_in_their_order_and_once(logbook: Logbook) -> None:
    seen = []
    while (step := logbook.next_step) is not None:
        assert not logbook.is_self_hosted
        seen.append(step)
        logbook = logbook.with_done(step, 1.5)

    assert tuple(seen) == logbook.steps
    assert logbook.is_self_hosted
    assert logbook.with_done(Step.COPY, 0.5).seconds[Step.COPY] == 2.0
    assert logbook.with_done(Step.COPY, 0.5).done == logbook.done


def test_a_recovery_has_all_steps_and_a_bootstrap_those_without_a_past() -> None:
    bootstrap, recovery = BEGINNINGS

    assert recovery.steps == tuple(Step)
    assert set(Step) - set(bootstrap.steps) == {Step.TAKE, Step.LEAVE, Step.CLEAR}


def test_the_state_is_elsewhere_from_the_moment_that_another_master_may_open() -> None:
    logbook = begin(a_cloud())

    assert not logbook.has_begun_moving
    assert evolve(logbook, is_opening=True).has_begun_moving


_STEPS = st.lists(st.sampled_from(list(Step)), unique=True).map(tuple)


@given(
    _STEPS,
    st.dictionaries(st.sampled_from(list(Step)), st.integers(0, 9).map(float)),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    st.text(max_size=9),
    st.booleans(),
    st.sampled_from(Undertaking),
)
def test_a_logbook_is_read_as_it_was_written(  # noqa: PLR0917 - all that it has
    done: tuple[Step, ...],
    seconds: dict[Step, float],
    names: dict[str, str],
    digest: str,
    is_opening: bool,
    undertaking: Undertaking,
) -> None:
    logbook = Logbook(
        *(begin(a_cloud()).description, done, seconds, names, digest, names),
        *(is_opening, undertaking, names, tuple(names)),
    )

    assert parse_logbook(render_logbook(logbook)) == logbook


@given(st.binary(max_size=80), st.integers(0, 200))
def test_a_damaged_one_is_refused(content: bytes, place: int) -> None:
    whole = render_logbook(begin(a_cloud()))
    with pytest.raises(Otherwise, match=r"damaged|format"):
        parse_logbook(whole[:place] + b"{" + content)


def test_one_of_a_later_version_is_refused() -> None:
    content = render_logbook(begin(a_cloud())).replace(b'"format": 1', b'"format": 2')
    with pytest.raises(Otherwise, match="go on with the version that began it"):
        parse_logbook(content)


def test_one_of_a_version_without_recoveries_is_of_a_bootstrap() -> None:
    document = json.loads(render_logbook(begin(a_cloud())))
    for key in ("undertaking", "recovered", "joined"):
        del document[key]

    assert parse_logbook(json.dumps(document).encode()) == begin(a_cloud())


def test_another_cloud_is_refused_and_other_commands_are_not() -> None:
    logbook, cloud = begin(a_cloud()), a_cloud()
    with_commands = tuple(evolve(it, command=("ssh",)) for it in cloud.computers)

    check_same(logbook, begin(evolve(cloud, computers=with_commands)))
    check_same(parse_logbook(render_logbook(logbook)), begin(cloud))
    with pytest.raises(Otherwise, match=r"name = 'cloud', and now it is 'other'"):
        check_same(logbook, begin(evolve(cloud, name="other")))
    with pytest.raises(Otherwise, match="mini-master"):
        check_same(logbook, begin(evolve(cloud, port=5444)))
    with pytest.raises(Otherwise, match="regions"):
        check_same(logbook, begin(evolve(cloud, computers=cloud.computers[::-1])))


def test_a_recovery_goes_on_from_its_own_source_and_in_its_own_home() -> None:
    bootstrap, recovery = BEGINNINGS

    check_same(recovery, begin_recovery(a_cloud(), "/srv/backup.fs"))
    with pytest.raises(Otherwise, match=r"source = '/srv/backup.fs', and now it is"):
        check_same(recovery, begin_recovery(a_cloud(), "/srv/another.fs"))
    with pytest.raises(Otherwise, match=r"of `slapcluster bootstrap`.*another home"):
        check_same(bootstrap, recovery)
    with pytest.raises(Otherwise, match=r"of `slapcluster recover`.*another home"):
        check_same(recovery, bootstrap)
