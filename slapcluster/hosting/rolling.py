"""Core. What each region is asked to run while the master changes what that is.

The root of the master is processed with the release and the regions that are wanted.
It asks one of its regions at a time to run that: the next one when all others are
settled. Nothing is remembered in its partition: what each region was asked last, and
what it published of that, is asked of the master.

1. Each change of what a region is asked is a leg with a number of its own. A region is
   settled when it published the number of its last leg, which it does when its
   promises were kept with the programs of that leg. So what it published of an earlier
   leg, of the same release too, says nothing.
2. A region that is settled is given another leg only when all others are settled. One
   that is not may be given another at any time: it is in the middle of one anyway. So
   no leg begins while another region is in one, whatever was wanted meanwhile.
3. Regions that failed go first: they have least to lose. One that failed with what is
   wanted holds all others.
4. What was never there runs nothing, and is asked for what is wanted at once.

Regions come and go in an order (decision 52) in which whoever runs knows all that have
cells, and is known by all: who comes begins without cells and without a replica; all
that have some are told of it, in legs; it takes cells; one region drops those of who
leaves; that one is destroyed; when it is gone all that stay forget it, in legs.
Whoever comes and has no cells yet is waited for by nobody but itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import evolve, field, frozen

from slap.model import RequestedState
from slap.reports import InstanceReport
from slapcluster.hosting.numbering import (
    REGIONS_KEY,
    in_order,
    known_numbers,
    write_numbers,
)

LEG_KEY = "leg"
"""The parameter that numbers a leg; regions that never had one are not told."""

CELLS_KEY = "cells"
"""The parameter that says what a region does about cells, but for the usual."""

SETTLED_KEY = "settled"
"""The leg that a region publishes, when it is settled."""

RELEASE_KEY = "release-url"

LEG_DIGITS_MAX = 9

_WAIT, _DROP = "wait", "drop"
_OF_ANOTHER = "another release"


@frozen
class CellsWish:
    """What a region does about cells: usually it sees to its own storage node.

    One that ``waits`` takes none. One that ``drops`` has those of other regions, by
    their numbers, dropped.
    """

    waits: bool = False
    drops: frozenset[int] = frozenset()

    def __str__(self) -> str:
        if self.waits:
            return _WAIT
        return " ".join((_DROP, *map(str, sorted(self.drops)))) if self.drops else ""


WAITING = CellsWish(waits=True)
USUAL = CellsWish()


def read_cells(text: str) -> CellsWish:
    """Read what is written above; ``ValueError`` for what is not."""
    word, *numbers = text.split() or [""]
    if word == _WAIT and not numbers:
        return WAITING
    if not word:
        return USUAL
    if word != _DROP or not numbers or not all(map(read_number, numbers)):
        raise ValueError(f"{text!r} is neither {_WAIT} nor {_DROP} with numbers")
    return CellsWish(drops=frozenset(map(int, numbers)))


@frozen
class Leg:
    """What a region is asked to run; ``number`` is ``""`` before its first change.

    ``regions`` is the text of those that it knows, with their numbers.
    """

    release_url: str
    number: str = ""
    regions: str = ""
    cells: CellsWish = USUAL

    def next(self, wanted: Leg) -> Leg:
        """Return this leg, or the next one, if another thing is wanted."""
        if self == evolve(wanted, number=self.number):
            return self
        return evolve(wanted, number=str(int(self.number or "0") + 1))


@frozen
class RegionLeg:
    """A region as the master knows it.

    ``settled`` is the number that it published, ``None`` when it published nothing
    yet. ``trouble`` is what its agent reported last, when that is an error.
    ``has_seen_cells`` is of any region's cells. One that ``is_going`` is destroyed as
    soon as its computer says so.
    """

    asked: Leg
    settled: str | None
    trouble: str = ""
    number: int = 0
    has_seen_cells: bool = False
    is_going: bool = False

    @property
    def is_there(self) -> bool:
        """Whether it ever ran anything."""
        return self.settled is not None

    @property
    def is_settled(self) -> bool:
        return self.settled == self.asked.number

    @property
    def has_cells(self) -> bool:
        """Whether it may have some, as far as it was asked."""
        return not self.asked.cells.waits


@frozen
class Roll:
    """What each region is asked, by name; ``held`` says what the roll waits for."""

    legs: Mapping[str, Leg] = field(factory=dict)
    held: str = ""

    def document(self) -> dict[str, dict[str, object]]:
        """Return in what the requests of regions differ, as the recipe reads it."""
        return {
            name: {"software-url": leg.release_url, "parameters": _parameters(leg)}
            for name, leg in self.legs.items()
        }


def _parameters(leg: Leg) -> dict[str, str]:
    told = {LEG_KEY: leg.number, CELLS_KEY: str(leg.cells)}
    return {REGIONS_KEY: leg.regions, **{key: it for key, it in told.items() if it}}


def read_legs(reports: Collection[InstanceReport]) -> dict[str, RegionLeg]:
    """Return the regions that were asked for, from what the master tells.

    ``Misasked`` and ``ValueError`` for what no root asked.
    """
    numbers = known_numbers(reports)
    return {
        it.title: RegionLeg(
            Leg(
                it.software_release_url,
                read_number(it.parameters.get(LEG_KEY)),
                it.parameters.get(REGIONS_KEY, ""),
                read_cells(it.parameters.get(CELLS_KEY, "")),
            ),
            _settled(it.connection_parameters, it.software_release_url),
            _trouble(it),
            numbers[it.title],
            it.connection_parameters.get("storage") == "created",
            it.requested_state == RequestedState.DESTROYED.value,
        )
        for it in reports
        if it.title in numbers
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


def _settled(published: Mapping[str, str], release_url: str) -> str | None:
    if not published.get("address"):
        return None
    if published.get(RELEASE_KEY, "") not in {"", release_url}:
        # A pass of another release read the parameters of this leg.
        return _OF_ANOTHER
    return published.get(SETTLED_KEY, "")


def decide_roll(
    wanted_url: str, numbers: Mapping[str, int], known: Mapping[str, RegionLeg]
) -> Roll:
    """Return what each region is asked now, and what is waited for.

    ``numbers`` are of the regions that are wanted. A region of ``known`` that is in
    none of the legs is to be destroyed. Regions are to be asked in the order of the
    legs. Decided again from what was asked by this, it is the same.
    """
    if not any(it.has_seen_cells for it in known.values()):
        return _decide_beginning(wanted_url, numbers, known)
    return _Change.of(wanted_url, numbers, known).decide()


def _decide_beginning(
    wanted_url: str, numbers: Mapping[str, int], known: Mapping[str, RegionLeg]
) -> Roll:
    """Before there are cells other regions lose nothing, and are all told at once."""
    wanted = Leg(wanted_url, regions=write_numbers(numbers))
    legs, there, targets = {}, {}, {}
    for name in in_order(numbers):
        region = known.get(name)
        if region is None:
            legs[name] = wanted
        elif not region.is_there:
            # It may begin just now: another number, so that this one is proved.
            legs[name] = region.asked.next(wanted)
        else:
            legs[name] = evolve(wanted, release_url=region.asked.release_url)
            legs[name] = evolve(legs[name], number=region.asked.number)
            there[name] = evolve(region, asked=legs[name])
            targets[name] = wanted
    chosen = _choose(targets, there)
    if chosen:
        legs[chosen] = legs[chosen].next(wanted)
    return Roll(legs, _describe(targets, there, legs))


@frozen
class _Change:
    """One decision, once there are cells.

    ``members`` may have cells, those that leave too; they and ``coming``, which have
    none, are the regions of ``together``. ``gone`` are those that have none any more:
    nobody forgets them before they are destroyed, as their replicas would call whom
    they cannot reach dead. Who never had any just goes.
    """

    wanted_url: str
    numbers: Mapping[str, int]
    members: Mapping[str, RegionLeg]
    waiting: Mapping[str, RegionLeg]
    gone: tuple[str, ...]

    @classmethod
    def of(
        cls,
        wanted_url: str,
        numbers: Mapping[str, int],
        known: Mapping[str, RegionLeg],
    ) -> _Change:
        over: set[int] = set()
        under_way: set[int] = set()
        for it in known.values():
            (over if it.is_settled else under_way).update(it.asked.cells.drops)
        numbered = {name: it.number for name, it in known.items()}
        members, waiting, gone = {}, {}, []
        for name in in_order(numbered):
            it = known[name]
            if it.is_going or (it.has_cells and it.number in over):
                # Also when it is wanted again: another one begins then.
                if it.has_cells or name in numbers:
                    gone.append(name)
            elif it.has_cells and it.is_there:
                members[name] = it
            elif name in numbers:
                waiting[name] = it
        stay = {
            name: number
            for name, number in numbers.items()
            if name not in members or number not in under_way
        }
        return cls(wanted_url, stay, members, waiting, tuple(gone))

    @property
    def holding(self) -> dict[str, int]:
        """Return the members that leave, with their numbers."""
        return {
            name: it.number
            for name, it in self.members.items()
            if name not in self.numbers
        }

    @property
    def together(self) -> str:
        return write_numbers({**self.holding, **self.numbers})

    @property
    def coming(self) -> tuple[str, ...]:
        return tuple(it for it in in_order(self.numbers) if it not in self.members)

    def decide(self) -> Roll:
        if self.gone:
            known = {**self.waiting, **self.members}
            asked = {name: it.asked for name, it in known.items()}
            return Roll(asked, f"{', '.join(self.gone)} is destroyed")
        targets = self._targets()
        legs = {name: self._of_comer(name) for name in self.coming}
        legs |= {name: it.asked for name, it in self.members.items()}
        chosen = _choose(targets, self.members)
        if chosen:
            legs[chosen] = legs[chosen].next(targets[chosen])
        elif self._are_well(targets):
            of_cells = self._of_cells()
            legs |= of_cells
            targets |= {it: of_cells[it] for it in of_cells if it in targets}
        held = _describe(targets, self.members, legs, self._names())
        return Roll(legs, held or self._describe_cells())

    def _are_well(self, targets: Mapping[str, Leg]) -> bool:
        return all(
            _is_at(it, targets[name]) and not it.trouble
            for name, it in self.members.items()
        )

    def _of_comer(self, name: str) -> Leg:
        """Whoever has no cells is told of all at once: nobody needs it.

        One that began with the first ones is not asked to wait.
        """
        wanted = Leg(self.wanted_url, "1", self.together, WAITING)
        region = self.waiting.get(name)
        if region is None:
            return wanted
        return region.asked.next(evolve(wanted, cells=region.asked.cells))

    def _targets(self) -> dict[str, Leg]:
        """Return what members are to run, whatever the number of their leg is."""
        are_there = all(
            name in self.waiting and self.waiting[name].is_there for name in self.coming
        )
        targets = {
            name: Leg(
                self.wanted_url,
                regions=self.together if are_there else it.asked.regions,
            )
            for name, it in self.members.items()
        }
        for name, it in self.members.items():
            others = (n for n in self.members if n != name)
            are_at = all(_is_at(self.members[n], targets[n]) for n in others)
            if it.asked.cells.drops and not (it.is_settled and are_at):
                # It goes on dropping until no other one has a way there.
                targets[name] = it.asked
        return targets

    def _of_cells(self) -> dict[str, Leg]:
        """Return the next leg in which a region takes cells, or has some dropped."""
        for name in self.coming:
            region = self.waiting.get(name)
            wanted = Leg(self.wanted_url, "", self.together, WAITING)
            if region and _is_at(region, wanted) and not region.trouble:
                return {name: region.asked.next(evolve(wanted, cells=USUAL))}
        if self.coming or not self.holding:
            return {}
        name = next(it for it in self.members if it in self.numbers)
        drops = CellsWish(drops=frozenset(self.holding.values()))
        asked = self.members[name].asked
        return {name: asked.next(evolve(asked, cells=drops))}

    def _names(self) -> str:
        """Return the regions of now, while they change; ``""`` else."""
        together = in_order({**self.holding, **self.numbers})
        know = {it.asked.regions for it in self.members.values()}
        is_same = know == {self.together} and not self.coming and not self.holding
        return "" if is_same else " ".join(together)

    def _describe_cells(self) -> str:
        """Say which region comes; ``""`` when none does."""
        for name in self.coming:
            region = self.waiting.get(name)
            if region is None or not region.is_there:
                return f"{name} has not begun"
        for name in self.coming:
            return f"{name} begins without cells{_because(self.waiting[name])}"
        return ""


def _is_at(region: RegionLeg, target: Leg) -> bool:
    """Whether a region is settled in what is wanted."""
    return region.is_settled and region.asked.next(target) == region.asked


def _choose(targets: Mapping[str, Leg], regions: Mapping[str, RegionLeg]) -> str:
    """Return the region that is asked for its target now, if there is one."""
    others = {
        name: it
        for name, it in regions.items()
        if it.asked.next(targets[name]) != it.asked
    }
    unsettled = [name for name, it in regions.items() if not it.is_settled]
    if unsettled:
        return next((name for name in unsettled if name in others), "")
    if any(it.trouble for name, it in regions.items() if name not in others):
        return ""
    failing = [name for name, it in others.items() if it.trouble]
    return next(iter([*failing, *others]), "")


def _describe(
    targets: Mapping[str, Leg],
    there: Mapping[str, RegionLeg],
    legs: Mapping[str, Leg],
    names: str = "",
) -> str:
    """Say what a roll waits for; ``""`` when none is under way.

    Whoever begins is waited for by others: this is about changes alone. ``names`` are
    of the regions, while those change.
    """
    late = [name for name in there if legs[name].next(targets[name]) != legs[name]]
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
        f"{name} {_describe_leg(legs[name], names)}{_because(there[name])}"
        for name in subjects
    )
    if not late:
        return told
    after = f"{', '.join(late)} {'is' if len(late) == 1 else 'are'} next"
    return f"{told}; {after}"


def _describe_leg(leg: Leg, names: str) -> str:
    if leg.cells.drops:
        dropped = ", ".join(f"region {it}" for it in sorted(leg.cells.drops))
        return f"has the cells of {dropped} dropped"
    return f"takes up {leg.release_url}{f' with {names}' if names else ''}"


def _because(region: RegionLeg) -> str:
    return f" ({region.trouble.splitlines()[-1]})" if region.trouble else ""
