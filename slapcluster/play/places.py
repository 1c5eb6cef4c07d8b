"""Core. Where a cloud of play lives: its directory, its user, its record.

The record is written before anything else and removed last, so that ``play stop`` finds
what a killed ``play`` left behind.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from ipaddress import IPv6Network
from pathlib import PurePosixPath
from random import Random

from attrs import field, frozen

from slapcluster.outcomes import CommandFailed

PLACE_PREFIX = "slapcluster-play-"

PLACE_LENGTH_MAX = 40
"""A unix socket has at most 107 bytes of path, and partitions put theirs deep below."""

REGION_LENGTH_MAX = 5
"""With its slash: what ``/tmp`` leaves of that to the directory of a computer."""

PLACE_BYTES_MIN = 800 * 1024 * 1024
"""Programs (200 MB), wheels (60 MB), two builds of a release (100 MB each), logs."""

UIDS = range(61184, 65520)
"""What systemd and Debian keep for users without a name that come and go."""

PARTITION_COUNT = 10

REGION_PARTITION_COUNT = 5
"""Of the computer of a region: the region, maybe the root of the master, services."""

RECORD_PATH = ".slapcluster/play.json"
"""Below the checkout."""


class Way(StrEnum):
    """How the cloud is kept apart from the machine."""

    ROOT_NAMESPACES = "root-namespaces"
    USER_NAMESPACES = "user-namespaces"
    NONE = "none"

    @property
    def is_apart(self) -> bool:
        return self is not Way.NONE


@frozen
class Identity:
    """A numeric user and group; needs no entry in the list of users."""

    uid: int
    gid: int


@frozen
class Account:
    """Who runs something in a cloud, and the directory that is that one's own."""

    identity: Identity
    home: str


@frozen
class Parent:
    """A directory in which the place may be made."""

    path: str
    is_executable: bool
    free_bytes: int


@frozen
class Record:
    """What is known of a cloud of play.

    ``outer_pid`` is the process whose death ends the cloud, with the instant of its
    start in ticks of the kernel: a pid alone may be somebody else's by now.
    ``network`` is ``""`` when partitions share ::1. A cloud of several computers has
    the user of each in ``computers``, by region, and ``identity`` is that of the
    operator; ``replica_urls`` are those of the master that it hosts, when it does, and
    ``partition_count`` those of each of these computers.
    """

    place: str
    identity: Identity
    is_started_by_root: bool
    way: Way
    network: str
    master_port: int
    outer_pid: int | None = None
    outer_start_ticks: int | None = None
    computers: Mapping[str, Identity] = field(factory=dict)
    replica_urls: tuple[str, ...] = ()
    partition_count: int = REGION_PARTITION_COUNT

    @property
    def account(self) -> Account:
        """Return who types commands: the operator, or the user of the one computer."""
        return Account(self.identity, self.place)

    def account_of(self, region: str) -> Account:
        """Return the user of the computer of a region."""
        return Account(self.computers[region], f"{self.place}/{region}")

    @property
    def identities(self) -> tuple[Identity, ...]:
        return (self.identity, *self.computers.values())

    @property
    def bootstrap_home(self) -> str:
        """Where the operator keeps what makes the cloud."""
        return f"{self.place}/home/cloud"

    @property
    def operator_identity(self) -> str:
        """The identity directory of the operator."""
        return f"{self.bootstrap_home}/operator"

    @property
    def master_url(self) -> str:
        return f"http://127.0.0.1:{self.master_port}/"

    @property
    def log_path(self) -> str:
        """What the outermost process writes, and supervisord, which it becomes."""
        return f"{self.place}/log/supervisord.log"


def choose_identity(taken: Collection[int], salt: int) -> Identity:
    """Return a user that nobody is; ``salt`` spreads clouds that start together."""
    start = salt % len(UIDS)
    for uid in (*UIDS[start:], *UIDS[:start]):
        if uid not in taken:
            return Identity(uid, uid)
    raise CommandFailed(
        f"All users from {UIDS.start} to {UIDS.stop - 1} are in use. "
        "Start it as an ordinary user."
    )


