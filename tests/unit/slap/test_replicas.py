"""Which replica is asked next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap.replicas import (
    AWAY_DELAY_SECONDS,
    REPLICA_COUNT_MAX,
    RETURN_DELAY_SECONDS,
    Answered,
    AnsweredAway,
    AnsweredStale,
    Failed,
    ListedReplica,
    Replicas,
    absorb,
    choose,
    decode_replicas,
    encode_replicas,
    order_asked,
    order_urls,
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


def test_a_call_asks_each_once_those_that_failed_last_in_the_end() -> None:
    assert order_asked(after(URLS[0]), 1.0) == (URLS[1], URLS[2], URLS[0])
    assert order_asked(after(*URLS), 1.0) == URLS


def test_a_late_failure_of_a_replica_left_already_does_not_move_on_twice() -> None:
    assert choose(after(URLS[0], URLS[0]), 1.0) == URLS[1]


def test_callers_that_left_together_come_back_one_after_the_other() -> None:
    early, late = (
        absorb(Replicas(URLS), Failed(URLS[0], drawn), 0.0) for drawn in (0.0, 1.0)
    )
    assert choose(early, RETURN_DELAY_SECONDS / 2) == URLS[0]
    assert choose(late, RETURN_DELAY_SECONDS * 1.4) == URLS[1]
    assert choose(late, RETURN_DELAY_SECONDS * 1.5) == URLS[0]


def test_who_answers_as_of_before_is_asked_after_one_other() -> None:
    """So there is an answer soon; who knows more is found all the same."""
    stale = absorb(Replicas(URLS), AnsweredStale(URLS[0]), 0.0)
    assert order_asked(stale, 1.0) == (URLS[1], URLS[0], URLS[2])

    failed = absorb(stale, Failed(URLS[1]), 1.0)
    assert order_asked(failed, 2.0) == (URLS[2], URLS[0], URLS[1])
    assert order_asked(absorb(failed, Failed(URLS[2]), 2.0), 3.0)[0] == URLS[0]

    current = absorb(failed, Answered(URLS[2]), 2.0)
    assert order_asked(current, 3.0) == (URLS[2], URLS[0], URLS[1])


def test_who_was_stale_and_does_not_answer_is_as_any_other() -> None:
    stale = absorb(Replicas(URLS), AnsweredStale(URLS[0]), 0.0)
    assert absorb(stale, Failed(URLS[0]), 1.0) == after(URLS[0], now=1.0)


def test_other_addresses_leave_what_is_known_of_the_rest() -> None:
    replicas = after(URLS[0]).listing((URLS[0], "http://[::1]/"))
    assert order_asked(replicas, 1.0) == ("http://[::1]/", URLS[0])


HERE = ListedReplica("http://[2001:db8::1]:5000", "eu")
THERE = ListedReplica("https://192.0.2.1/x", "us")


def test_replicas_of_the_own_region_are_preferred() -> None:
    configured = ("http://127.0.0.1:1", HERE.url)
    listed = (HERE, THERE)
    assert order_urls(configured, listed) == (*configured, THERE.url)
    assert order_urls(configured, listed, "us") == (THERE.url, *configured)


def test_a_list_is_read_as_it_was_written() -> None:
    assert decode_replicas(encode_replicas((HERE, THERE))) == (HERE, THERE)
    assert decode_replicas(f"{HERE.url} eu,{HERE.url}\teu , ,x eu") == (HERE,)
    many = [ListedReplica(f"http://[::{it}]", "eu") for it in range(1, 50)]
    assert len(decode_replicas(encode_replicas(many))) == REPLICA_COUNT_MAX


@pytest.mark.parametrize(
    "url",
    [
        "ftp://[::1]/",
        "http://a.example/",
        "http://[::1]/a b",
        "http://[::1]/,",
        "http://[::1]/\n",
        "http://[::1]/" + "x" * 200,
        "",
    ],
)
def test_what_is_no_address_of_a_replica_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        ListedReplica(url, "eu")
    assert decode_replicas(f"{url} eu, {HERE.url} eu")[-1:] in {(HERE,), ()}


@given(st.text())
def test_an_odd_list_is_read_as_what_is_well_in_it(header: str) -> None:
    for it in decode_replicas(header):
        assert it == ListedReplica(it.url, it.region)


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


def test_who_says_that_it_is_away_is_asked_before_who_says_nothing() -> None:
    """It is there, and knows when it can answer again."""
    replicas = absorb(Replicas(URLS), AnsweredAway(URLS[1]), 0.0)
    replicas = absorb(replicas, Failed(URLS[0]), 0.0)
    replicas = absorb(replicas, AnsweredAway(URLS[2]), 0.0)

    assert order_asked(replicas, 1.0)[-1] == URLS[0]
    assert order_asked(replicas, 2 * AWAY_DELAY_SECONDS)[-1] == URLS[0]
