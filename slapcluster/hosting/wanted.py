"""Core. What is asked of the instances of master-cluster, read from their parameters.

The root has the regions, and asks for an instance for each of them. A region is asked
for one name, and is handed what all of them have published so far.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen

from replication.links import LinkedRegion
from replication.regions import NAME_RULE, PARTITION_COUNT_MAX
from slapcluster.hosting.numbering import (
    REGIONS_KEY,
    Misasked,
    in_order,
    is_name,
    read_numbers,
    read_wanted_numbers,
)
from slapcluster.hosting.rolling import (
    CELLS_KEY,
    LEG_KEY,
    RELEASE_KEY,
    SETTLED_KEY,
    USUAL,
    CellsWish,
    Roll,
    read_cells,
    read_number,
)
from stunnel_conf.links import BadLinks, read_endpoint, read_host, read_port

NEO_CLUSTER = "slapcluster"
PARTITION_COUNT = 12
"""As ``storage create`` has it: each region has one storage node with everything."""

PUBLISHED_BYTES_MAX = 256 * 1024
"""Of all regions together: nine of them with two certificates are a tenth of it."""

ROOT_KEYS = frozenset(
    {REGIONS_KEY, "storage", "neo-cluster", "neo-partitions", "authority"}
)

KNOWN_AS_KEY = "known-as"
"""What a region publishes that was elsewhere before: others translate that."""


class StorageWish(StrEnum):
    """Whether cells may be made where there never were any."""

    CREATE = "create"
    JOIN = "join"


@frozen
class WantedRoot:
    """The master as a whole; regions have their ``numbers`` for ever.

    ``authority`` has the certificate of each region, with its root, by name, once the
    root of the cloud has signed them.
    """

    numbers: Mapping[str, int]
    storage: StorageWish = StorageWish.JOIN
    neo_cluster: str = NEO_CLUSTER
    partition_count: int = PARTITION_COUNT
    authority: Mapping[str, str] = field(factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the regions in the order of their numbers."""
        return in_order(self.numbers)


@frozen
class PublishedRegion:
    """What a region has published: how the others reach it, and what it knows.

    ``is_created`` is for ever: it has seen cells of this neo_cluster.
    ``certificate_request`` is of the key that signs in the region, and ``replica_url``
    is there once that is signed. ``release_url`` is what its last pass ran from, and
    ``settled`` the number of the last leg in which its promises were kept.
    """

    linked: LinkedRegion
    is_created: bool = False
    certificate_request: str = ""
    replica_url: str = ""
    release_url: str = ""
    settled: str = ""


@frozen
class WantedRegion:
    """One region of it; ``others`` are those that have published.

    ``leg`` numbers the changes of what is asked of it, ``""`` before the first one.
    ``before`` is what this one published, here or where it was before.
    """

    name: str
    root: WantedRoot
    others: Mapping[str, PublishedRegion] = field(factory=dict)
    leg: str = ""
    before: PublishedRegion | None = None
    cells: CellsWish = USUAL

    @property
    def number(self) -> int:
        return self.root.numbers[self.name]

    @property
    def is_first(self) -> bool:
        """Whether it is the one that has cells made."""
        return self.root.names[0] == self.name


def read_root(parameters: Mapping[str, str]) -> WantedRoot:
    """Return what the root is asked for; ``Misasked`` for what cannot be."""
    for key in sorted(parameters):
        if key not in ROOT_KEYS:
            known = ", ".join(sorted(ROOT_KEYS))
            raise Misasked(f"{key}: no such parameter; {known} are")
    return _root(parameters, read_wanted_numbers(parameters.get(REGIONS_KEY, "")))


def read_region(parameters: Mapping[str, str]) -> WantedRegion:
    """Return what a region is asked for; ``Misasked`` for what cannot be.

    Its root may be of a later release and say more: that is left to later regions.
    """
    root = _root(parameters, read_numbers(parameters.get(REGIONS_KEY, "")))
    name = parameters.get("region", "")
    if name not in root.numbers:
        raise Misasked(
            f"region: {name!r} is none of the regions {' '.join(root.names)}"
        )
    published = _published(parameters.get("published", "{}"))
    others = {it: published[it] for it in root.names if it in published}
    before = others.pop(name, None)
    leg = read_number(parameters.get(LEG_KEY))
    try:
        cells = read_cells(parameters.get(CELLS_KEY, ""))
    except ValueError as error:
        raise Misasked(f"{CELLS_KEY}: {error}") from error
    return WantedRegion(name, root, others, leg, before, cells)


