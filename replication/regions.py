"""Core. The description of a NEO cluster whose regions live on one computer.

It is a file of JSON in the directory of the neo_cluster, written when that is created.
A region has a directory beside it, and three programs: a neo_master, a storage node
with a copy of everything, and an admin node, which answers questions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from attrs import evolve, frozen

from replication.observation import REGION_ID_MAX
from replication.quorum import REGION_COUNT_MIN

DESCRIPTION_FILE = "neo_cluster.json"

REGION_COUNT_MAX = 9
"""Each commit waits for all of them; more than some add copies and take speed."""

PARTITION_COUNT_MAX = 1000
"""Each is a row that every node holds and every start compares."""

PORTS = range(20000, 32000)
"""Below those that Linux gives to connections that are made from here (32768 and
above): a port of a region that is stopped is still free when it starts again."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_ADDRESS = re.compile(r"(?:127\.0\.0\.1|\[::1\]):(\d{1,5})")
_STORAGE_NODE_ID = re.compile(r"S\d+")
_PORT_MAX = 65535


class Misdescribed(Exception):
    """No description of a neo_cluster; the sentence says what is wrong."""


class ProgramKind(StrEnum):
    """The programs of a region, in the order in which they are started."""

    NEO_MASTER = "neo_master"
    STORAGE_NODE = "storage_node"
    ADMIN_NODE = "admin_node"


@frozen
class Region:
    """A region: where its programs listen, as ``127.0.0.1:20001`` or ``[::1]:20001``.

    ``number`` is its own for ever: those of its storage nodes begin with it.
    ``storage_node_id`` is how NEO numbers its storage node, ``S1``; ``None`` before
    there are cells.
    """

    name: str
    number: int
    neo_master: str
    storage_node: str
    admin_node: str
    storage_node_id: str | None = None

    def __attrs_post_init__(self) -> None:
        _check(_NAME.fullmatch(self.name), f"{self.name!r} is no name of a region")
        _check(
            1 <= self.number <= REGION_ID_MAX,
            f"{self.number} is no number of a region",
        )
        for address in self.addresses.values():
            found = _ADDRESS.fullmatch(address)
            _check(
                found and 0 < int(found[1]) <= _PORT_MAX,
                f"{address!r}: write 127.0.0.1:PORT or [::1]:PORT",
            )
        known = self.storage_node_id
        _check(
            known is None or _STORAGE_NODE_ID.fullmatch(known),
            f"{known!r} is no storage node",
        )

    @property
    def addresses(self) -> dict[ProgramKind, str]:
        return {kind: getattr(self, kind.value) for kind in ProgramKind}


@frozen
class NeoCluster:
    """A neo_cluster: its name, its regions, and how many neo_partitions it has."""

    name: str
    partition_count: int
    regions: tuple[Region, ...]

    def __attrs_post_init__(self) -> None:
        _check(_NAME.fullmatch(self.name), f"{self.name!r}: {NAME_RULE}")
        _check(
            1 <= self.partition_count <= PARTITION_COUNT_MAX,
            f"{self.partition_count} partitions: 1 to {PARTITION_COUNT_MAX}",
        )
        _check(
            1 <= len(self.region_numbers) <= REGION_COUNT_MAX,
            f"{len(self.region_numbers)} regions: 1 to {REGION_COUNT_MAX}",
        )
        _check_different("region", [it.name for it in self.regions])
        # One that moves is there twice, until what it becomes has all.
        there = {it.number for it in self.regions if it.storage_node_id}
        numbers = [
            it.number
            for it in self.regions
            if it.storage_node_id or it.number not in there
        ]
        _check_different("number", [str(it) for it in numbers])
        _check_different("address", [a for r in self.regions for a in _addresses(r)])

    @property
    def is_created(self) -> bool:
        """Whether it has cells: a storage node without number is a new one."""
        return any(region.storage_node_id for region in self.regions)

    @property
    def region_numbers(self) -> frozenset[int]:
        return frozenset(region.number for region in self.regions)

    @property
    def replica_count(self) -> int:
        """How many copies there are besides the first: each region has one."""
        return len(self.region_numbers) - 1

    @property
    def neo_masters(self) -> tuple[str, ...]:
        return tuple(region.neo_master for region in self.regions)

    @property
    def store_uri(self) -> str:
        """What ``slapcluster proxy --store`` is given."""
        return f"neo:{self.name}@{','.join(self.neo_masters)}"

    def region(self, name: str) -> Region:
        for region in self.regions:
            if region.name == name:
                return region
        names = ", ".join(region.name for region in self.regions)
        raise Misdescribed(f"there is no region {name!r}; there are {names}")

    def numbered(self, storage_node_ids: dict[str, str]) -> NeoCluster:
        """Return it with the numbers of the storage nodes at these addresses."""
        return evolve(
            self,
            regions=tuple(
                evolve(it, storage_node_id=storage_node_ids[it.storage_node])
                for it in self.regions
            ),
        )

    def difference(self, wanted: NeoCluster) -> str:
        """Say in what it is not the wanted one; ``""`` when somebody asked for it.

        Addresses but for the host are nobody's wish: they are drawn.
        """
        told = []
        for name, own, other in (
            ("name", self.name, wanted.name),
            ("partitions", self.partition_count, wanted.partition_count),
            ("regions", _names(self), _names(wanted)),
            ("host", _host(self), _host(wanted)),
        ):
            if own != other:
                told.append(f"{name} {own}, not {other}")
        return "; ".join(told)


