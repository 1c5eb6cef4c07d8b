"""Lives of parts, of production code as it is; `labsim score` plays them without it."""

from __future__ import annotations

from labsim.lives import (
    agent,
    bootstrap,
    commits,
    forwarding,
    freshness,
    links,
    replicas,
    rivals,
    upgrade,
    usage,
)
from labsim.mutants.trials import play_trial


def test_all_consumption_is_counted_once_whoever_dies() -> None:
    assert usage.find_problem(1) == ""


def test_rivals_have_what_the_last_of_them_asked_for() -> None:
    assert rivals.find_problem(1) == ""


def test_what_a_removal_waits_for_is_not_slept_through() -> None:
    """Nor is anything else: this agent looks at what it runs once an hour."""
    assert agent.find_problem(0) == ""


def test_another_master_has_what_was_asked_for_last_and_nothing_else() -> None:
    assert forwarding.find_problem(1) == ""


def test_a_store_in_a_file_has_what_was_acknowledged_whenever_the_power_goes() -> None:
    assert commits.find_problem(0) == ""


def test_time_goes_back_for_nobody_whichever_master_falls_behind() -> None:
    assert freshness.find_problem(0) == ""


def test_whoever_polls_has_an_answer_soon_whichever_replica_is_lost() -> None:
    assert replicas.find_problem(0) == ""


def test_a_cloud_comes_to_host_itself_whoever_is_killed() -> None:
    """The digests of several seeds are compared by the campaign."""
    assert bootstrap.play(4).problems == ()


def test_regions_take_up_a_release_one_at_a_time_whoever_is_killed() -> None:
    """And go back from it; `make soak CAMPAIGN=upgrade` plays more."""
    assert upgrade.play(1).problems == ()


def test_links_are_what_was_wanted_last_whoever_is_killed() -> None:
    assert [links.find_problem(seed) for seed in range(3)] == [""] * 3


def test_a_trial_is_played_by_its_name() -> None:
    assert play_trial("neo", 2) is None
