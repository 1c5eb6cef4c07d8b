"""Core. Which release each region is asked to run while the master changes its own.

The root of the master is processed with the release that is wanted. It asks for its
regions, and asks one of them at a time to run that release too: the next one when all
others are settled. Nothing is remembered in its partition: what each region was asked
last, and what it published of that, is asked of the master.

1. Each change of a region's release is a leg with a number of its own. A region is
   settled when it published the number of its last leg, which it does when its
   promises were kept with the programs of that leg. So what it published of an earlier
   leg, of the same release too, says nothing.
2. A region that is settled is given another leg only when all others are settled. One
   that is not may be given another at any time: it is in the middle of one anyway. So
   no leg begins while another region is in one, whatever was wanted meanwhile.
3. Regions that failed go first: they have least to lose. One that failed with the
   release that is wanted holds all others.
4. What was never there runs nothing, and is asked for the wanted release at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from attrs import field, frozen

from slap.model import RequestedState
from slap.reports import InstanceReport

LEG_KEY = "leg"
"""The parameter that numbers a leg; regions that never had one are not told."""

SETTLED_KEY = "settled"
"""The leg that a region publishes, when it is settled."""

RELEASE_KEY = "release-url"

LEG_DIGITS_MAX = 9


@frozen
class Leg:
    """What a region is asked to run; ``number`` is ``""`` before its first change."""

    release_url: str
    number: str = ""

    def next(self, release_url: str) -> Leg:
        return Leg(release_url, str(int(self.number or "0") + 1))


@frozen
class RegionLeg:
    """A region as the master knows it.

    ``settled`` is the number that it published, ``None`` when it published nothing
    yet. ``trouble`` is what its agent reported last, when that is an error.
    """

    asked: Leg
    settled: str | None
    trouble: str = ""

    @property
    def is_there(self) -> bool:
        """Whether it ever ran anything."""
        return self.settled is not None

    @property
    def is_settled(self) -> bool:
        return self.settled == self.asked.number


@frozen
class Roll:
    """What each region is asked, by name; ``held`` says what the roll waits for."""

    legs: Mapping[str, Leg] = field(factory=dict)
    held: str = ""

    def document(self) -> dict[str, dict[str, object]]:
        """Return in what the requests of regions differ, as the recipe reads it."""
        return {
            name: {
                "software-url": leg.release_url,
                "parameters": {LEG_KEY: leg.number} if leg.number else {},
            }
            for name, leg in self.legs.items()
        }


def read_legs(
    names: Collection[str], reports: Collection[InstanceReport]
) -> dict[str, RegionLeg]:
    """Return the regions that were asked for and stay, from what the master tells."""
    return {
        it.title: RegionLeg(
            Leg(it.software_release_url, read_number(it.parameters.get(LEG_KEY))),
            _settled(it.connection_parameters),
            _trouble(it),
        )
        for it in reports
        if it.title in names and it.requested_state != RequestedState.DESTROYED.value
    }


def read_number(text: str | None) -> str:
    """Return the number of a leg, ``""`` for what is none."""
    text = text or ""
    is_number = text.isascii() and text.isdecimal() and len(text) <= LEG_DIGITS_MAX
    return text if is_number else ""


def settled_message(number: str) -> str:
    """Return what a region bangs with that has proved a leg."""
    return f"the region is settled in leg {number}"


def _trouble(report: InstanceReport) -> str:
    """Return what an instance fails with; masters call its own bang an error too."""
    number = read_number(report.parameters.get(LEG_KEY))
    message = report.message.strip()
    if report.reported_state != "error" or message.endswith(settled_message(number)):
        return ""
    return message


def _settled(published: Mapping[str, str]) -> str | None:
    if not published.get("address"):
        return None
    return published.get(SETTLED_KEY, "")


def decide_roll(
    wanted_url: str, names: Sequence[str], known: Mapping[str, RegionLeg]
) -> Roll:
    """Return what each region of ``names`` is asked now, and what is waited for.

    Decided again from what was asked by this, it is the same.
    """
    legs = {}
    for name in names:
        region = known.get(name)
        if region is None:
            legs[name] = Leg(wanted_url)
        elif not region.is_there:
            # It may begin just now: another number, so that this one is proved.
            legs[name] = _asked(region, wanted_url)
        else:
            legs[name] = region.asked
    there = {name: known[name] for name in names if name in known}
    chosen = _choose(wanted_url, {n: it for n, it in there.items() if it.is_there})
    if chosen:
        legs[chosen] = there[chosen].asked.next(wanted_url)
    return Roll(legs, _describe(wanted_url, there, legs))


def _asked(region: RegionLeg, wanted_url: str) -> Leg:
    if region.asked.release_url == wanted_url:
        return region.asked
    return region.asked.next(wanted_url)


def _choose(wanted_url: str, regions: Mapping[str, RegionLeg]) -> str:
    """Return the region that is asked for the wanted release now, if there is one."""
    others = {
        name: it for name, it in regions.items() if it.asked.release_url != wanted_url
    }
    unsettled = [name for name, it in regions.items() if not it.is_settled]
    if unsettled:
        return next((name for name in unsettled if name in others), "")
    if any(it.trouble for name, it in regions.items() if name not in others):
        return ""
    failing = [name for name, it in others.items() if it.trouble]
    return next(iter([*failing, *others]), "")


def _describe(
    wanted_url: str, known: Mapping[str, RegionLeg], legs: Mapping[str, Leg]
) -> str:
    """Say what a roll waits for; ``""`` when none is under way.

    Whoever begins is waited for by others: this is about changes alone.
    """
    there = {name: it for name, it in known.items() if it.is_there}
    late = [name for name in there if legs[name].release_url != wanted_url]
    moving = [
        name
        for name, it in there.items()
        if not it.is_settled or legs[name] != it.asked
    ]
    troubled = [name for name in there if there[name].trouble and name not in late]
    if not moving and not late:
        return ""
    subjects = moving or troubled
    told = ", ".join(
        f"{name} takes up {legs[name].release_url}{_because(there[name])}"
        for name in subjects
    )
    if not late:
        return told
    after = f"{', '.join(late)} {'is' if len(late) == 1 else 'are'} next"
    return f"{told}; {after}"


def _because(region: RegionLeg) -> str:
    return f" ({region.trouble.splitlines()[-1]})" if region.trouble else ""
