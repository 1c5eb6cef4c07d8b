"""How an instance goes: retention, programs of ``etc/prerm``, removal."""

from __future__ import annotations

import pytest
from attrs import evolve

from slap.model import Computer, Partition, PartitionInstance, PartitionKey
from slap.model import RequestedState as Wanted
from slapgrid.convergence.departure import (
    BadRetention,
    BeginRetention,
    Departure,
    DepartureRecord,
    DepartureStep,
    Keep,
    Remove,
    Retention,
    RunRemovalPrograms,
    decide_departure,
    decode_lock,
    decode_record,
    decode_wait_list,
    encode_record,
    read_retention_days,
)
from slapgrid.convergence.destruction import plan_destruction
from slapgrid.convergence.plans import (
    DestroyInstance,
    Report,
    RetainInstance,
    RetireInstance,
    Verdict,
)
from slapgrid.convergence.retrying import Effort, Outcome, RetryMemory, absorb
from slapgrid.convergence.views import LocalPartition, LocalView

NOW = 1_700_000_000.0
DAY = 86400.0
FROZEN = NOW - 100 * DAY


def decide(departure: Departure, now: float = NOW) -> DepartureStep:
    return decide_departure("slappart1", departure, now)


@pytest.mark.parametrize(
    "retention", [None, Retention(0.0, FROZEN), Retention(0.0, FROZEN, NOW + 1)]
)
def test_an_instance_without_retention_goes_at_once(
    retention: Retention | None,
) -> None:
    """Nobody asked to keep it."""
    assert decide(Departure(retention)) == Remove()


def test_the_first_attempt_begins_the_retention() -> None:
    """Its end is a whole delay away."""
    assert decide(Departure(Retention(2.5, FROZEN))) == BeginRetention(NOW + 2.5 * DAY)


def test_an_instance_is_kept_until_its_date_and_then_goes() -> None:
    """The reason names the date."""
    departure = Departure(Retention(2.0, FROZEN, NOW + DAY))

    assert decide(departure) == Keep(
        "slappart1 is kept until 2023-11-15 22:13 UTC, as its retention of 2 days asks",
        NOW + DAY,
    )
    assert decide(departure, NOW + DAY) == Remove()


def test_a_calendar_of_1970_neither_begins_an_end_that_passed_nor_ends_one() -> None:
    """Without a battery a computer wakes long before its instances were there."""
    fresh = Departure(Retention(2.0, FROZEN))
    begun = Departure(Retention(2.0, FROZEN, NOW + DAY))

    assert decide(fresh, 100.0) == BeginRetention(FROZEN + 2 * DAY)
    assert isinstance(decide(begun, 100.0), Keep)


def test_a_date_too_far_away_is_kept_and_said() -> None:
    """The calendar was set back; which one was right is not for us to know."""
    kept = decide(Departure(Retention(2.0, FROZEN, NOW + 50 * DAY)))

    assert isinstance(kept, Keep)
    assert "Remove its .slapos-retention-lock-date to count from now" in kept.reason


def test_what_was_released_is_not_kept_again() -> None:
    """The removal may have taken the date before the delay when it was killed."""
    released = DepartureRecord(is_released=True)

    assert decide(Departure(Retention(2.0, FROZEN), record=released)) == Remove()


def test_removal_programs_start_once_retention_is_over() -> None:
    """Not before, however small the delay that is left."""
    departure = Departure(Retention(1.0, FROZEN, NOW), removal_programs=("a", "b"))

    assert isinstance(decide(departure, NOW - 1), Keep)
    assert decide(departure) == RunRemovalPrograms(frozenset(), ("a", "b"))


def test_the_removal_waits_for_every_program() -> None:
    """One runs, one ended: the end is remembered, then only the other is waited for."""
    departure = Departure(
        removal_programs=("a", "b"),
        running_programs=frozenset({"a"}),
        ended_programs=frozenset({"b"}),
    )
    record = DepartureRecord(is_released=True, ended_programs=frozenset({"b"}))

    assert decide(departure) == RunRemovalPrograms(frozenset({"b"}), ())
    assert decide(evolve(departure, record=record)) == Keep(
        "slappart1 goes when a has ended"
    )


def test_a_program_that_ended_is_not_started_again_though_supervision_forgot() -> None:
    """Supervision was killed: what it does not know, the record does."""
    record = DepartureRecord(is_released=True, ended_programs=frozenset({"b"}))
    departure = Departure(removal_programs=("a", "b"), record=record)

    assert decide(departure) == RunRemovalPrograms(frozenset({"b"}), ("a",))


