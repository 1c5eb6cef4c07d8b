"""Core. Which regions a master is asked for, and how far each is with that."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from attrs import frozen

from slap.reports import InstanceReport, TreeReport
from slapcluster.hosting.numbering import (
    REGIONS_KEY,
    Misasked,
    check_numbers,
    in_order,
    known_numbers,
    next_number,
    read_wanted_numbers,
    write_numbers,
)
from slapcluster.hosting.rolling import RegionLeg, read_legs


@frozen
class RegionComing:
    """How far a region is; ``is_done`` when nothing of a change is left in it."""

    name: str
    computer_id: str
    sentence: str
    is_done: bool


def choose_regions(
    tree: TreeReport, added: Collection[str], removed: Collection[str]
) -> dict[str, int]:
    """Return the regions that the root is to be asked for; ``Misasked`` if none can be.

    Who comes gets a number that nobody has. Repeated when all is done it is the same.
    """
    root, *instances = tree.instances
    wanted = read_wanted_numbers(root.parameters.get(REGIONS_KEY, ""))
    known = {**known_numbers(instances), **wanted}
    twice = sorted({*added} & {*removed})
    if twice:
        raise Misasked(f"{', '.join(twice)}: it comes or leaves, and not both")
    chosen = {name: number for name, number in wanted.items() if name not in removed}
    for name in dict.fromkeys(added):
        number = known.get(name) or next_number({*known.values(), *chosen.values()})
        chosen.setdefault(name, number)
    checked = read_wanted_numbers(write_numbers(chosen))
    check_numbers(checked, known_numbers(instances))
    return checked


def look_at_regions(
    tree: TreeReport, numbers: Mapping[str, int]
) -> tuple[RegionComing, ...]:
    """Return all regions, those that leave last; ``Misasked`` for no master."""
    instances = {it.title: it for it in tree.instances[1:]}
    legs = read_legs([*instances.values()])
    leaving = sorted(legs.keys() - numbers.keys())
    return tuple(
        _look(tree.title, name, instances.get(name), legs.get(name), numbers)
        for name in (*in_order(numbers), *leaving)
    )


def _look(
    service: str,
    name: str,
    instance: InstanceReport | None,
    leg: RegionLeg | None,
    numbers: Mapping[str, int],
) -> RegionComing:
    place = instance.partition if instance else None
    sentence = next(_obstacles(service, name, instance, leg, numbers), "")
    return RegionComing(
        name,
        place.computer_id if place else "",
        sentence or "is there",
        is_done=not sentence,
    )


def _obstacles(
    service: str,
    name: str,
    instance: InstanceReport | None,
    leg: RegionLeg | None,
    numbers: Mapping[str, int],
) -> Iterator[str]:
    if instance is None or leg is None:
        yield "is to be asked for"
        return
    if instance.partition is None:
        yield f"has no place yet: `slapcluster why {name} --root {service}` says why"
    if leg.trouble:
        yield f"fails: {leg.trouble.splitlines()[-1]}"
    if name not in numbers:
        yield "is destroyed" if leg.is_going else "leaves"
        return
    if not leg.is_there:
        yield "begins"
    if not instance.connection_parameters.get("replica-url"):
        signing = f"`slapcluster region sign {service} --root DIRECTORY`"
        yield f"has a key that waits to be signed: {signing}"
    yield from _rest_of_leg(leg, write_numbers(numbers))


def _rest_of_leg(leg: RegionLeg, regions: str) -> Iterator[str]:
    if not leg.is_settled:
        yield "begins without cells" if leg.asked.cells.waits else "takes up its leg"
    if leg.asked.cells.waits:
        yield "waits for its cells"
    if leg.asked.cells.drops:
        yield "has cells of others dropped"
    if leg.asked.regions != regions:
        yield "its turn comes"