NAME_RULE = "a name has lower-case letters, digits and hyphens, at most 31"


def plan_neo_cluster(
    name: str,
    region_names: Iterable[str],
    partition_count: int,
    host: str,
    ports: Iterator[int],
) -> NeoCluster:
    """Return a description with the next ports for the programs of each region."""
    names = tuple(region_names)
    _check(
        len(names) >= REGION_COUNT_MIN and len(names) % 2,
        f"{len(names)} regions: an odd number, {REGION_COUNT_MIN} or more, so that "
        "most of them are left when one is lost",
    )
    numbered = ((region, number) for number, region in enumerate(names, start=1))
    return describe_regions(name, numbered, partition_count, host, ports)


def describe_regions(
    name: str,
    numbered: Iterable[tuple[str, int]],
    partition_count: int,
    host: str,
    ports: Iterator[int],
) -> NeoCluster:
    """Do so for regions with their numbers: it may be an even number of regions."""
    shown = f"[{host}]" if ":" in host else host
    return NeoCluster(
        name,
        partition_count,
        tuple(
            Region(region, number, *(f"{shown}:{next(ports)}" for _ in ProgramKind))
            for region, number in numbered
        ),
    )


def next_region(
    neo_cluster: NeoCluster,
    name: str,
    ports: Iterator[int],
    number: int | None = None,
) -> Region:
    """Return another region with the next ports, and a number that none has."""
    free = (
        it for it in range(1, REGION_ID_MAX) if it not in neo_cluster.region_numbers
    )
    host = _host(neo_cluster)
    shown = f"[{host}]" if ":" in host else host
    return Region(
        name,
        number or next(free),
        *(f"{shown}:{next(ports)}" for _ in ProgramKind),
    )


def split_address(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def render_description(neo_cluster: NeoCluster) -> bytes:
    document = {
        "name": neo_cluster.name,
        "partition_count": neo_cluster.partition_count,
        "regions": [
            {
                "name": region.name,
                "number": region.number,
                **{kind.value: it for kind, it in region.addresses.items()},
                "storage_node_id": region.storage_node_id,
            }
            for region in neo_cluster.regions
        ],
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def parse_description(content: bytes) -> NeoCluster:
    """Read a description; ``Misdescribed`` says what is wrong with it."""
    try:
        document = json.loads(content)
        return NeoCluster(
            _text(document["name"]),
            _number(document["partition_count"]),
            tuple(_region(it) for it in document["regions"]),
        )
    except KeyError as error:
        raise Misdescribed(f"{error.args[0]!r} is missing") from error
    except (ValueError, TypeError) as error:
        raise Misdescribed(f"it is not understood ({error})") from error


def _region(document: dict[str, object]) -> Region:
    known = document["storage_node_id"]
    return Region(
        _text(document["name"]),
        _number(document["number"]),
        _text(document["neo_master"]),
        _text(document["storage_node"]),
        _text(document["admin_node"]),
        None if known is None else _text(known),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no number")
    return value


def _addresses(region: Region) -> Iterable[str]:
    return region.addresses.values()


def _names(neo_cluster: NeoCluster) -> str:
    return " ".join(region.name for region in neo_cluster.regions)


def _host(neo_cluster: NeoCluster) -> str:
    return split_address(neo_cluster.regions[0].neo_master)[0]


def _check(is_so: object, otherwise: str) -> None:
    if not is_so:
        raise Misdescribed(otherwise)


def _check_different(what: str, values: list[str]) -> None:
    for value in values:
        _check(values.count(value) == 1, f"the {what} {value} is there twice")
