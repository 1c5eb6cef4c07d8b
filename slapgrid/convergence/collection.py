"""Core. Which releases that nobody supplies any more to remove, and when.

1. A release is kept for the retention after it was seen first in no wanted document: a
   master that lost its state, or an operator who errs, costs no build.
2. What counts is the time during which the agent saw it missing, noted on disk, and no
   more than ``SIGHT_SECONDS_MAX`` from one sight to the next: neither a calendar that
   steps nor a computer that was off for a month makes a release old.
3. A release that a partition's files name stays, however old.
4. When space is short, the retention is over: one goes after the other, the longest
   unsupplied first, until there is room.
"""

from __future__ import annotations

from math import inf, isfinite

from attrs import frozen

from slap.model import Computer
from slapgrid.convergence.draft import Draft
from slapgrid.convergence.plans import (
    ForgetAbsence,
    NoteAbsence,
    Plan,
    RemoveUnsupplied,
)
from slapgrid.convergence.retrying import RetryMemory
from slapgrid.convergence.views import Absence, LocalView, UnsuppliedRelease
from slapgrid.layout import release_directory

#: Notes cost a write to disk each.
NOTE_SECONDS = 3600.0
#: What counts at most between two sights: one-shot passes may be a day apart.
SIGHT_SECONDS_MAX = 86400.0


def wanted_directories(desired: Computer) -> frozenset[str]:
    """The directories of all releases that the document names, in whatever state."""
    urls = {each.software_release_url for each in desired.installations}
    urls |= {
        each.instance.software_release_url
        for each in desired.partitions
        if each.instance is not None
    }
    return frozenset(map(release_directory, urls))


def lengthen(absence: Absence | None, now: float) -> Absence:
    """The absence with what passed since it was seen last."""
    if absence is None:
        return Absence(0.0, now)
    passed = min(max(0.0, now - absence.seen_at), SIGHT_SECONDS_MAX)
    return Absence(absence.seconds + passed, now)


@frozen
class CollectionForecast:
    """What will become of an unsupplied release."""

    release: UnsuppliedRelease
    absent_seconds: float
    rest_seconds: float

    @property
    def is_due(self) -> bool:
        """Whether it goes at the next look."""
        return self.rest_seconds <= 0 and not self.release.users

    @property
    def sentence(self) -> str:
        if self.release.users:
            return f"stays while {self.release.users[0]} uses it"
        if self.rest_seconds <= 0:
            return "goes at the next look"
        if self.rest_seconds == inf:
            return "stays, as software_retention_days says"
        return f"goes in {self.rest_seconds / 86400:.1f} days"


def forecast_collection(
    observed: LocalView, retention_seconds: float, now: float
) -> tuple[CollectionForecast, ...]:
    """What ``plan_collection`` will do, release by release; it changes nothing."""
    is_hastened = observed.is_space_short and isfinite(retention_seconds)
    absences = [
        (release, lengthen(release.absence, now).seconds)
        for release in observed.unsupplied
    ]
    return tuple(
        CollectionForecast(
            release,
            seconds,
            0.0 if is_hastened else max(0.0, retention_seconds - seconds),
        )
        for release, seconds in absences
    )


def is_removable(
    release: UnsuppliedRelease, retention_seconds: float, now: float
) -> bool:
    """Whether the retention is over; its users must then be looked for."""
    return lengthen(release.absence, now).seconds >= retention_seconds


def plan_collection(
    observed: LocalView, memory: RetryMemory, now: float, retention_seconds: float
) -> Plan:
    """Note what is unsupplied and remove what was so for long.

    ``observed.releases`` are those that are wanted. An infinite retention ends never.
    """
    draft = Draft(memory, now)
    is_hastened = observed.is_space_short and isfinite(retention_seconds)
    for url, wanted in observed.releases.items():
        if wanted.has_absence:
            draft.add(ForgetAbsence(release_directory(url)))
    is_removing = False
    for release in sorted(observed.unsupplied, key=lambda each: _age(each, now)):
        name = release.software_release_url or release.directory
        absence = lengthen(release.absence, now)
        is_due = absence.seconds >= retention_seconds or is_hastened
        if is_due and release.users:
            draft.say(f"{name} is not supplied and stays: {release.users[0]} uses it")
            draft.wake(now + NOTE_SECONDS)
        elif is_due and release.users is not None:
            if not (is_removing and is_hastened):
                draft.add(RemoveUnsupplied(release.directory))
                draft.say(f"{name} is not supplied any more and goes")
            is_removing = True
            continue
        _note(draft, release, absence)
        if not is_due:
            draft.wake(now + min(NOTE_SECONDS, retention_seconds - absence.seconds))
    return draft.finished()


def _age(release: UnsuppliedRelease, now: float) -> tuple[float, str]:
    return -lengthen(release.absence, now).seconds, release.directory


def _note(draft: Draft, release: UnsuppliedRelease, absence: Absence) -> None:
    noted = release.absence
    # One in the future was noted before the calendar was set back.
    if noted is None or not 0 <= draft.now - noted.seen_at < NOTE_SECONDS:
        draft.add(NoteAbsence(release.directory, absence))
