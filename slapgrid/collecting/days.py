"""Core. Days: what was consumed is added up by UTC days until a day is sealed.

Theory of operation. The calendar may step, and whoever measures may be away for days.

1. A day is open from the first consumption in it until the calendar is past it. Then it
   is sealed, once: nothing is ever added to a sealed day.
2. A consumption is spread evenly over the time it took, which ends now. So days on
   which nobody measured get their share, and their document.
3. What belongs to a day that is sealed, because the calendar went back, goes to the
   first later day that is not. Nothing is lost and no day has two documents.
4. A day that was forgotten, being older than all that are kept, counts as sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType

from attrs import evolve, field, frozen

from slapgrid.collecting.measures import LEVELS, Measure
from slapgrid.collecting.readings import Amounts, Consumption

DAY_SECONDS = 86400.0
#: What is older was consumed on the first of these.
SPREAD_DAYS_MAX = 31
#: A level says nothing about a longer time.
LEVEL_SECONDS_MAX = 300.0
#: More subjects than a computer has are a mistake: they would fill the disk.
SUBJECTS_MAX = 20_000

_NONE: Amounts = MappingProxyType({})


@frozen
class Day:
    """What was consumed on one UTC day, by subject and measure.

    ``levels`` are sums over the ``level_seconds`` for which a level was known;
    ``peaks`` are the highest levels.
    """

    date: str
    elapsed_seconds: float = 0.0
    amounts: Amounts = field(default=_NONE)
    levels: Amounts = field(default=_NONE)
    level_seconds: Amounts = field(default=_NONE)
    peaks: Amounts = field(default=_NONE)

    def average(self, subject: str, measure: Measure) -> float | None:
        """The average of a level, or the sum of an amount; ``None`` if unknown."""
        if measure not in LEVELS:
            return self.amounts.get(subject, {}).get(measure)
        total = self.levels.get(subject, {}).get(measure)
        seconds = self.level_seconds.get(subject, {}).get(measure, 0.0)
        return None if total is None or seconds <= 0 else total / seconds


Days = Mapping[str, Day]
"""Open days by date."""


@frozen
class SealedDays:
    """The dates of the days that are sealed and kept; ``kept_max`` of them at most."""

    dates: frozenset[str]
    kept_max: int

    def holds(self, day: str) -> bool:
        """Whether nothing may be added to a day."""
        is_full = len(self.dates) >= self.kept_max
        return day in self.dates or (is_full and day < min(self.dates))


def date_of(now: float) -> str:
    """The UTC day of an instant."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def absorb(
    days: Days,
    consumption: Consumption,
    levels: Amounts,
    now: float,
    sealed: SealedDays,
) -> Days:
    """Add what was consumed until now, and what the levels are now."""
    changed = dict(days)
    elapsed = consumption.elapsed_seconds
    shares = _shares(now, elapsed) if consumption.amounts or elapsed > 0 else ()
    for day, share in shares:
        open_day = _first_open(day, sealed)
        changed[open_day] = _add(
            changed.get(open_day, Day(open_day)), consumption, share
        )
    if levels and elapsed > 0:
        today = _first_open(date_of(now), sealed)
        seconds = min(elapsed, LEVEL_SECONDS_MAX)
        changed[today] = _level(changed.get(today, Day(today)), levels, seconds)
    return MappingProxyType(dict(sorted(changed.items())))


def due_for_sealing(days: Days, now: float) -> tuple[str, ...]:
    """The open days that are over."""
    today = date_of(now)
    return tuple(day for day in sorted(days) if day < today)


def _shares(now: float, elapsed_seconds: float) -> Iterable[tuple[str, float]]:
    """The days of the time that ends now, each with its part of it."""
    if elapsed_seconds <= 0:
        yield date_of(now), 1.0
        return
    start = now - elapsed_seconds
    end = now
    for count in range(SPREAD_DAYS_MAX):
        midnight = end - end % DAY_SECONDS
        if midnight == end:
            midnight -= DAY_SECONDS
        if start >= midnight or count == SPREAD_DAYS_MAX - 1:
            yield date_of(midnight), (end - start) / elapsed_seconds
            return
        yield date_of(midnight), (end - midnight) / elapsed_seconds
        end = midnight


def _first_open(day: str, sealed: SealedDays) -> str:
    if sealed.holds(day) and sealed.dates:
        # Nothing older than what is kept opens again.
        day = max(day, min(sealed.dates))
    while sealed.holds(day):
        day = (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    return day


def _add(day: Day, consumption: Consumption, share: float) -> Day:
    return evolve(
        day,
        elapsed_seconds=day.elapsed_seconds + share * consumption.elapsed_seconds,
        amounts=_merge(
            day.amounts, consumption.amounts, lambda old, new: old + share * new
        ),
    )


def _level(day: Day, levels: Amounts, seconds: float) -> Day:
    return evolve(
        day,
        levels=_merge(day.levels, levels, lambda old, new: old + seconds * new),
        level_seconds=_merge(day.level_seconds, levels, lambda old, _: old + seconds),
        peaks=_merge(day.peaks, levels, max),
    )


def _merge(
    old: Amounts, new: Amounts, combine: Callable[[float, float], float]
) -> Amounts:
    merged = dict(old)
    for subject, measures in new.items():
        if subject not in merged and len(merged) >= SUBJECTS_MAX:
            continue
        values = dict(merged.get(subject, {}))
        for measure, value in measures.items():
            values[measure] = combine(values.get(measure, 0.0), value)
        merged[subject] = MappingProxyType(values)
    return MappingProxyType(merged)
