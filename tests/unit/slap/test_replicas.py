"""Which replica is asked next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap.replicas import (
    RETURN_DELAY_SECONDS,
    Answered,
    Failed,
    Replicas,
    absorb,
    choose,
)

URLS = ("http://a/", "http://b/", "http://c/")


def after(*failed: str, now: float = 0.0) -> Replicas:
    replicas = Replicas(URLS)
    for url in failed:
        replicas = absorb(replicas, Failed(url), now)
    return replicas


def test_the_preferred_replica_is_asked_first() -> None:
    assert choose(Replicas(URLS), 0.0) == URLS[0]


def test_the_first_failure_moves_on_to_the_next() -> None:
    assert choose(after(URLS[0]), 1.0) == URLS[1]


def test_failures_of_all_come_round() -> None:
    assert choose(after(*URLS), 1.0) == URLS[0]


def test_a_late_failure_of_a_replica_left_already_does_not_move_on_twice() -> None:
    assert choose(after(URLS[0], URLS[0]), 1.0) == URLS[1]


def test_the_preferred_replica_is_tried_again_after_a_delay() -> None:
    replicas = after(URLS[0])

    assert choose(replicas, RETURN_DELAY_SECONDS - 1) == URLS[1]
    assert choose(replicas, RETURN_DELAY_SECONDS) == URLS[0]


def test_an_answer_of_the_preferred_replica_brings_its_callers_back() -> None:
    assert absorb(after(URLS[0]), Answered(URLS[0]), 1.0) == Replicas(URLS)


def test_an_answer_of_another_one_changes_nothing() -> None:
    replicas = after(URLS[0])

    assert absorb(replicas, Answered(URLS[1]), 1.0) == replicas


def test_an_outcome_of_an_unlisted_address_changes_nothing() -> None:
    assert absorb(Replicas(URLS), Failed("http://elsewhere/"), 1.0) == Replicas(URLS)


@pytest.mark.parametrize("urls", [(), ("http://a/", "http://a/")])
def test_addresses_are_distinct_and_at_least_one(urls: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="distinct"):
        Replicas(urls)


@given(st.lists(st.sampled_from(URLS)), st.floats(0, 1e6))
def test_whatever_fails_there_is_a_replica_to_ask(
    failed: list[str], now: float
) -> None:
    assert choose(after(*failed), now) in URLS
