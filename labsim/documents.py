"""Shell. What agents took and run, said in tids and instances.

A document names neither: its ETag is that of its content. The store keeps each version
of a computer, so when a run has ended its documents are made once more, and found by
their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import transaction  # type: ignore[import-untyped]
from attrs import define, field, frozen
from ZODB.DB import DB  # type: ignore[import-untyped]

from labsim.history import Applied, Doubted, Happening, Placed
from master_cluster.bodies import build_document
from master_cluster.store.cloud import Cloud
from master_cluster.store.documents import document_of_computer
from master_cluster.store.schema import ROOT_KEY
from slap.answers import COMPUTER

VERSIONS_MAX = 1_000_000
"""Of one computer: all."""


@frozen
class Took:
    """An agent took the document of this name."""

    at: float
    computer: str
    etag: str


@frozen
class Ran:
    """A program began, which was installed when the agent had that document."""

    at: float
    computer: str
    partition: str
    etag: str


@define(eq=False)
class Finishing:
    """A master awaits the end of a transaction, for ever when it is lost meanwhile."""

    doubted: Doubted
    has_ended: bool = False


OfAgent = Took | Ran | Placed
Seen = Happening | OfAgent | Finishing


@frozen
class Version:
    """``occupants`` are the instances by their partitions."""

    tid: str
    etag: str
    occupants: Mapping[str, str]


@define(eq=False)
class Documents:
    """The documents of computers as of each transaction of a database."""

    database: DB
    _known: dict[str, dict[str, list[Version]]] = field(factory=dict)

    def find(self, computer_id: str, etag: str) -> list[Version]:
        """The versions of that name, the oldest first."""
        if computer_id not in self._known:
            by_etag = self._known[computer_id] = {}
            for version in self._versions(computer_id):
                by_etag.setdefault(version.etag, []).append(version)
        return self._known[computer_id].get(etag, [])

    def _versions(self, computer_id: str) -> Iterator[Version]:
        with self.database.transaction() as connection:
            cloud = Cloud(connection.root()[ROOT_KEY])
            revision = cloud.revision_oid(computer_id)
        kept = self.database.storage.history(revision, size=VERSIONS_MAX)
        # A version is read once, and what is kept for another time is looked at each
        # time: with thousands of versions that takes longer than reading them.
        self.database.setHistoricalTimeout(-1)
        for tid in sorted(each["tid"] for each in kept):
            manager = transaction.TransactionManager()
            connection = self.database.open(manager, at=tid)
            try:
                cloud = Cloud(connection.root()[ROOT_KEY])
                document = document_of_computer(cloud, computer_id)
            finally:
                connection.close()
            occupants = {
                it.key.partition_id: f"{it.instance.title} {it.instance.instance_guid}"
                for it in document.partitions
                if it.instance is not None
            }
            etag = build_document(COMPUTER.encode(document)).etag
            yield Version(tid.hex(), etag, occupants)


def as_told(seen: Iterable[Seen], documents: Documents) -> Iterator[Happening]:
    """Say each thing in the words of a history.

    A content that came twice is taken for the one that makes time go forward, if there
    is one. A program whose file is broken says nothing of where it comes from.
    """
    newest: dict[str, str] = {}
    for it in seen:
        match it:
            case Took(at, computer, etag):
                found = documents.find(computer, etag)
                assert found, f"{computer} took {etag}, which no transaction made"
                before = newest.get(computer, "")
                version = next(
                    (each for each in found if each.tid >= before), found[-1]
                )
                newest[computer] = max(before, version.tid)
                yield Applied(at, computer, version.tid)
            case Ran(at, computer, partition, etag):
                for version in documents.find(computer, etag)[:1]:
                    instance = version.occupants.get(partition, f"nobody of {etag}")
                    yield Placed(at, computer, partition, instance)
            case Finishing(doubted, has_ended):
                if not has_ended:
                    yield doubted
            case _:
                yield it
