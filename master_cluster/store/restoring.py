"""Shell. A verified copy put into a storage that has nothing, or a beginning of it.

A storage that others look at meanwhile must not be taken for one that serves: for most
of its history the state was open. So each transaction of a copy that is received says
that it is one (``COPIED``), and the transaction that opens the state writes the root
object, and says nothing. Whose root object was written by a copy is not open yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import frozen
from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from ZODB.POSException import (  # type: ignore[import-untyped]
    POSKeyError,
    StorageError,
)
from ZODB.utils import p64, u64, z64  # type: ignore[import-untyped]

from master_cluster.errors import Unusable
from master_cluster.store.content import (
    Content,
    Watch,
    digest_of,
    snapshot_of,
    verify,
)
from master_cluster.store.outages import InDoubt
from master_cluster.store.storages import database_on
from replication import transfer
from replication.transfer import NotCopied
from slap.errors import Unavailable

__all__ = ["COPIED", "NotCopied", "Phase", "Root", "RootOf", "look", "restore_into"]

COPIED: Mapping[str, object] = MappingProxyType({"slapcluster.copied": True})
"""The extension of a transaction of a state that was received."""

LOST = (InDoubt,)


class Phase(Enum):
    """What takes long, in this order."""

    READING = "reading the copy"
    FILLING = "filling the store"
    COMPARING = "comparing the store with the copy"


Watching = Callable[[Phase], Watch]


class RootOf(Enum):
    """Whose the root object of a storage is."""

    NOBODY = "nobody"
    COPY = "copy"
    MASTER = "master"


@frozen
class Root:
    """The root object of a storage, as it was written last."""

    of: RootOf
    tid: bytes = z64


def look(storage: Any) -> Root:
    """Return who wrote the root object of a storage, as of now."""
    storage.sync()
    last: bytes = storage.lastTransaction()
    try:
        found = storage.loadBefore(z64, p64(u64(last) + 1))
    except POSKeyError:
        found = None
    if found is None:
        return Root(RootOf.NOBODY)
    tid: bytes = found[1]
    with closing(storage.iterator(tid, tid)) as records:
        is_copied = any(COPIED.items() <= it.extension.items() for it in records)
    return Root(RootOf.COPY if is_copied else RootOf.MASTER, tid)


def open_copy(storage: Any) -> Any:
    """Open the database of a storage that has a copy; ``Unavailable`` if it is away."""
    try:
        return database_on(storage)
    except (TransientError, OSError, StorageError) as error:
        raise Unavailable(f"the store is away: {error}") from error


def restore_into(
    backup: Path,
    storage: Any,
    watching: Watching,
    *,
    is_dry: bool = False,
    digest: str = "",
    extension: Mapping[str, object] = MappingProxyType({}),
) -> Content:
    """Verify a copy, fill a storage with it, and compare.

    ``Unusable`` when the copy is no state, or not the one of a digest; ``NotCopied``
    when the storage has anything else, or is away: whoever repeats goes on.
    ``extension`` is added to what is written of each transaction.
    """
    with snapshot_of(backup) as snapshot:
        file = snapshot.storage
        # Before it takes long.
        transfer.check_receiving(file, storage, LOST)
        content = verify(backup, watching(Phase.READING))
        if digest not in ("", content.digest):
            raise Unusable(f"{backup} has the digest {content.digest}, not {digest}")
        if is_dry:
            return content
        transfer.fill(
            file,
            storage,
            content.transaction_count,
            watching(Phase.FILLING),
            LOST,
            extension=extension,
        )
        present = transfer.present_records(file, storage, watching(Phase.COMPARING))
        if digest_of(present) != content.digest:
            raise Unusable(
                f"what was restored has another digest than {backup}: create another"
                " neo_cluster, restore there, and keep this one for us"
            )
    return content
