"""Days of usage: added up, sealed once, told in one document."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap.tioxml import decode_journal
from slapgrid.collecting.days import (
    Day,
    Days,
    SealedDays,
    absorb,
    date_of,
    due_for_sealing,
)
from slapgrid.collecting.journals import SUBJECTS_PER_DOCUMENT_MAX, render_day
from slapgrid.collecting.measures import Measure
from slapgrid.collecting.readings import (
    COMPUTER,
    Consumption,
    ProcessReading,
    Reading,
)
from slapgrid.collecting.records import (
    DiskFigure,
    Latest,
    Ledger,
    RecordRefused,
    decode_day,
    decode_ledger,
    encode_day,
    encode_ledger,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "slapgrid" / "usage-day.xml"
NOTHING_SEALED = SealedDays(frozenset(), 15)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def used(seconds: float, cpu_seconds: float) -> Consumption:
    return Consumption(seconds, {"slappart0": {Measure.CPU_SECONDS: cpu_seconds}})


def cpu_by_day(days: Days) -> dict[str, float]:
    return {
        day.date: round(day.average("slappart0", Measure.CPU_SECONDS) or 0.0, 6)
        for day in days.values()
    }


def test_a_consumption_across_midnight_belongs_to_both_days() -> None:
    days = absorb({}, used(60, 6), {}, at("2026-11-21 00:00:20"), NOTHING_SEALED)

    assert cpu_by_day(days) == {"2026-11-20": 4, "2026-11-21": 2}


def test_days_on_which_nobody_measured_get_their_share() -> None:
    now = at("2026-11-21 12:00")
    days = absorb({}, used(2.5 * 86400, 250), {}, now, NOTHING_SEALED)

    assert cpu_by_day(days) == {
        "2026-11-19": 100,
        "2026-11-20": 100,
        "2026-11-21": 50,
    }


def test_what_took_years_is_spread_over_a_month() -> None:
    days = absorb(
        {}, used(1000 * 86400, 1000), {}, at("2026-11-21 00:00"), NOTHING_SEALED
    )

    assert len(days) == 31
    assert sum(cpu_by_day(days).values()) == pytest.approx(1000)
    assert cpu_by_day(days)["2026-10-21"] == 970


def test_midnight_itself_belongs_to_the_day_that_ends() -> None:
    days = absorb({}, used(60, 6), {}, at("2026-11-21 00:00:00"), NOTHING_SEALED)

    assert cpu_by_day(days) == {"2026-11-20": 6}


def test_a_day_is_due_when_the_calendar_is_past_it() -> None:
    days = {"2026-11-20": Day("2026-11-20"), "2026-11-21": Day("2026-11-21")}

    assert due_for_sealing(days, at("2026-11-21 00:00:01")) == ("2026-11-20",)


def test_what_belongs_to_a_sealed_day_goes_to_the_next() -> None:
    """The calendar went back."""
    sealed = SealedDays(frozenset({"2026-11-19", "2026-11-20"}), 15)

    days = absorb({}, used(60, 6), {}, at("2026-11-19 12:00"), sealed)

    assert cpu_by_day(days) == {"2026-11-21": 6}


def test_a_day_that_is_forgotten_does_not_open_again() -> None:
    sealed = SealedDays(frozenset({"2026-11-19", "2026-11-20"}), 2)

    days = absorb({}, used(60, 6), {}, at("2025-01-01 12:00"), sealed)

    assert cpu_by_day(days) == {"2026-11-21": 6}


@given(
    st.lists(st.tuples(st.integers(1, 3 * 86400), st.integers(-4, 400)), max_size=30),
    st.integers(1, 5),
)
def test_whatever_the_calendar_does_all_is_told_once(
    steps: list[tuple[int, int]], kept_max: int
) -> None:
    """No day is sealed twice, and the sealed and the open days hold everything."""
    now = at("2026-11-21 00:00")
    days: Days = {}
    sealed: list[str] = []
    kept: frozenset[str] = frozenset()
    told = 0.0
    for elapsed, step_days in steps:
        now += elapsed + step_days * 86400 * (step_days < 0 or step_days > 395)
        days = absorb(days, used(elapsed, 1), {}, now, SealedDays(kept, kept_max))
        for due in due_for_sealing(days, now):
            sealed.append(due)
            told += days[due].average("slappart0", Measure.CPU_SECONDS) or 0.0
            kept = frozenset(sorted({*kept, due})[-kept_max:])
            days = {name: day for name, day in days.items() if name != due}

    assert len(sealed) == len(set(sealed))
    left = sum(cpu_by_day(days).values())
    assert told + left == pytest.approx(len(steps), abs=1e-3)


def test_a_level_is_averaged_over_the_time_it_is_known_for() -> None:
    """After an hour without a collection it says nothing of that hour."""
    days: Days = {}
    for minute, (elapsed, memory) in enumerate([(60, 100), (60, 200), (3600, 900)]):
        days = absorb(
            days,
            used(elapsed, 1),
            {"slappart0": {Measure.MEMORY_BYTES: memory}},
            at(f"2026-11-21 12:{minute:02}"),
            NOTHING_SEALED,
        )

    day = days["2026-11-21"]
    assert day.average("slappart0", Measure.MEMORY_BYTES) == pytest.approx(
        (60 * 100 + 60 * 200 + 300 * 900) / 420
    )
    assert day.peaks["slappart0"][Measure.MEMORY_BYTES] == 900
    assert day.average("slappart1", Measure.MEMORY_BYTES) is None


def a_day(partition_count: int = 1) -> Day:
    """A day on which one processor of four was busy."""
    partition = {Measure.CPU_SECONDS: 43200.0, Measure.PROGRAMS_RESTARTED: 2.0}
    levels = {Measure.MEMORY_BYTES: 86400 * 52428800.0, Measure.PROCESSES: 86400 * 3.0}
    names = [f"slappart{index}" for index in range(partition_count)]
    return Day(
        "2026-11-20",
        86400.0,
        amounts={
            COMPUTER: {Measure.CPU_SECONDS: 86400.0, Measure.SENT_BYTES: 123456789.0},
            **dict.fromkeys(names, partition),
        },
        levels={
            COMPUTER: {
                Measure.PROCESSORS: 86400 * 4.0,
                Measure.MEMORY_BYTES: 86400 * 1073741824.0,
            },
            **dict.fromkeys(names, levels),
        },
        level_seconds={
            COMPUTER: dict.fromkeys(
                (Measure.PROCESSORS, Measure.MEMORY_BYTES), 86400.0
            ),
            **dict.fromkeys(names, dict.fromkeys(levels, 86400.0)),
        },
    )


def test_the_document_of_a_day_never_changes() -> None:
    """A master knows it by its bytes: another rendering would be another document."""
    (document,) = render_day(a_day(), "COMP-1")

    assert document == GOLDEN.read_text()
    assert render_day(decode_day(encode_day(a_day())), "COMP-1") == (document,)


def test_a_day_without_consumption_has_no_document() -> None:
    assert render_day(Day("2026-11-20", 86400.0), "COMP-1") == ()


def test_a_large_computer_has_several_documents_that_masters_read() -> None:
    documents = render_day(a_day(SUBJECTS_PER_DOCUMENT_MAX), "COMP-1")

    journals = [decode_journal(document) for document in documents]
    assert [each.entries[0].reference for each in journals] == [
        "2026-11-20-global",
        "2026-11-20-global-2",
    ]


def test_what_is_open_is_read_as_it_was_written() -> None:
    ledger = Ledger(
        Reading(
            "boot",
            60.5,
            (ProcessReading(10, 1000, 1, "slappart0", 1, 2, 3, 4),),
            {("slappart0", Measure.SENT_BYTES): 5.0},
            {("slappart0", Measure.BANGS): 6.0},
        ),
        {"2026-11-20": a_day()},
        ("2026-11-19",),
        {"slappart0": 7.5},
        {"slappart0": DiskFigure(4096, 1.5), "slappart1": DiskFigure(None, 2.5)},
        Latest(2.5, 60.0, {"slappart0": {Measure.CPU_SECONDS: 1.0}}, {}, {"a": [1]}),
    )

    assert decode_ledger(encode_ledger(ledger)) == ledger


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"{}"])
def test_what_is_no_record_is_refused(content: bytes) -> None:
    with pytest.raises(RecordRefused):
        decode_ledger(content)
    with pytest.raises(RecordRefused):
        decode_day(content)


def test_the_day_of_an_instant_is_that_of_utc() -> None:
    assert date_of(at("2026-11-20 23:59:59")) == "2026-11-20"
