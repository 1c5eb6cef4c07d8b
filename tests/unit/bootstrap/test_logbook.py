"""What of a bootstrap is done: kept, read again, and never of another cloud."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from slapcluster.bootstrap.logbook import (
    Logbook,
    Otherwise,
    Step,
    begin,
    check_same,
    parse_logbook,
    render_logbook,
)
from slapcluster.bootstrap.wanted_cloud import WantedCloud, WantedComputer


def a_cloud() -> WantedCloud:
    regions = ("paris", "lyon", "tokyo")
    computers = tuple(WantedComputer(f"{it}-1", it) for it in regions)
    return WantedCloud("cloud", "2001:db8:1::1", 5443, computers)


def test_steps_come_in_their_order_and_once() -> None:
    logbook, seen = begin(a_cloud()), []
    while (step := logbook.next_step) is not None:
        assert not logbook.is_self_hosted
        seen.append(step)
        logbook = logbook.with_done(step, 1.5)

    assert seen == list(Step)
    assert logbook.is_self_hosted
    assert logbook.with_done(Step.COPY, 0.5).seconds[Step.COPY] == 2.0
    assert logbook.with_done(Step.COPY, 0.5).done == logbook.done


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
)
def test_a_logbook_is_read_as_it_was_written(
    done: tuple[Step, ...],
    seconds: dict[Step, float],
    names: dict[str, str],
    digest: str,
    is_opening: bool,
) -> None:
    logbook = Logbook(
        begin(a_cloud()).description, done, seconds, names, digest, names, is_opening
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


def test_another_cloud_is_refused_and_other_commands_are_not() -> None:
    logbook, cloud = begin(a_cloud()), a_cloud()
    with_commands = tuple(evolve(it, command=("ssh",)) for it in cloud.computers)

    check_same(logbook, evolve(cloud, computers=with_commands))
    check_same(parse_logbook(render_logbook(logbook)), cloud)
    with pytest.raises(Otherwise, match=r"name = 'cloud', and the file has 'other'"):
        check_same(logbook, evolve(cloud, name="other"))
    with pytest.raises(Otherwise, match="mini-master"):
        check_same(logbook, evolve(cloud, port=5444))
    with pytest.raises(Otherwise, match="regions"):
        check_same(logbook, evolve(cloud, computers=cloud.computers[::-1]))