def _root(parameters: Mapping[str, str], numbers: Mapping[str, int]) -> WantedRoot:
    word = parameters.get("storage", StorageWish.JOIN)
    if word not in list(StorageWish):
        raise Misasked(f"storage: {word!r} is none of {', '.join(StorageWish)}")
    name = parameters.get("neo-cluster", NEO_CLUSTER)
    if not is_name(name):
        raise Misasked(f"neo-cluster: {name!r}: {NAME_RULE}")
    count = parameters.get("neo-partitions", str(PARTITION_COUNT))
    if not count.isascii() or not count.isdecimal() or len(count) > 4:  # noqa: PLR2004 - digits
        raise Misasked(f"neo-partitions: {count!r} is no whole number")
    if not 1 <= int(count) <= PARTITION_COUNT_MAX:
        raise Misasked(f"neo-partitions: {count}: 1 to {PARTITION_COUNT_MAX}")
    authority = _authority(parameters.get("authority", "{}"))
    return WantedRoot(numbers, StorageWish(word), name, int(count), authority)


def _authority(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
        return {str(name): _text(it) for name, it in found.items()}
    except (ValueError, AttributeError) as error:
        raise Misasked(f"authority: it is no JSON of texts: {error}") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")  # noqa: TRY004 - the document is wrong
    return value


def _published(text: str) -> dict[str, PublishedRegion]:
    if len(text) > PUBLISHED_BYTES_MAX:
        raise Misasked(f"published: more than {PUBLISHED_BYTES_MAX} bytes")
    try:
        documents = json.loads(text)
        return {name: read_published(name, it) for name, it in documents.items()}
    except (ValueError, AttributeError) as error:
        raise Misasked(f"published: it is not understood ({error})") from error


def render_published(published: PublishedRegion) -> dict[str, str]:
    """Return the connection parameters of a region."""
    linked = published.linked
    known_as = {program: str(it) for program, it in linked.known_as.items()}
    told = {KNOWN_AS_KEY: json.dumps(known_as, sort_keys=True)} if known_as else {}
    return {
        **told,
        "region": linked.name,
        "address": linked.address,
        "ports": json.dumps(dict(linked.ports), sort_keys=True),
        "certificates": "".join(linked.certificates),
        "storage": "created" if published.is_created else "none",
        "certificate-request": published.certificate_request,
        "replica-url": published.replica_url,
        RELEASE_KEY: published.release_url,
        SETTLED_KEY: published.settled,
    }


def read_published(name: str, document: object) -> PublishedRegion:
    """Read what ``render_published`` gave; others may have written more into it."""
    try:
        if not isinstance(document, Mapping) or document["region"] != name:
            raise Misasked(f"published.{name}: it is of another region")
        ports = json.loads(document["ports"])
        known_as = json.loads(document.get(KNOWN_AS_KEY, "{}"))
        linked = LinkedRegion(
            name,
            read_host(document["address"]),
            split_certificates(document["certificates"]),
            {str(program): read_port(it) for program, it in ports.items()},
            {str(program): read_endpoint(it) for program, it in known_as.items()},
        )
    except KeyError as error:
        raise Misasked(f"published.{name}: {error.args[0]} is missing") from error
    except (BadLinks, ValueError, TypeError, AttributeError) as error:
        raise Misasked(f"published.{name}: {error}") from error
    return PublishedRegion(
        linked,
        document.get("storage") == "created",
        str(document.get("certificate-request", "")),
        str(document.get("replica-url", "")),
        str(document.get(RELEASE_KEY, "")),
        str(document.get(SETTLED_KEY, "")),
    )


_END = "-----END CERTIFICATE-----\n"


def split_certificates(text: str) -> tuple[str, ...]:
    """Return the certificates of a text that has one after the other."""
    pieces = f"{text.strip()}\n".split(_END)
    if pieces.pop().strip() or not pieces:
        raise ValueError("certificates: no whole certificates in PEM")
    return tuple(f"{piece}{_END}" for piece in pieces)


def describe_root(wanted: WantedRoot, roll: Roll) -> dict[str, str]:
    """Return what the root has of all of its regions asked; defaults are filled in.

    ``each`` and ``held`` are JSON: no option can hold a sentence of several lines.
    """
    return {
        "each": json.dumps(roll.document(), sort_keys=True),
        "held": json.dumps(roll.held),
        "names": " ".join(roll.legs),
        "storage": wanted.storage.value,
        "neo-cluster": wanted.neo_cluster,
        "neo-partitions": str(wanted.partition_count),
        "authority": json.dumps(dict(wanted.authority), sort_keys=True),
    }


NO_REGIONS = {
    "each": "{}",
    "held": '""',
    "names": "",
    "storage": "",
    "neo-cluster": "",
    "neo-partitions": "",
    "authority": "",
}
"""What a region asks for, which has none below it."""


def summarise(published: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the connection parameters of the root, from those of its regions."""
    there = {name: it for name, it in published.items() if it.get("address")}
    created = sorted(it for it in there if there[it].get("storage") == "created")
    asked = {name: it.get("certificate-request", "") for name, it in there.items()}
    replicas = (it.get("replica-url", "") for _, it in sorted(there.items()))
    releases = {name: it.get(RELEASE_KEY, "") for name, it in there.items()}
    return {
        "regions": " ".join(sorted(there)),
        "storage": " ".join(created),
        "replicas": " ".join(filter(None, replicas)),
        "certificate-requests": json.dumps(asked, sort_keys=True),
        "releases": json.dumps(releases, sort_keys=True),
    }
