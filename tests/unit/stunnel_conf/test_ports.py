"""Entries: each program its port, and it keeps it."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stunnel_conf.links import BadLinks, Span
from stunnel_conf.ports import ABSENT_COUNT_MAX, assign

SPAN = Span("127.0.0.1", 10_000, 10_007)
NAMES = st.sets(st.sampled_from("abcdefghijkl"), max_size=8)
TAKEN = st.sets(st.integers(10_000, 10_009), max_size=3)


@given(st.lists(st.tuples(NAMES, TAKEN), max_size=6))
def test_ports_are_apart_and_stay(changes) -> None:
    """Whoever comes and goes; of a name that stays the port stays."""
    remembered: dict[str, int] = {}
    present: set[str] = set()
    for names, taken in changes:
        blocked = len(taken & set(range(10_000, 10_008)))
        assume(len(names) + blocked <= 8)
        ports = assign(names, SPAN, remembered, taken)

        assert names <= ports.keys()
        assert len(set(ports.values())) == len(ports)
        assert all(SPAN.first <= port <= SPAN.last for port in ports.values())
        for name in names & present:
            assert ports[name] == remembered[name]
        for name in names - remembered.keys():
            assert ports[name] not in taken
        remembered, present = ports, names


def test_a_name_that_comes_back_has_its_port_again() -> None:
    first = assign(["a", "b"], SPAN, {})
    without = assign(["b", "c"], SPAN, first)

    assert assign(["a", "b", "c"], SPAN, without)["a"] == first["a"]


def test_the_same_ports_are_found_where_nothing_is_remembered() -> None:
    assert assign(["a", "b", "c"], SPAN, {}) == assign(["c", "b", "a"], SPAN, {})


def test_a_port_of_who_is_gone_is_given_away_only_when_there_is_no_other() -> None:
    span = Span("127.0.0.1", 10_000, 10_001)
    first = assign(["a"], span, {})
    both = assign(["b"], span, first)
    assert both["b"] != first["a"]

    assert assign(["b", "c"], span, both) == {"b": both["b"], "c": first["a"]}


def test_without_a_port_it_is_said_so() -> None:
    with pytest.raises(BadLinks, match="no port is left for c; give them a wider span"):
        assign(["a", "b", "c"], Span("127.0.0.1", 10_000, 10_002), {}, {10_001})


def test_what_is_remembered_of_another_span_is_forgotten() -> None:
    assert assign(["a"], SPAN, {"a": 9, "b": 9})["a"] in range(10_000, 10_008)


def test_not_all_that_ever_was_is_remembered() -> None:
    span = Span("127.0.0.1", 10_000, 19_999)
    names = [f"p{number}" for number in range(2 * ABSENT_COUNT_MAX)]

    assert len(assign([], span, assign(names, span, {}))) == ABSENT_COUNT_MAX
