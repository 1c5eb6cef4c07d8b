"""Core. What is taken over from the database of a reference proxy, or why nothing is.

1. All or nothing: one row that is not understood, and nothing is taken over. Every
   objection is named, not the first alone.
2. The documents of a computer stay what they were to its node: identities, timestamps
   and references of shared instances are those of the proxy, in the same words.
3. What cannot be the same is said in a note.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from attrs import evolve, frozen

from master_cluster.forwarding import USER_PREFIX
from master_cluster.records import InstanceRecord
from master_cluster.takeover.computers import TakenComputer, read_computers
from master_cluster.takeover.guests import Guests
from master_cluster.takeover.occupants import (
    REQUESTERS_VERSION,
    TITLED_ROOTS_VERSION,
    read_occupants,
)
from master_cluster.takeover.tables import Database, Row, TakeoverRefused

KNOWN_SETTINGS = ("local_software_release_root",)
"""Settings of the proxy that mean nothing here: addresses in rows are whole already."""


@frozen
class Takeover:
    """What is written: instances with roots first, then others, then shared ones.

    ``digest`` identifies the content that was read.
    """

    version: int
    digest: str
    computers: tuple[TakenComputer, ...]
    instances: tuple[InstanceRecord, ...]
    notes: tuple[str, ...] = ()


def decide_takeover(database: Database, now: float) -> Takeover:
    """Decide; ``TakeoverRefused`` names every row that is not understood."""
    objections: list[str] = []
    computers = read_computers(database, objections)
    occupants, own = read_occupants(database, now, objections)
    guests = Guests(database, occupants, now)
    shared = guests.read(objections)
    objections += _refused_rows(database)
    instances = (*own, *shared)
    objections += _find_clashes(instances)
    if objections:
        raise TakeoverRefused(list(dict.fromkeys(objections)))
    return Takeover(
        database.version,
        _digest(database),
        tuple(_without_timestamps_of_busy(it, own) for it in computers),
        tuple(sorted(instances, key=lambda it: (it.is_shared, not it.is_root))),
        (*_notes(database, computers, own), *guests.notes),
    )


def _refused_rows(database: Database) -> list[str]:
    """Name the rows whose meaning has no place here."""
    forwarded = [
        f"{row.place('partition_reference')}: {row.cells['partition_reference']!r} is"
        f" forwarded to {row.cells['master_url']!r} under the name of a partition,"
        " which this master would not use: destroy it by the proxy, or remove the row"
        " from a copy"
        for row in database.of("forwarded_partition_request")
        if not _is_forwarded_by_person(row)
    ]
    settings = [
        f"{row.place('name')}: the setting {row.cells['name']!r} is unknown"
        for row in database.of("config")
        if row.cells["name"] not in KNOWN_SETTINGS
    ]
    return [*forwarded, *settings]


def _is_forwarded_by_person(row: Row) -> bool:
    """Whether this master forwards the same request under the same title."""
    return str(row.cells["partition_reference"]).startswith(USER_PREFIX)


def _find_clashes(instances: Iterable[InstanceRecord]) -> list[str]:
    """Name the instances that the proxy tells apart and this master cannot."""
    found = []
    places: dict[tuple[str, str], InstanceRecord] = {}
    guids: set[str] = set()
    for instance in instances:
        title = instance.title
        key = ("" if instance.is_root else instance.root_guid, title)
        if key in places:
            other = places[key].instance_guid
            found.append(
                f"{instance.instance_guid!r} and {other!r} both have the title"
                f" {title!r} in one tree"
            )
        places[key] = instance
        if instance.instance_guid in guids:
            found.append(f"two instances are called {instance.instance_guid!r}")
        guids.add(instance.instance_guid)
    return found


def _without_timestamps_of_busy(
    computer: TakenComputer, own: Iterable[InstanceRecord]
) -> TakenComputer:
    """Leave ``last_timestamp`` to partitions that are free: it is of who left."""
    busy = {it.partition.partition_id for it in own if _is_on(computer, it)}
    return evolve(
        computer,
        partitions=tuple(
            evolve(it, last_timestamp="") if it.partition_id in busy else it
            for it in computer.partitions
        ),
    )


def _is_on(computer: TakenComputer, instance: InstanceRecord) -> bool:
    return instance.partition.computer_id == computer.computer.computer_id


def _notes(
    database: Database,
    computers: Iterable[TakenComputer],
    own: Iterable[InstanceRecord],
) -> list[str]:
    defined = {row.cells["reference"] for row in database.of("computer")}
    names = (it.computer.computer_id for it in computers)
    notes = [
        f"{it} was supplied to and never formatted: it is taken over without partitions"
        for it in names
        if it not in defined
    ]
    has_children = any(not it.is_root for it in own)
    if has_children and TITLED_ROOTS_VERSION <= database.version < REQUESTERS_VERSION:
        notes.append(
            f"version {database.version} does not say who requested a child: its root"
            " counts as its requester until it is requested again"
        )
    notes += [
        f"{row.cells['partition_reference']!r} stays at {row.cells['master_url']!r}:"
        " the proxy kept its name alone; request it here again, and it is met there"
        for row in database.of("forwarded_partition_request")
        if _is_forwarded_by_person(row)
    ]
    unstamped = sum(row.cells["timestamp"] is None for row in _busy(database))
    if unstamped:
        notes.append(f"{unstamped} instances without a timestamp are processed once")
    return notes


def _busy(database: Database) -> list[Row]:
    return [it for it in database.of("partition") if it.cells["slap_state"] == "busy"]


def _digest(database: Database) -> str:
    content = [
        [row.table, [[name, repr(it)] for name, it in sorted(row.cells.items())]]
        for table in sorted(database.rows)
        for row in database.of(table)
    ]
    encoded = json.dumps([database.version, content]).encode()
    return hashlib.sha256(encoded).hexdigest()
