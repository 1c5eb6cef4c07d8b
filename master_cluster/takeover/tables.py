"""Core. The tables of the reference proxy's database, version by version.

The version is the number at the end of every table's name. What is not in this list is
not understood, and is named: a table, a column or a version that is unknown may mean
something that would be lost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from attrs import field, frozen

VERSIONS = (14, 15, 16, 17, 18)
"""Of slapos.core 1.4.28 to 1.26. A later proxy of theirs migrates what is older."""

Cell: TypeAlias = "str | int | float | bytes | None"


class TakeoverRefused(Exception):
    """The database is not taken over; ``objections`` say where and why, all of them."""

    def __init__(self, objections: Sequence[str]) -> None:
        super().__init__("; ".join(objections))
        self.objections = tuple(objections)


def _frozen(value: Mapping[str, Cell]) -> Mapping[str, Cell]:
    return MappingProxyType(dict(value))


@frozen
class Row:
    """A row of a table; ``number`` counts from 1 in the order of insertion."""

    table: str
    number: int
    cells: Mapping[str, Cell] = field(converter=_frozen)

    def place(self, column: str) -> str:
        return f"table {self.table}, row {self.number}, column {column}"


@frozen
class Database:
    """Everything that a database holds: rows by the names of tables without version."""

    version: int
    rows: Mapping[str, tuple[Row, ...]]

    def of(self, table: str) -> tuple[Row, ...]:
        return self.rows.get(table, ())


_PARTITION = (
    *("reference", "computer_reference", "slap_state", "software_release", "xml"),
    *("connection_xml", "slave_instance_list", "software_type", "partition_reference"),
    *("requested_by", "requested_state", "timestamp"),
)
_SHARED = ("reference", "computer_reference", "connection_xml", "hosted_by")
_EVER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "software": ("url", "computer_reference", "requested_state"),
        "computer": ("reference", "address", "netmask"),
        "partition_network": (
            *("partition_reference", "computer_reference"),
            *("reference", "address", "netmask"),
        ),
        "forwarded_partition_request": ("partition_reference", "master_url"),
    }
)


def columns_of(version: int) -> Mapping[str, tuple[str, ...]]:
    """Return the columns of each table of a version."""
    has_requester = version >= 18  # noqa: PLR2004 - the version that added it
    tables = {
        **_EVER,
        "partition": (*_PARTITION, *(("requester_id",) if has_requester else ())),
        "slave": (*_SHARED, "requester_id" if has_requester else "asked_by"),
    }
    if version in (15, 16):
        tables["local_software_release_root"] = ("path",)
    elif version > 16:  # noqa: PLR2004 - the last one with a table of its own for that
        tables["config"] = ("name", "value")
    return tables


_NAME = re.compile(r"(?P<table>[a-z_]+?)(?P<version>[0-9]+)")


def check_layout(found: Mapping[str, Sequence[str]]) -> int:
    """Return the version of the tables; ``found`` has the columns of each one.

    Raises ``TakeoverRefused`` with everything that is not understood.
    """
    names = {name: _NAME.fullmatch(name) for name in found}
    versions = {it["version"] for it in names.values() if it}
    if not versions:
        raise TakeoverRefused(["this is no database of a reference proxy"])
    if len(versions) > 1:
        listed = ", ".join(sorted(versions))
        raise TakeoverRefused([f"tables of several versions: {listed}"])
    version = int(versions.pop())
    if version not in VERSIONS:
        understood = f"{VERSIONS[0]} to {VERSIONS[-1]} are understood"
        sentence = (
            f"tables of version {version}; {understood}: start a reference proxy of"
            " these versions on a copy once, it migrates older ones"
        )
        raise TakeoverRefused([sentence])
    wanted = columns_of(version)
    objections = [
        f"table {name}: unknown"
        for name, it in sorted(names.items())
        if it is None or it["table"] not in wanted
    ]
    for table, columns in wanted.items():
        name = f"{table}{version}"
        if name not in found:
            objections.append(f"table {name}: missing")
            continue
        for column in sorted(set(found[name]) ^ set(columns)):
            what = "unknown" if column in found[name] else "missing"
            objections.append(f"table {name}, column {column}: {what}")
    if objections:
        raise TakeoverRefused(objections)
    return version
