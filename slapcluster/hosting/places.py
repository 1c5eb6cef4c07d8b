"""Core. The partition of a region, and where its programs listen in it.

Ports are fixed, so that an announced address stays the same for as long as the instance
is in its partition.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from slapcluster.hosting.layout import LINKS_HOME
from slapcluster.hosting.numbering import Misasked
from stunnel_conf.links import BadLinks, Endpoint, Span, read_host, read_port
from stunnel_conf.rendering import CONFIGURATION

NEO_MASTER, STORAGE_NODE, ADMIN_NODE = "neo-master", "storage-node", "admin-node"
REPLICA = "replica"
LINKED = (NEO_MASTER, STORAGE_NODE)
"""What regions let each other in to; nobody else asks an admin node."""

_PROGRAMS = (NEO_MASTER, STORAGE_NODE, ADMIN_NODE, REPLICA)
"""Each has the next port, from the first of the partition; new ones come last."""

PROGRAM_COUNT = len(_PROGRAMS)

OUTSIDE_OFFSETS = tuple(_PROGRAMS.index(it) for it in (*LINKED, REPLICA))
"""From the first port of the partition: what a firewall has to let through."""

FIRST_PORT = 20000
PORTS_PER_PARTITION = 10
"""As ``slapgrid.recipe.parameters`` gives them."""

FIRST_ENTRY = 11000
"""Above what `slapcluster link` gives by default."""

ENTRIES_PER_PARTITION = 16
"""Two programs of each of eight other regions. Where partitions share an address too,
no entry of one is that of another."""

_FLAGS = ("-I", "-S", "-B")
"""A script of a release names all that it imports; nothing else is to be found."""


@frozen
class Place:
    """The partition, and what the release has; paths are absolute.

    ``python`` runs the scripts of ``bin_directory``; ``release_directory`` has what the
    release was built from, and ``release_url`` is the one that is asked for.
    """

    home: str
    ipv4: str
    ipv6: str
    first_port: int
    python: str
    bin_directory: str
    stunnel: str
    release_directory: str
    release_url: str = ""

    def script(self, name: str, *arguments: str) -> tuple[str, ...]:
        return (self.python, *_FLAGS, f"{self.bin_directory}/{name}", *arguments)

    def bound(self, program: str) -> Endpoint:
        """Return where a program listens inside."""
        return Endpoint(self.ipv4, self.first_port + _PROGRAMS.index(program))

    def outside(self, program: str) -> Endpoint:
        """Return where others come in to a program."""
        return Endpoint(self.ipv6, self.first_port + _PROGRAMS.index(program))

    @property
    def replica_url(self) -> str:
        return f"https://{self.outside(REPLICA)}"

    @property
    def entries(self) -> Span:
        """Return the ports of entries."""
        number = (self.first_port - FIRST_PORT) // PORTS_PER_PARTITION
        first = FIRST_ENTRY + ENTRIES_PER_PARTITION * number
        return Span(self.ipv4, first, first + ENTRIES_PER_PARTITION - 1)

    @property
    def stunnel_conf(self) -> str:
        return f"{self.home}/{LINKS_HOME}/{CONFIGURATION}"


def read_place(
    document: Mapping[str, object],
    home: str,
    *,
    python: str,
    bin_directory: str,
    stunnel: str,
    release_directory: str,
) -> Place:
    """Return the place that a profile tells; ``Misasked`` for one that will not do."""
    if not document.get("ipv4"):
        raise Misasked(
            "the partition has no IPv4 address of its computer, which the programs of"
            " a region listen at: format the computer with one"
        )
    try:
        ipv4, ipv6 = (read_host(document.get(it)) for it in ("ipv4", "ipv6"))
        first_port = read_port(document.get("first_port"))
    except BadLinks as error:
        raise Misasked(f"the partition: {error}") from error
    place = Place(
        home,
        ipv4,
        ipv6,
        first_port,
        python,
        bin_directory,
        stunnel,
        release_directory,
        str(document.get("release_url", "")),
    )
    if first_port < FIRST_PORT or place.entries.last >= FIRST_PORT:
        raise Misasked(f"the partition has ports from {first_port} on: too many before")
    return place
