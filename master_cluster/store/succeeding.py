"""Shell. A new history is begun in the file of a state, which nobody uses yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen
from persistent.timestamp import TimeStamp  # type: ignore[import-untyped]
from ZODB.DB import DB  # type: ignore[import-untyped]
from ZODB.POSException import POSKeyError  # type: ignore[import-untyped]
from ZODB.utils import p64, u64, z64  # type: ignore[import-untyped]

from master_cluster.errors import Unusable
from master_cluster.records import InstanceRecord
from master_cluster.store.attempt import Attempt
from master_cluster.store.certificates import Certificates
from master_cluster.store.cloud import Cloud
from master_cluster.store.content import snapshot_of
from master_cluster.store.decisions import define_computer
from master_cluster.store.restoring import COPIED
from master_cluster.store.schema import (
    ROOT_KEY,
    StoredCloud,
    StoredReplicas,
    StoredStanding,
    fields_of,
)
from master_cluster.store.storages import database_on, open_file
from master_cluster.store.store import check_layout
from master_cluster.succeeding import CloudHistory, decide_ending, follow
from runtime.ports import ICalendar
from slap.model import ComputerDefinition
from slap.replicas import ListedReplica


@frozen
class LeftComputer:
    """A computer of a state; ``services`` are the titles of the trees in it.

    ``certificate`` is its last one, with those who issued it, empty without one.
    """

    computer_id: str
    title: str
    services: tuple[str, ...] = ()
    certificate: str = ""
    expires_at: float = 0.0


@frozen
class LeftCloud:
    """What a state knows of the cloud that it is of.

    ``masters`` are the titles of trees that were its master, ``services`` of others.
    ``last_at`` is when its last transaction was made.
    """

    histories: tuple[CloudHistory, ...]
    replicas: tuple[ListedReplica, ...]
    masters: tuple[str, ...]
    services: tuple[str, ...]
    computers: tuple[LeftComputer, ...]
    last_tid: str
    last_at: float


@frozen
class Succession:
    """A history that is to begin: its name, whence it comes, who serves it first.

    ``release_path`` is how the address of the release of a master ends.
    ``computer_titles`` are those who come back at once; no other one offers anything
    until it comes back and is formatted.
    """

    name: str
    source: str
    replica: ListedReplica
    release_path: str
    computer_titles: frozenset[str]


def look_at(path: Path, release_path: str) -> LeftCloud:
    """Read of which cloud a verified file is; ``Unusable`` for one never opened."""
    with _opened_to_read(path) as (stored, last):
        cloud = Cloud(stored)
        roots = cloud.roots()
        masters = {it.title for it in roots if _is_release(it, release_path)}
        return LeftCloud(
            cloud.histories,
            cloud.replicas.list(),
            tuple(sorted(masters)),
            tuple(it.title for it in roots if it.title not in masters),
            tuple(_computers(cloud)),
            last.hex(),
            TimeStamp(last).timeTime(),
        )


@contextmanager
def _opened_to_read(path: Path) -> Iterator[tuple[StoredCloud, bytes]]:
    with snapshot_of(path) as snapshot:
        _check_opened(path, snapshot.storage)
        with closing(DB(snapshot.storage)) as database:
            attempt = Attempt(database)
            try:
                stored = attempt.root[ROOT_KEY]
                check_layout(stored.layout)
                yield stored, snapshot.storage.lastTransaction()
            finally:
                attempt.end()


def _check_opened(path: Path, storage: Any) -> None:
    """Refuse what was copied from a mini-master, and served by nobody yet."""
    try:
        _, tid, _ = storage.loadBefore(z64, p64(u64(storage.lastTransaction()) + 1))
    except (POSKeyError, TypeError) as error:
        raise Unusable(f"{path} holds no state of a master") from error
    with closing(storage.iterator(tid, tid)) as records:
        is_copied = any(COPIED.items() <= it.extension.items() for it in records)
    if is_copied:
        raise Unusable(
            f"{path} has a state that was never opened: the mini-master that sent it"
            " has all of it; repeat the bootstrap, or the recovery, that was going on"
        )


def _is_release(root: InstanceRecord, release_path: str) -> bool:
    return root.software_release_url.endswith(release_path)


def _computers(cloud: Cloud) -> Iterator[LeftComputer]:
    titles = {it.instance_guid: it.title for it in cloud.roots()}
    for computer_id in cloud.computer_ids():
        occupants = (it.occupant_guid for it in cloud.partitions(computer_id))
        found = (cloud.find_instance(it) for it in occupants)
        services = {titles.get(it.root_guid, "") for it in found if it is not None}
        issued = cloud.certificates.of_computer(computer_id)
        yield LeftComputer(
            computer_id,
            cloud.certificates.title(computer_id),
            tuple(sorted(filter(None, services))),
            issued.certificate if issued else "",
            issued.expires_at if issued else 0.0,
        )


def begin_history(
    path: Path, calendar: ICalendar, succession: Succession
) -> CloudHistory:
    """Begin it, in one transaction: what is left of the lost master in a state ends.

    1. The state is open here, and the only replica told of is the one that serves it.
       Whoever hears of it forgets the addresses of the lost cloud.
    2. Trees that were its master are to be destroyed.
    3. A computer that does not come back at once offers no partition: nothing new is
       placed there. What it has stays as it is, until it comes back.
    """
    with closing(database_on(open_file(str(path), calendar))) as database:
        follows_tid = database.storage.lastTransaction().hex()
        attempt = Attempt(database)
        with attempt.aborted_on_error():
            stored = attempt.root[ROOT_KEY]
            check_layout(stored.layout)
            stored.complete()
            cloud = Cloud(stored)
            now = calendar.now()
            histories = follow(
                cloud.histories,
                name=succession.name,
                now=now,
                follows_tid=follows_tid,
                source=succession.source,
            )
            stored.histories = tuple(dict(fields_of(it)) for it in histories)
            stored.standing = StoredStanding()
            stored.replicas = StoredReplicas()
            cloud.replicas.announce(succession.replica)
            _end_masters(cloud, succession.release_path, now)
            _withdraw(cloud, stored, succession.computer_titles, now)
        attempt.commit(None)
    return histories[-1]


def _end_masters(cloud: Cloud, release_path: str, now: float) -> None:
    for root in cloud.roots():
        if _is_release(root, release_path):
            tree = (root, *cloud.children(root.instance_guid))
            cloud.apply(decide_ending(tree, now))


def _withdraw(
    cloud: Cloud, stored: StoredCloud, titles: Iterable[str], now: float
) -> None:
    certificates = Certificates(stored.certificates)
    for computer_id in cloud.computer_ids():
        if certificates.title(computer_id) not in titles:
            record = cloud.computer(computer_id)
            nothing = ComputerDefinition(computer_id, record.address, record.netmask)
            define_computer(cloud, nothing, now)