def choose_parent(parents: Iterable[Parent]) -> str:
    """Return the first directory with room, from which programs may run."""
    refusals = []
    for parent in parents:
        if not parent.is_executable:
            refusals.append(f"{parent.path} is mounted noexec")
        elif parent.free_bytes < PLACE_BYTES_MIN:
            free_mib = parent.free_bytes // (1024 * 1024)
            refusals.append(f"{parent.path} has {free_mib} MiB free")
        else:
            return parent.path
    raise CommandFailed(
        f"No place for the cloud: {'; '.join(refusals)}. "
        f"Free {PLACE_BYTES_MIN // (1024 * 1024)} MiB in one of them."
    )


def choose_place(parent: str, entropy: Random) -> str:
    """Return a path that nobody has."""
    place = f"{parent}/{PLACE_PREFIX}{entropy.getrandbits(32):08x}"
    assert len(place) <= PLACE_LENGTH_MAX, place
    return place


def choose_network(entropy: Random) -> str:
    """Return a private IPv6 network, as RFC 4193 draws them."""
    prefix = (0xFD << 120) | (entropy.getrandbits(40) << 80)
    return str(IPv6Network((prefix, 64)))


def addresses_of(network: str) -> tuple[str, ...]:
    """Return the addresses of the computer (first) and of its partitions."""
    first = int(IPv6Network(network).network_address)
    hosts = range(1, PARTITION_COUNT + 2)
    return tuple(
        str(IPv6Network((first + host, 128)).network_address) for host in hosts
    )


def wheels_abi(names: Iterable[str]) -> str | None:
    """Return the Python that wheels are for, such as ``cp311``; ``None``: any."""
    for name in sorted(names):
        if not name.endswith(".whl"):
            continue
        python, abi = name.removesuffix(".whl").split("-")[-3:-1]
        if python == abi:
            return python
    return None


def python_candidates(version: str, base_prefix: str) -> tuple[str, ...]:
    """Return where an interpreter may stand; the one that runs us first."""
    names = (f"python{version}", "python3")
    directories = (f"{base_prefix}/bin", "/usr/bin", "/usr/local/bin")
    paths = (f"{directory}/{name}" for directory in directories for name in names)
    return tuple(dict.fromkeys(paths))


def encode_record(record: Record) -> bytes:
    document = {
        "place": record.place,
        "uid": record.identity.uid,
        "gid": record.identity.gid,
        "is_started_by_root": record.is_started_by_root,
        "way": str(record.way),
        "network": record.network,
        "master_port": record.master_port,
        "outer_pid": record.outer_pid,
        "outer_start_ticks": record.outer_start_ticks,
        "computers": {
            region: [it.uid, it.gid] for region, it in record.computers.items()
        },
        "replica_urls": list(record.replica_urls),
        "partition_count": record.partition_count,
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def decode_record(content: bytes) -> Record:
    try:
        document = json.loads(content)
        record = Record(
            place=document["place"],
            identity=Identity(int(document["uid"]), int(document["gid"])),
            is_started_by_root=document["is_started_by_root"] is True,
            way=Way(document["way"]),
            network=str(document["network"]),
            master_port=int(document["master_port"]),
            outer_pid=document["outer_pid"],
            outer_start_ticks=document["outer_start_ticks"],
            computers={
                str(region): Identity(int(uid), int(gid))
                for region, (uid, gid) in document.get("computers", {}).items()
            },
            replica_urls=tuple(document.get("replica_urls", ())),
            partition_count=int(
                document.get("partition_count", REGION_PARTITION_COUNT)
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandFailed(
            f"{RECORD_PATH} is not understood ({error}). Remove it, and the "
            f"directories {PLACE_PREFIX}* of /tmp."
        ) from error
    parts = PurePosixPath(record.place).parts
    if not parts[-1].startswith(PLACE_PREFIX) or ".." in parts or parts[0] != "/":
        # Stop removes this directory with all its content.
        raise CommandFailed(f"{RECORD_PATH} names {record.place}: not a place of play.")
    return record
