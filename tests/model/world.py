"""What a world is: small values, and numbers for them.

A world is a tuple of small numbers: of each storage node, of each neo_master, of what
is known to the one who looks at all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MethodType
from typing import Any, NamedTuple

from attrs import field, frozen

from replication.observation import REGION_SPAN

Bits = int
"""A set of storage nodes, or of transactions, by their places."""

RawTable = tuple[int, int, tuple[tuple[Bits, Bits], ...]]
"""Epoch, counter, and of each neo_partition its holders and those readable."""

Origin = tuple[int, RawTable | None]
"""What a storage node promised, and its table."""

Packet = tuple[Any, ...]

STRANGER, PROMISED, ADOPTED, OPERATING = range(4)
"""What a storage node did in its session with a primary."""

RECOVERING, PROMISING, STORING, COMMITTING, RUNNING = range(5)
"""What a primary waits for: nodes, promises, tables, commits, nothing."""

UNUSED, VOTED, LOCKING, DONE = range(4)
"""A transaction, as its primary knows it."""

NOBODY = -1
GONE = -2
"""The primary of a storage node that still handles what a lost one had sent."""

WHOLE = -1
"""Of a neo_partition that needs no replication."""


class Disk(NamedTuple):
    """What a storage node keeps.

    ``data`` has the transactions committed in each neo_partition. ``floors`` has those
    committed when the cell became out of date: replication begins above the last.
    """

    promise: int
    table: RawTable | None
    data: tuple[Bits, ...]
    votes: Bits
    locks: Bits
    verdict: Bits
    floors: tuple[Bits, ...]

    @property
    def origin(self) -> Origin:
        return self.promise, self.table


Disks = tuple[tuple[int, Disk], ...]
"""With the places of their storage nodes."""


class Storage(NamedTuple):
    disk: Disk
    primary: int = NOBODY
    stage: int = STRANGER
    queue: tuple[Packet, ...] = ()


class Primary(NamedTuple):
    phase: int = RECOVERING
    epoch: int = 0
    table: RawTable | None = None
    claims: tuple[tuple[int, Disk], ...] = ()
    connected: Bits = 0
    waiting: Bits = 0
    answers: tuple[tuple[int, Disk], ...] = ()
    verdict: Bits = 0
    last_tid: int = 0


class Transaction(NamedTuple):
    """``ready`` were there when it began in ``epoch``.

    ``earlier`` was acknowledged before it got its tid.
    """

    epoch: int = 0
    stage: int = UNUSED
    primary: int = NOBODY
    ready: Bits = 0
    waiting: Bits = 0
    lockers: Bits = 0
    earlier: Bits = 0


class Shared(NamedTuple):
    """What only the one who looks at all knows, and what may still happen."""

    transactions: tuple[Transaction, ...]
    tids: tuple[int, ...]
    acknowledged: Bits
    refused: Bits
    cuts: int
    recoveries: int
    changes: int


class Facts(NamedTuple):
    acknowledged: Bits
    refused: Bits


World = tuple[int, ...]
Step = tuple[Any, ...]


class Broken(Exception):
    """A sentence about what must not be."""


@frozen
class Scope:
    """A small world and how much may happen in it.

    ``regions`` has that of each storage node, ``rows`` the holders of each
    neo_partition by their places. ``touched`` says of each transaction the
    neo_partitions that it changes. ``layouts`` are other rows that an operator may ask
    for. ``offsets`` are what the clocks of the neo_masters show.
    """

    name: str
    regions: tuple[int, ...]
    rows: tuple[Bits, ...]
    touched: tuple[Bits, ...]
    cuts: int
    recoveries: int
    offsets: tuple[int, ...] = (0, 0)
    layouts: tuple[tuple[Bits, ...], ...] = ()
    changes: int = 0
    is_created: bool = False
    is_idle: bool = False
    lost_disks: Bits = 0

    @property
    def width(self) -> int:
        return len(self.regions)

    def storage_id(self, place: int) -> int:
        return self.regions[place] * REGION_SPAN + place

    def place_of(self, storage_id: int) -> int:
        return storage_id % REGION_SPAN


@cache
def places(bits: Bits) -> tuple[int, ...]:
    return tuple(place for place in range(bits.bit_length()) if bits >> place & 1)


ENDED: Mapping[str, int] = {
    "stage": DONE,
    "primary": NOBODY,
    "ready": 0,
    "waiting": 0,
    "lockers": 0,
    "earlier": 0,
}


def blank_disk(count: int) -> Disk:
    return Disk(0, None, (0,) * count, 0, 0, 0, (0,) * count)


def cut_off(storage: Storage) -> Storage:
    return Storage(storage.disk)


def origins_of(disks: Disks) -> tuple[tuple[int, Origin], ...]:
    return tuple([(place, disk.origin) for place, disk in disks])


def everyone(raw: RawTable) -> Bits:
    found = 0
    for held, _ in raw[2]:
        found |= held
    return found


def everyone_readable(raw: RawTable) -> Bits:
    found = 0
    for _, readable in raw[2]:
        found |= readable
    return found


class remembered:  # noqa: N801 - a decorator
    """A method that is asked once for the same values; nothing may change them."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method

    def __get__(self, instance: Any, _owner: type) -> Any:
        found = cache(MethodType(self.method, instance))
        # From then on it is found there, before this one.
        instance.__dict__[self.method.__name__] = found
        return found


class Pool(dict[Any, int]):
    """Values by number and back."""

    def __init__(self) -> None:
        self.by_number: list[Any] = []

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self.by_number)
        self.by_number.append(value)
        return number


@frozen(eq=False)
class Numbers:
    """The numbers of what worlds are made of."""

    origins: Pool = field(factory=Pool)
    disks: Pool = field(factory=Pool)
    storages: Pool = field(factory=Pool)
    primaries: Pool = field(factory=Pool)
    shareds: Pool = field(factory=Pool)
