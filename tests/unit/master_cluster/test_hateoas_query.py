"""The queries that stock clients send, and what else arrives in their place."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master_cluster.browsing import FOUND_COUNT_MAX, Kind, Location, Search
from master_cluster.web.hateoas_query import (
    parse_location,
    parse_query,
    parse_search,
    render_location,
)
from slap.errors import BadRequest, NotFound
from slap.form import Form

TREES = 'portal_type:"Instance Tree" AND validation_state:validated'
COMPUTERS = 'portal_type:"Compute Node" AND validation_state:validated'
INSTALLATIONS = 'portal_type:"Software Installation" AND validation_state:validated'
INSTANCES = (
    'portal_type:("Software Instance", "Slave Instance") AND validation_state:validated'
)
NAMES = st.text().filter(lambda it: '"' not in it)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (TREES, Search(Kind.TREE)),
        (f'{TREES} AND title:="T"', Search(Kind.TREE, title="T")),
        (COMPUTERS, Search(Kind.COMPUTER)),
        (f'{COMPUTERS} AND title:="T"', Search(Kind.COMPUTER, title="T")),
        (
            f'{COMPUTERS} AND reference:="COMP-1"',
            Search(Kind.COMPUTER, computer_id="COMP-1"),
        ),
        (
            f'{INSTANCES} AND default_specialise_title:="T"',
            Search(Kind.INSTANCE, tree_title="T"),
        ),
        (INSTALLATIONS, Search(Kind.INSTALLATION)),
        (
            f'{INSTALLATIONS} AND default_aggregate_reference:="C"',
            Search(Kind.INSTALLATION, computer_id="C"),
        ),
    ],
)
def test_each_query_of_a_stock_client_is_understood(query: str, wanted: Search) -> None:
    assert parse_query(query) == wanted


@given(NAMES)
def test_any_title_without_a_quote_is_looked_for(title: str) -> None:
    wanted = Search(Kind.TREE, title=title)

    assert parse_query(f'{TREES} AND title:="{title}"') == wanted


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "not understood"),
        ("title", "not understood"),
        (f'{TREES} AND title:="a"b"', "not understood"),
        (f'{TREES} AND title:="', "not understood"),
        (f'{TREES} AND title:=""" ', "not understood"),
        (f"{TREES} AND ", "not understood"),
        (f'{TREES} OR title:="x"', "not understood"),
        (f'({TREES}) AND title:="x"', "not understood"),
        (f'{TREES} AND title:="a" AND title:="b"', "given twice"),
        (f'{TREES} AND title:"%"', "is not answered"),
        (f'{TREES} AND reference:="x"', "reference.* is not answered for trees"),
        (f'{COMPUTERS} AND owner:="x"', "is not answered for computers"),
        (f"{TREES} AND validation_state:validated", "wants validation_state"),
        ('portal_type:"Instance Tree"', "wants validation_state"),
        ("validation_state:validated", "wants one of"),
        (f'{TREES} AND portal_type:"Compute Node"', "wants one of"),
        ('portal_type:"Person" AND validation_state:validated', "wants one of"),
        (INSTANCES, "found by default_specialise_title"),
    ],
)
def test_anything_else_is_refused_with_its_reason(query: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        parse_query(query)


@given(st.text(alphabet='porta_l:=" AND()valid,"title', max_size=60))
def test_a_drawn_query_is_understood_or_refused(query: str) -> None:
    with suppress(BadRequest):
        assert isinstance(parse_query(query), Search)


@pytest.mark.parametrize(
    ("limit", "count"), [("", FOUND_COUNT_MAX), ("7", 7), ("999999999", 10_000)]
)
def test_a_limit_is_kept_within_ours(limit: str, count: int) -> None:
    fields = {"query": TREES, **({"limit": limit} if limit else {})}

    assert parse_search(Form(fields)).found_count_max == count


@pytest.mark.parametrize("limit", ["-1", "x", "1,2", "9" * 5000, "\u0663"])
def test_a_limit_that_is_no_number_is_refused(limit: str) -> None:
    with pytest.raises(BadRequest, match="limit"):
        parse_search(Form({"query": TREES, "limit": limit}))


@given(st.sampled_from(list(Kind)), st.text(), st.text())
def test_a_place_is_found_again(kind: Kind, name: str, url: str) -> None:
    location = Location(kind, name, url if kind is Kind.INSTALLATION else "")

    assert parse_location(render_location(location)) == location


@pytest.mark.parametrize(
    "relative_url",
    ["", "/", "person_module/1", "compute_node_module", "compute_node_module/a/b"],
)
def test_another_address_is_not_found(relative_url: str) -> None:
    with pytest.raises(NotFound):
        parse_location(relative_url)
