"""Core. What is removed of a computer, in which order, and what is left.

1. Only what is known by its name or its mark is removed: partitions, releases, files
   of the agent. A directory goes when nothing else is in it; else that is told.
2. An instance root without the mark of our agent is somebody else's: nothing is done.
3. The settings are set aside first, under another name: so no agent begins any more,
   and whoever was killed in the middle is continued by the next one, which finds them.
   They are removed last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

from attrs import field, frozen

from runtime.holdings import ROOTS, Holding
from slapgrid.format.machine import LOOPBACK, TAP, TUN, Interface, Link, ObservedNetwork
from slapgrid.format.previous import PreviousComputer
from slapgrid.format.settings import TUN_BASE_NAME, AddressSource, FormatSettings
from slapgrid.layout import (
    AGENT_DIRECTORY,
    BUILD_LOG_DIRECTORY,
    GROUP_DIRECTORY,
    SUPERVISORD_CONF,
    SUPERVISORD_LOG,
    SUPERVISORD_PID,
    SUPERVISORD_SOCKET,
    SUPERVISORD_SOCKET_OF_OLD,
    WATCHDOG_LOG,
    XML_REPORT_DIRECTORY,
)

ASIDE_SUFFIX = ".uninstalling"
"""What settings are called while their computer is uninstalled."""

MARK = "var/slapgrid"
"""What our agent has in every instance root of its own, from its first start on."""

OTHERS_TOLD_MAX = 10
"""Names of others that are told of one directory."""

_OWN_FILES = (
    SUPERVISORD_CONF,
    SUPERVISORD_PID,
    SUPERVISORD_SOCKET,
    SUPERVISORD_SOCKET_OF_OLD,
)
_OWN_TREES = (GROUP_DIRECTORY, BUILD_LOG_DIRECTORY, XML_REPORT_DIRECTORY, MARK)
"""The mark comes last: without it nothing here is touched again."""

OWN_PATHS = (*_OWN_FILES, *_OWN_TREES)
OWN_PARENTS = ("etc", "var/log", "var/run", "var")
IDENTITY_FILES = (Holding.OWN.key_name, Holding.OWN.chain_name, ROOTS)

LOG_DIRECTORY = "var/log"
_LOG = re.compile(
    "|".join(rf"{re.escape(it)}(\.[0-9]+)?" for it in (SUPERVISORD_LOG, WATCHDOG_LOG))
)
_RELEASE = re.compile(r"[0-9a-f]{32}")


class Kind(StrEnum):
    """What is removed."""

    UNIT = "unit"
    AGENT = "agent"
    PROGRAMS = "programs"
    FIREWALL = "firewall"
    NETWORK = "network"
    DIRECTORY = "directory"
    FILE = "file"
    EMPTY_DIRECTORY = "directory, if empty"
    SETTINGS = "settings"


def is_own_log(path: str) -> bool:
    """Whether it is a log of supervision, or one that was before it."""
    return _LOG.fullmatch(path) is not None


@frozen
class Removal:
    """One thing to do; ``what`` is a path, a process, or words of ``ip``."""

    kind: Kind
    what: str


@frozen
class Present:
    """What there is of a computer. Paths are absolute, names relative.

    ``is_aside`` when an earlier run began: then the mark may be gone already.
    ``partitions`` are the directories with the mark of a partition, or its name.
    ``owned`` are logs, and those of ``OWN_PATHS`` that are there; ``places`` are those
    that are there of the directories.
    """

    settings: str
    instance_root: str
    software_root: str
    is_aside: bool = False
    unit: str = ""
    agent: int | None = None
    has_mark: bool = False
    has_rules: bool = False
    has_supervision: bool = False
    instance_names: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    owned: tuple[str, ...] = ()
    software_names: tuple[str, ...] = ()
    storages: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    certificate_directory: str = ""
    certificates: tuple[str, ...] = ()
    identity_directory: str = ""
    identity_names: tuple[str, ...] = ()
    shared_part_directories: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


@frozen
class Plan:
    """What is done, in this order, and what is left with the reason.

    ``refusal`` is why nothing is done at all.
    """

    removals: tuple[Removal, ...] = ()
    left: tuple[str, ...] = field(default=())
    refusal: str = ""


def plan_uninstallation(present: Present) -> Plan:
    """Return what to remove of a computer."""
    if present.instance_names and not (present.has_mark or present.is_aside):
        return Plan(
            refusal=(
                f"{present.instance_root} has no {MARK}: it is of no agent of ours, and"
                " nothing was touched. Name other settings, or remove them by hand"
            )
        )
    return Plan(tuple(_removals(present)), tuple(_left(present)))


def _removals(present: Present) -> Iterator[Removal]:
    yield from _ends(present)
    yield from (Removal(Kind.NETWORK, it) for it in present.network)
    yield from (Removal(Kind.DIRECTORY, it) for it in present.storages)
    yield from (Removal(Kind.FILE, it) for it in present.certificates)
    if present.certificate_directory in present.places:
        yield Removal(Kind.EMPTY_DIRECTORY, present.certificate_directory)
    if present.has_mark:
        for name in present.partitions:
            yield Removal(Kind.DIRECTORY, f"{present.instance_root}/{name}")
    yield from _of_releases(present)
    yield from _of_agent(present)
    yield from _of_identity(present)
    yield Removal(Kind.SETTINGS, present.settings)


def _ends(present: Present) -> Iterator[Removal]:
    """Give what runs, or would start something again."""
    if present.unit:
        yield Removal(Kind.UNIT, present.unit)
    # Once settings are aside who holds the lock is another run of this.
    if present.agent is not None and not present.is_aside:
        yield Removal(Kind.AGENT, f"process {present.agent}")
    if present.has_mark and present.has_supervision:
        root = present.instance_root
        yield Removal(Kind.PROGRAMS, f"all of the supervisord below {root}")
    if present.has_rules:
        yield Removal(Kind.FIREWALL, "table inet slapgrid")


def _of_releases(present: Present) -> Iterator[Removal]:
    for name in filter(_is_ours, present.software_names):
        yield Removal(Kind.DIRECTORY, f"{present.software_root}/{name}")
    if present.software_root in present.places:
        yield Removal(Kind.EMPTY_DIRECTORY, present.software_root)


def _of_agent(present: Present) -> Iterator[Removal]:
    root = present.instance_root
    if present.has_mark:
        for name in present.owned:
            kind = Kind.DIRECTORY if name in _OWN_TREES else Kind.FILE
            yield Removal(kind, f"{root}/{name}")
    for name in OWN_PARENTS:
        if name.partition("/")[0] in present.instance_names:
            yield Removal(Kind.EMPTY_DIRECTORY, f"{root}/{name}")
    if root in present.places:
        yield Removal(Kind.EMPTY_DIRECTORY, root)


def _of_identity(present: Present) -> Iterator[Removal]:
    directory, names = present.identity_directory, present.identity_names
    for name in IDENTITY_FILES:
        if name in names:
            yield Removal(Kind.FILE, f"{directory}/{name}")
    if directory in present.places:
        yield Removal(Kind.EMPTY_DIRECTORY, directory)


def _left(present: Present) -> Iterator[str]:
    known = {*present.partitions, *(it.partition("/")[0] for it in OWN_PATHS)}
    yield from _others(
        present.instance_root, set(present.instance_names) - known, "unknown to us"
    )
    names = {it for it in present.software_names if not _is_ours(it)}
    yield from _others(present.software_root, names, "no releases")
    if present.identity_names:
        names = set(present.identity_names) - set(IDENTITY_FILES)
        yield from _others(present.identity_directory, names, "not of the computer")
    for path in present.shared_part_directories:
        yield f"{path}: shared parts, which releases of others may use"
    for name in present.users:
        yield f"the user {name}: nobody wrote down who made it; `userdel {name}`"


def _others(place: str, names: Iterable[str], why: str) -> Iterator[str]:
    found = sorted(names)
    for name in found[:OTHERS_TOLD_MAX]:
        yield f"{place}/{name}: {why}"
    if len(found) > OTHERS_TOLD_MAX:
        yield f"{len(found) - OTHERS_TOLD_MAX} more in {place}: {why}"


def _is_ours(name: str) -> bool:
    """Whether it is a release, or what the agent keeps beside them."""
    return name == AGENT_DIRECTORY or _RELEASE.fullmatch(name) is not None


def plan_network_removal(
    settings: FormatSettings, previous: PreviousComputer, network: ObservedNetwork
) -> tuple[str, ...]:
    """Return the words of ``ip`` that take away what format gave to partitions.

    Its record says what that was. What a definition file named, or an operator made
    where format may not, is theirs.
    """
    is_made = settings.source is AddressSource.INTERFACE and settings.alters_network
    return tuple(_network_removals(settings, previous, network)) if is_made else ()


def _network_removals(
    settings: FormatSettings, previous: PreviousComputer, network: ObservedNetwork
) -> Iterator[str]:
    bases = {TUN_BASE_NAME: TUN, settings.tap_base_name: TAP}
    gone = set()
    for link in network.links.values():
        base, kind = _split(link, bases)
        if base and link.kind == kind:
            gone.add(link.name)
            yield f"link delete dev {link.name}"
    own = {settings.interface_name, settings.ipv6_interface} - {""}
    wanted: set[Interface] = set()
    for partition in previous.partitions.values():
        wanted |= {it for it in (partition.ipv4, partition.ipv6) if it is not None}
    for link, address in network.addresses:
        interface = address.interface
        is_given = interface in wanted and link.name in own - gone
        is_of_host = interface.ip.is_loopback or interface.ip == previous.address
        if is_given and not is_of_host:
            yield f"address delete {interface} dev {link.name}"
    ranges = {it.ipv6_range for it in previous.partitions.values()} - {None}
    for route in sorted(network.routes, key=str):
        if route.is_local and route.link == LOOPBACK and route.destination in ranges:
            yield f"route delete local {route.destination} dev {LOOPBACK}"


def _split(link: Link, bases: Mapping[str, str]) -> tuple[str, str]:
    base = link.name.rstrip("0123456789")
    is_numbered = base != link.name
    return (base, bases[base]) if is_numbered and base in bases else ("", "")
