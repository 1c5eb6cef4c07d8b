"""The numbers of regions, which they have for as long as they are there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.observation import REGION_ID_MAX
from slap.reports import InstanceReport
from slapcluster.hosting.numbering import (
    Misasked,
    check_numbers,
    in_order,
    known_numbers,
    next_number,
    read_numbers,
    read_wanted_numbers,
    write_numbers,
)


def test_numbers_are_of_the_place_or_given_and_order_the_regions():
    """A region that leaves takes its number with it."""
    assert read_wanted_numbers("a b c") == {"a": 1, "b": 2, "c": 3}
    numbers = read_numbers("lima=7 lyon=2 tokyo=3 oslo=9")
    assert in_order(numbers) == ("lyon", "tokyo", "lima", "oslo")
    assert write_numbers(numbers) == "lyon=2 tokyo=3 lima=7 oslo=9"
    assert read_numbers(write_numbers(numbers)) == numbers


def a_requested_region(title, regions, requested_state="started"):
    return InstanceReport(
        title,
        root_title="cloud",
        instance_guid="I",
        requester_title="cloud",
        software_release_url="",
        software_type="region",
        is_shared=False,
        requested_state=requested_state,
        parameters={"regions": regions},
    )


def test_who_has_which_number_is_read_from_what_was_asked():
    """Regions that leave too, until nothing is left of them."""
    reports = (
        a_requested_region("paris", "paris lyon tokyo"),
        a_requested_region("oslo", "paris=1 lyon=2 tokyo=3 oslo=7"),
        a_requested_region("rome", "rome=9", requested_state="destroyed"),
        a_requested_region("hello", ""),
    )
    assert known_numbers(reports) == {"paris": 1, "oslo": 7, "rome": 9}


KNOWN = {"paris": 1, "lyon": 2, "tokyo": 3}


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ("paris=1 lyon=2 tokyo=3", ""),
        ("paris=1 lyon=2 tokyo=3 oslo=4 rome=5", ""),
        ("paris=1 oslo=7 tokyo=3", ""),
        ("lyon paris tokyo", "regions: lyon has a number of its own: ask for lyon=2"),
        ("paris tokyo oslo", "regions: tokyo has a number of its own: ask for tokyo=3"),
        (
            "paris=1 oslo=2 tokyo=3",
            "regions: oslo=2: that is the number of lyon; ask for oslo=4",
        ),
        (
            "a=11 b=12 c=13 d=14 e=15 f=16 g=17",
            "regions: 10 with those that leave; at most 9: let some leave",
        ),
    ],
)
def test_numbers_are_not_given_twice(wanted, sentence):
    if not sentence:
        check_numbers(read_wanted_numbers(wanted), KNOWN)
        return
    with pytest.raises(Misasked) as caught:
        check_numbers(read_wanted_numbers(wanted), KNOWN)
    assert str(caught.value).startswith(sentence)


@given(st.sets(st.integers(1, REGION_ID_MAX - 1), max_size=REGION_ID_MAX - 2))
def test_there_is_a_number_for_who_comes(taken):
    number = next_number(taken)
    assert 1 <= number < REGION_ID_MAX
    assert number not in taken