def test_what_the_wait_list_names_and_runs_is_waited_for() -> None:
    """Only of the instance itself."""
    waited = decode_wait_list(
        b"slappart1:x\nslappart10:y\n\nslappart1-prerm:z\n ../etc\n", "slappart1"
    )

    assert waited == ("slappart1-prerm:z", "slappart1:x")
    assert decide(Departure(awaited=("slappart1:x",))) == Keep(
        "slappart1 goes when slappart1:x has ended"
    )


def test_after_the_hook_only_the_removal_is_left() -> None:
    """The programs of ``etc/prerm`` may be half removed already."""
    record = DepartureRecord(is_released=True, is_hook_done=True)

    assert decide(Departure(removal_programs=("a",), record=record)) == Remove()


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e9"])
def test_a_retention_that_is_no_number_of_days_is_refused(text: str) -> None:
    """When the instance is deployed: later nobody could say what was meant."""
    with pytest.raises(BadRetention, match="retention_delay must be 0 to 36525 days"):
        read_retention_days(text)


@pytest.mark.parametrize(("text", "days"), [(None, 0.0), (" ", 0.0), ("1.5", 1.5)])
def test_days_are_read(text: str | None, days: float) -> None:
    assert read_retention_days(text) == days


@pytest.mark.parametrize("content", [None, b"", b"soon", b"\xff", b"nan", b"-1"])
def test_a_lock_that_is_no_number_is_none(content: bytes | None) -> None:
    assert decode_lock(content) is None


def test_locks_of_stock_nodes_are_read() -> None:
    """A delay and a date as they write them."""
    assert (decode_lock(b"10.0"), decode_lock(b"1700000000.0")) == (10.0, 1.7e9)


def test_a_record_is_that_of_its_instance() -> None:
    """Written and read again; another instance, or nonsense, has an empty one."""
    record = DepartureRecord(
        is_released=True, is_hook_done=True, ended_programs=frozenset({"a"})
    )
    content = encode_record("SOFTINST-1", record)

    assert decode_record(content, "SOFTINST-1") == record
    others = [(content, "SOFTINST-2"), (None, "x"), (b"[]", "x"), (b"{", "x")]
    assert [decode_record(*each) for each in others] == [DepartureRecord()] * 4


def a_computer() -> Computer:
    instance = PartitionInstance("guid", "t", "t", "http://r/x.cfg", "default", "1")
    key = PartitionKey("COMP-1", "slappart1")
    return Computer("COMP-1", (Partition(key, Wanted.DESTROYED, instance=instance),))


def a_view(departure: Departure) -> LocalView:
    local = LocalPartition("slappart1", has_content=True, departure=departure)
    return LocalView({"slappart1": local})


@pytest.mark.parametrize(
    ("departure", "action"),
    [
        (Departure(Retention(1.0, FROZEN)), RetainInstance("slappart1", NOW + DAY)),
        (
            Departure(removal_programs=("a",)),
            RetireInstance("slappart1", "guid", frozenset(), ("a",)),
        ),
        (Departure(), DestroyInstance("slappart1", "guid")),
    ],
)
def test_each_step_of_a_departure_is_an_action(
    departure: Departure, action: object
) -> None:
    """The next plan sees what it did."""
    planned = plan_destruction(a_computer(), a_view(departure), RetryMemory(), NOW)

    assert planned.actions == (action,)


def test_a_plan_says_why_an_instance_stays_and_wakes_when_it_goes() -> None:
    """Nothing is done and nothing is an error."""
    departure = Departure(Retention(2.0, FROZEN, NOW + DAY))

    planned = plan_destruction(a_computer(), a_view(departure), RetryMemory(), NOW)

    assert (planned.actions, planned.next_wake) == ((), NOW + DAY)
    assert planned.reason.startswith("nothing to do; slappart1 is kept until 2023-11-")


def test_a_step_that_fails_is_reported_and_tried_again_later() -> None:
    """With the words of the failure."""
    failed = Outcome(Effort.DESTROY, "slappart1", "", "sbin/destroy says no")
    memory = absorb(RetryMemory(), failed, NOW)

    (report,) = plan_destruction(
        a_computer(), a_view(Departure()), memory, NOW + 1
    ).actions

    assert isinstance(report, Report)
    assert (report.verdict, report.message) == (Verdict.ERROR, "sbin/destroy says no")
