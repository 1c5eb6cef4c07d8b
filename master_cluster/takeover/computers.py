"""Core. Computers, partitions and installations, out of a reference proxy's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from attrs import evolve, frozen

from master_cluster.records import (
    ComputerRecord,
    InstallationRecord,
    PartitionRecord,
)
from master_cluster.takeover.cells import (
    Flaw,
    name_in,
    optional_name_in,
    timestamp_in,
    word_in,
)
from master_cluster.takeover.tables import Cell, Database, Row, TakeoverRefused
from slap.model import NetworkAddress, PartitionKey, SupplyState

T = TypeVar("T")


@frozen
class TakenComputer:
    """A computer with everything that has no instance."""

    computer: ComputerRecord
    partitions: tuple[PartitionRecord, ...] = ()
    installations: tuple[InstallationRecord, ...] = ()


def cell(row: Row, column: str, read: Callable[[Cell], T]) -> T:
    """Read a cell; ``TakeoverRefused`` names its place."""
    try:
        return read(row.cells[column])
    except Flaw as flaw:
        raise TakeoverRefused([f"{row.place(column)}: {flaw}"]) from flaw


def read_each(
    rows: Iterable[Row], read: Callable[[Row], T], objections: list[str]
) -> list[T]:
    """Read rows; what is not understood of any of them goes to ``objections``."""
    found = []
    for row in rows:
        try:
            found.append(read(row))
        except TakeoverRefused as refused:
            objections.extend(refused.objections)
    return found


def read_key(row: Row) -> PartitionKey:
    """Return which partition a row of the table of partitions is."""
    return PartitionKey(
        cell(row, "computer_reference", name_in), cell(row, "reference", name_in)
    )


def read_computers(database: Database, objections: list[str]) -> list[TakenComputer]:
    """Return all computers: those that were defined, and those that were supplied."""
    known = read_each(database.of("computer"), _computer, objections)
    installations = read_each(database.of("software"), _installation, objections)
    placed = read_each(database.of("partition"), _partition, objections)
    addresses = _addresses(database, {it for it, _ in placed}, objections)
    records = {it.computer_id: it for it in known}
    for computer_id in (
        *(it.computer_id for it in installations),
        *(it.computer_id for it, _ in placed),
    ):
        records.setdefault(computer_id, ComputerRecord(computer_id))
    return [
        TakenComputer(
            record,
            tuple(
                evolve(partition, addresses=addresses.get(key, ()))
                for key, partition in placed
                if key.computer_id == record.computer_id
            ),
            _numbered(installations, record.computer_id),
        )
        for record in records.values()
    ]


def _computer(row: Row) -> ComputerRecord:
    return ComputerRecord(
        cell(row, "reference", name_in),
        cell(row, "address", optional_name_in) or None,
        cell(row, "netmask", optional_name_in) or None,
    )


def _installation(row: Row) -> InstallationRecord:
    return InstallationRecord(
        cell(row, "url", name_in),
        cell(row, "computer_reference", name_in),
        row.number,
        cell(row, "requested_state", lambda it: word_in(it, SupplyState)),
    )


def _numbered(
    installations: Sequence[InstallationRecord], computer_id: str
) -> tuple[InstallationRecord, ...]:
    of_computer = [it for it in installations if it.computer_id == computer_id]
    return tuple(
        evolve(it, ordinal=number) for number, it in enumerate(of_computer, start=1)
    )


def _partition(row: Row) -> tuple[PartitionKey, PartitionRecord]:
    key = read_key(row)
    last_timestamp = cell(row, "timestamp", timestamp_in)
    return key, PartitionRecord(key.partition_id, last_timestamp=last_timestamp)


def _addresses(
    database: Database, partitions: set[PartitionKey], objections: list[str]
) -> Mapping[PartitionKey, tuple[NetworkAddress, ...]]:
    def read(row: Row) -> tuple[PartitionKey, NetworkAddress]:
        key = PartitionKey(
            cell(row, "computer_reference", name_in),
            cell(row, "partition_reference", name_in),
        )
        if key not in partitions:
            place = row.place("partition_reference")
            raise TakeoverRefused(
                [f"{place}: no partition {key.partition_id!r} of {key.computer_id}"]
            )
        interface = cell(row, "reference", name_in)
        return key, NetworkAddress(interface, cell(row, "address", name_in))

    found: dict[PartitionKey, tuple[NetworkAddress, ...]] = {}
    for key, address in read_each(database.of("partition_network"), read, objections):
        found[key] = (*found.get(key, ()), address)
    return found
