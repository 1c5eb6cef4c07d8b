"""Shell. The persistent objects.

Each record is an object of its own, kept as plain values (``fields``), so that a
process with another version of a class can read it. What finds the objects are BTrees,
keyed by names that cannot cluster (random guids, hashed titles and addresses) wherever
many are made at once; BTrees merge changes of different keys, so two transactions
conflict only when they mean the same thing. There is no counter and no list that
everybody writes.

Rules that keep snapshots honest, because two transactions that read what the other
writes do not conflict by themselves:

1. Whoever frees an instance writes the instance too (``is_gone``).
2. Whoever creates an instance relies on its root and its requester being current, and
   writes its host; whoever frees a root relies on its tree being empty still.
3. Whoever removes a partition writes it too (``is_gone``); whoever allocates it does.
4. A decision reads no record that does not matter to it; what its answer tells beyond
   what was decided is read afterwards.
5. Whoever gives an instance another requester relies on that one, on who requested it,
   and so on: each of two at once could close what becomes a circle with the other.
6. Whoever looks for a network of its own in a tree writes the root of the tree.
7. Whoever forwards a title for the first time relies on there being none here, and
   writes the root of the tree. Whoever makes one here relies on that root; for a
   person, on nobody forwarding it meanwhile.
8. Whoever changes the definition of a computer writes the computer, and relies on its
   partitions: of two definitions at once, one is the last, and wholly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

import cattrs
from BTrees.OOBTree import OOBTree, OOTreeSet  # type: ignore[import-untyped]
from persistent import Persistent  # type: ignore[import-untyped]

T = TypeVar("T")

ROOT_KEY = "slapcluster"
"""Where the root of the database holds the ``StoredCloud``."""

_CONVERTER = cattrs.Converter()


def fields_of(record: object) -> Mapping[str, Any]:
    """Return a record as plain values."""
    fields: Mapping[str, Any] = _CONVERTER.unstructure(record)
    return fields


def record_of(kind: type[T], fields: Mapping[str, Any]) -> T:
    """Return the record of plain values; fields unknown here get their defaults."""
    return _CONVERTER.structure(fields, kind)


def fields_after(before: Mapping[str, Any], record: object) -> Mapping[str, Any]:
    """Return as plain values a record that takes the place of another one.

    Processes of two versions may serve one store. What a later one wrote stays: fields
    that are unknown here, and the insides of those that this record does not change.
    """
    known = fields_of(record_of(type(record), before))
    changed = {
        name: before[name] if name in before and known[name] == value else value
        for name, value in fields_of(record).items()
    }
    return changed | {name: it for name, it in before.items() if name not in changed}


def hashed(*names: str) -> str:
    """Return a key for names that come in series, so that a series does not cluster."""
    digest = hashlib.sha256("\0".join(names).encode(errors="surrogatepass"))
    return digest.hexdigest()[:32]


class StoredReports(Persistent):  # type: ignore[misc] # persistent has no types
    """Reports from before the last one: an object of its own, read by people alone."""

    def __init__(self) -> None:
        self.earlier: tuple[Mapping[str, Any], ...] = ()


class Stored(Persistent):  # type: ignore[misc] # persistent has no types
    """A record; ``is_gone`` when nothing leads to it any more.

    ``reports`` is there when something was reported twice.
    """

    is_gone = False
    reports: StoredReports | None = None

    def __init__(self, record: object) -> None:
        self.fields = fields_of(record)

    def read(self, kind: type[T]) -> T:
        assert not self.is_gone
        return record_of(kind, self.fields)

    def write(self, record: object) -> None:
        assert not self.is_gone
        self.fields = fields_after(self.fields, record)


class StoredInstance(Stored):
    """An instance; ``children`` of a root by hashed title, ``guests`` of a host."""

    def __init__(self, record: object) -> None:
        super().__init__(record)
        self.children = OOBTree()
        self.guests = OOTreeSet()


class Revision(Persistent):  # type: ignore[misc] # persistent has no types
    """What every transaction writes that changes what a computer is told.

    Whoever has the document of a computer learns here that it may be another one. Two
    transactions on one computer merge in it: it is never a reason to start again.
    """

    def __init__(self) -> None:
        self.number = 0

    def advance(self) -> None:
        self.number += 1

    def _p_resolveConflict(
        self, old: dict[str, Any], saved: dict[str, Any], new: dict[str, Any]
    ) -> dict[str, Any]:
        return {**new, "number": saved["number"] + new["number"] - old["number"]}


class StoredUsage(Persistent):  # type: ignore[misc] # persistent has no types
    """Usage documents by id, summaries by arrival, the first id of each likeness.

    The counters are of one computer, which delivers one document after the other.
    """

    def __init__(self) -> None:
        self.documents = OOBTree()
        self.summaries = OOBTree()
        self.likenesses = OOBTree()
        self.document_count = 0
        self.byte_count = 0


class StoredOffer(Persistent):  # type: ignore[misc] # persistent has no types
    """The partitions of a computer with the same capabilities, as allocation sees them.

    ``free`` names those that can be given, in natural order; ``unoffered`` those that
    are busy and no longer defined; ``partition_count`` counts all. ``stand`` is the
    load step and the attributes with which it stands on shelves, ``None`` on none.
    """

    def __init__(self, capabilities: tuple[str, ...]) -> None:
        self.capabilities = capabilities
        self.partition_count = 0
        self.stand: tuple[int, Mapping[str, str]] | None = None
        self.free = OOBTree()
        self.unoffered = OOTreeSet()


class StoredShelf(Persistent):  # type: ignore[misc] # persistent has no types
    """The offers of computers with the same ``attributes``, in their order."""

    def __init__(self, attributes: Mapping[str, str]) -> None:
        self.attributes = dict(attributes)
        self.heads = OOTreeSet()


class StoredComputer(Stored):
    """A computer: its partitions by name, installations by hash, and its usage.

    ``offers`` are by their capabilities.
    """

    def __init__(self, record: object) -> None:
        super().__init__(record)
        self.revision = Revision()
        self.partitions = OOBTree()
        self.offers = OOBTree()
        self.installations = OOBTree()
        self.usage = StoredUsage()


class StoredCertificates(Persistent):  # type: ignore[misc] # persistent has no types
    """Who may say who he is, and how he comes in.

    ``instances`` by guid and ``computers`` by name have the present certificates,
    ``persons`` all of them, by expiry and serial number. ``revoked`` has expiry and
    serial number of certificates that nobody may use any more. What is expired anyway
    stands first in both. ``tokens`` by hash; ``token_ages`` has expiry and hash.
    ``titles`` of computers by name, ``titled`` the names by hashed title. ``others``
    has the certificates of replicas and links that were renewed, by who it is.
    """

    authority: Stored | None = None
    others: OOBTree | None = None

    def __init__(self) -> None:
        self.instances = OOBTree()
        self.computers = OOBTree()
        self.persons = OOBTree()
        self.revoked = OOTreeSet()
        self.tokens = OOBTree()
        self.token_ages = OOTreeSet()
        self.titles = OOBTree()
        self.titled = OOBTree()


class StoredReplicas(Persistent):  # type: ignore[misc] # persistent has no types
    """The regions of replicas by their addresses, few of them.

    One object, so that whoever hears that it changed knows that the list did.
    """

    def __init__(self) -> None:
        self.regions: dict[str, str] = {}


class StoredStanding(Persistent):  # type: ignore[misc] # persistent has no types
    """Whether this is the place where the state is changed; see ``transferring``.

    ``replicas`` has address and region of each that took over.
    """

    def __init__(self) -> None:
        self.standing = "open"
        self.replicas: tuple[tuple[str, str], ...] = ()
        self.digest = ""


LAYOUT = 2
"""What a store has to say before this version reads it. It grows when what is kept
changes in a way that ``complete`` cannot make up for: 2 has revisions and shelves."""


class StoredCloud(Persistent):  # type: ignore[misc] # persistent has no types
    """Everything.

    ``roots`` by hashed title. ``shelves`` by capability and hashed attributes.
    ``hosts`` has the instances of a release and a type, by their hash, in the order of
    their places. ``refusals`` has what was refused a place, by hashed root title and
    title. ``products`` by hashed title. ``takeovers`` has the digests of what was taken
    over from reference proxies, with the instants. ``marks`` by their slots. ``proof``
    changes when a master shows that it can commit. ``standing`` is of all of it.
    ``histories`` has the fields of those that began by a recovery.
    """

    layout = 1  # of stores that do not say theirs
    histories: tuple[Mapping[str, Any], ...] = ()

    def __init__(self) -> None:
        self.layout = LAYOUT
        self.computers = OOBTree()
        self.instances = OOBTree()
        self.roots = OOBTree()
        self.shelves = OOBTree()
        self.hosts = OOBTree()
        self.refusals = OOBTree()
        self.certificates = StoredCertificates()
        self.products = OOBTree()
        self.takeovers = OOBTree()
        self.marks = OOBTree()
        self.proof = Revision()
        self.replicas = StoredReplicas()
        self.standing = StoredStanding()
        # Made with a drawn name, when something is first forwarded.
        self.forwarding: Persistent | None = None

    def complete(self) -> None:
        """Add what a store of an older version lacks."""
        for name, empty in vars(StoredCloud()).items():
            if not hasattr(self, name):
                setattr(self, name, empty)
