"""The headers of polls, as a master reads them and as a caller does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap.calls import HttpAnswer, HttpCall
from slap.errors import NotFound, SlapError
from slap.model import Computer
from slap.polling import (
    ETAG_LENGTH_MAX,
    UNCONDITIONAL,
    Condition,
    Polled,
    Unchanged,
    accepts_gzip,
    decode_condition,
    decode_poll,
    decode_wait,
    encode_poll,
)
from slap.xml_codec import encode_computer

ETAG_TEXTS = st.text(
    st.sampled_from(
        [chr(it) for it in (0x21, *range(0x23, 0x7F), *range(0x80, 0x100))]
    ),
    max_size=10,
)


@pytest.mark.parametrize(
    ("header", "condition"),
    [
        ('"a"', Condition({"a"})),
        ('W/"a"', Condition({"a"})),
        ('"a", W/"b",\t"c"', Condition({"a", "b", "c"})),
        (', "a" ,, "b,c" ,', Condition({"a", "b,c"})),
        ('""', Condition({""})),
        ("*", Condition(is_any=True)),
        (" * ", Condition(is_any=True)),
        ("", UNCONDITIONAL),
        ("a", UNCONDITIONAL),
        ('w/"a"', UNCONDITIONAL),
        ('"a" "b"', UNCONDITIONAL),
        ('"a', UNCONDITIONAL),
        ('"a b"', UNCONDITIONAL),
        ('*, "a"', UNCONDITIONAL),
    ],
)
def test_a_condition_is_a_list_of_names_or_a_star(
    header: str, condition: Condition
) -> None:
    assert decode_condition(header) == condition


@given(st.lists(ETAG_TEXTS, min_size=1), st.booleans())
def test_every_list_of_names_is_read_back(etags: list[str], is_weak: bool) -> None:
    prefix = "W/" if is_weak else ""

    condition = decode_condition(", ".join(f'{prefix}"{it}"' for it in etags))

    assert condition == Condition(etags)
    assert all(condition.holds(it) for it in etags)
    assert not condition.holds("another one")


def test_a_star_holds_whatever_there_is() -> None:
    assert decode_condition("*").holds("anything")


@given(st.text(max_size=50))
def test_odd_headers_raise_nothing(text: str) -> None:
    decode_condition(text)
    decode_wait(text)
    accepts_gzip(text)


def test_a_long_odd_header_is_read_in_no_time() -> None:
    decode_condition('"a"' + " " * 100_000 + "," * 100_000 + "x")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=10", 10),
        ("WAIT = 10", 10),
        ('wait="10"', 10),
        ("respond-async, wait=10; foo=bar", 10),
        ("wait=10, wait=20", 10),
        ("wait=0", 0),
        ("", None),
        ("respond-async", None),
        ("wait", None),
        ("wait=-1", None),
        ("wait=1.5", None),
        ("wait=٣", None),
        ("wait=9999999999", None),
    ],
)
def test_a_wait_is_a_number_of_seconds(header: str, seconds: int | None) -> None:
    assert decode_wait(header) == seconds


@pytest.mark.parametrize(
    ("header", "is_accepted"),
    [
        ("gzip, deflate", True),
        ("GZip", True),
        ("x-gzip", True),
        ("*", True),
        ("gzip;q=0.5, identity", True),
        ("deflate, gzip ; q=1.0", True),
        ("gzip;level=9", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("*, gzip;q=0", False),
        ("*;q=0", False),
    ],
)
def test_gzip_is_sent_to_who_reads_it(header: str, is_accepted: bool) -> None:
    assert accepts_gzip(header) is is_accepted


def test_a_poll_says_what_its_caller_has() -> None:
    path = "getFullComputerInformation?computer_id=COMP-1"

    assert encode_poll("COMP-1") == HttpCall("GET", path)
    assert encode_poll("COMP-1", None, 10) == HttpCall("GET", path)
    assert encode_poll("COMP-1", '"a"') == HttpCall(
        "GET", path, {"If-None-Match": '"a"'}
    )
    assert encode_poll("COMP-1", '"a"', 10) == HttpCall(
        "GET", path, {"If-None-Match": '"a"', "Prefer": "wait=10"}
    )


COMPUTER = Computer("COMP-1")


@pytest.mark.parametrize(
    ("header", "etag"),
    [
        ({}, None),
        ({"ETag": '"a"'}, '"a"'),
        ({"etag": ' W/"a" '}, 'W/"a"'),
        ({"ETag": "a"}, None),
        ({"ETag": '"a", "b"'}, None),
        ({"ETag": f'"{"a" * ETAG_LENGTH_MAX}"'}, None),
    ],
)
def test_a_document_comes_with_its_name(header: dict[str, str], etag: str) -> None:
    answer = HttpAnswer(200, header, encode_computer(COMPUTER))

    assert decode_poll("COMP-1", None, answer) == Polled(COMPUTER, etag)


@pytest.mark.parametrize(
    ("header", "has_waited"),
    [({}, False), ({"Preference-Applied": "wait=10"}, True)],
)
def test_what_is_not_modified_is_unchanged(
    header: dict[str, str], has_waited: bool
) -> None:
    answer = HttpAnswer(304, header)

    assert decode_poll("COMP-1", '"a"', answer) == Unchanged(has_waited=has_waited)


@pytest.mark.parametrize(("status", "error"), [(404, NotFound), (304, SlapError)])
def test_what_is_no_answer_to_the_question_is_an_error(
    status: int, error: type[SlapError]
) -> None:
    """Nothing can be unchanged for who has nothing."""
    with pytest.raises(error):
        decode_poll("COMP-1", None, HttpAnswer(status, {}, b"no"))
