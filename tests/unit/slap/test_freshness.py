"""The header by which nobody is told less than they have seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap.freshness import (
    FRESHNESS_HEADER,
    UNSEEN,
    decode_freshness,
    freshness_of,
)

TEXT = "03f6c1d2a4b5c6d7"


@given(st.binary(min_size=8, max_size=8))
def test_what_is_sent_is_what_is_read(tid: bytes) -> None:
    assert decode_freshness(tid.hex()) == tid


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "",
        TEXT.upper(),
        TEXT[:-1],
        f"{TEXT}0",
        f"{TEXT}, {TEXT}",
        f"0x{TEXT[2:]}",
        f"\n{TEXT}",
        f"{TEXT}\n",
        "\u0663" * 16,
    ],
)
def test_an_odd_header_says_nothing(odd: str | None) -> None:
    assert decode_freshness(odd) == UNSEEN


def test_a_header_is_found_however_it_is_written() -> None:
    for name in (FRESHNESS_HEADER, FRESHNESS_HEADER.lower(), FRESHNESS_HEADER.upper()):
        assert freshness_of({"Date": "today", name: f" {TEXT} "}).hex() == TEXT
    assert freshness_of({"Date": "today"}) == UNSEEN
