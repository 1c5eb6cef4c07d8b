"""Core. Which hosts a run has, and where: what faults and workloads may name."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from attrs import frozen

from labsim.refusals import BadInput


@frozen
class Region:
    """A place that fails as a whole, with the names of its hosts by their roles.

    ``people`` are where clients work; no fault hits them but cuts. ``neo_masters`` and
    ``storage_nodes`` are there when masters keep what they are told in NEO, and
    ``stunnels`` when it is linked by them.
    """

    name: str
    masters: tuple[str, ...] = ()
    computers: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    neo_masters: tuple[str, ...] = ()
    storage_nodes: tuple[str, ...] = ()
    stunnels: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        return (*self.machines, *self.people)

    @property
    def machines(self) -> tuple[str, ...]:
        """What has power to lose."""
        store = (*self.neo_masters, *self.storage_nodes, *self.stunnels)
        return (*self.masters, *store, *self.computers)


ROLES_OF_STORES = ("neo_masters", "storage_nodes", "stunnels")
ROLES = ("masters", "computers", "people", *ROLES_OF_STORES)
"""The fields of a region that name hosts."""

PREFIXES = {"neo_masters": "neo", "storage_nodes": "storage", "stunnels": "stunnel"}


@frozen
class Topology:
    """Regions, each with another name, as have all hosts."""

    regions: tuple[Region, ...]

    def __attrs_post_init__(self) -> None:
        names = [name for it in self.regions for name in (it.name, *it.hosts)]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise BadInput(f"two of one name: {', '.join(twice)}")
        if not self.masters:
            raise BadInput("no region has a master")

    @property
    def masters(self) -> tuple[str, ...]:
        return tuple(host for it in self.regions for host in it.masters)

    @property
    def neo_masters(self) -> tuple[str, ...]:
        return tuple(host for it in self.regions for host in it.neo_masters)

    @property
    def storage_nodes(self) -> tuple[str, ...]:
        return tuple(host for it in self.regions for host in it.storage_nodes)

    @property
    def stunnels(self) -> tuple[str, ...]:
        return tuple(host for it in self.regions for host in it.stunnels)

    @property
    def computers(self) -> tuple[str, ...]:
        return tuple(host for it in self.regions for host in it.computers)

    @property
    def people(self) -> tuple[str, ...]:
        return tuple(host for it in self.regions for host in it.people)

    @property
    def machines(self) -> tuple[str, ...]:
        return tuple(host for it in self.regions for host in it.machines)

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(host for it in self.regions for host in it.hosts)

    def names(self) -> frozenset[str]:
        """Everything that a fault may name."""
        return frozenset((*self.hosts, *(it.name for it in self.regions)))

    def hosts_of(self, names: Iterable[str]) -> tuple[str, ...]:
        """The hosts that are named, one by one or by their regions, each once."""
        by_region = {it.name: it.hosts for it in self.regions}
        found = [host for name in names for host in by_region.get(name, (name,))]
        return tuple(dict.fromkeys(found))

    def keeping(self, hosts: Collection[str]) -> Topology:
        """The same without the other hosts, and without regions that have none."""
        kept = (
            Region(
                it.name,
                **{
                    role: tuple(host for host in getattr(it, role) if host in hosts)
                    for role in ROLES
                },
            )
            for it in self.regions
        )
        return Topology(tuple(it for it in kept if it.hosts))


def build_topology(
    region_count: int,
    master_count: int,
    computer_count: int,
    people_count: int,
    *,
    store_roles: Collection[str] = (),
) -> Topology:
    """Spread so many of each evenly over the regions ``r1``, ``r2`` ...

    Each region has one of each of ``store_roles`` besides.
    """

    def names(prefix: str, count: int, region: int) -> tuple[str, ...]:
        numbers = range(region, count, region_count)
        return tuple(f"{prefix}-{number}" for number in numbers)

    return Topology(
        tuple(
            Region(
                f"r{region + 1}",
                names("master", master_count, region),
                names("COMP", computer_count, region),
                names("people", people_count, region),
                **{role: (f"{PREFIXES[role]}-{region}",) for role in store_roles},
            )
            for region in range(region_count)
        )
    )
