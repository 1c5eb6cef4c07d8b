"""Core. Shared instances, out of a reference proxy's rows.

The proxy keeps one in two places: what its host is told, in the row of the host, and
what the host published for it, in a row of its own. A row whose host is told nothing is
what is left of a destroyed one: the proxy never removes it.

The reference of a shared instance is the name of its requester and its title, joined by
``_``: the title of the root from version 17 on, the partition of the requester before;
a migrated database has both. It stays the guid here, because hosts name what they keep
by it. Where it can be read in two ways nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from master_cluster.records import InstanceRecord
from master_cluster.takeover.cells import (
    OWN_KEYS,
    name_in,
    optional_name_in,
    parameters_in,
)
from master_cluster.takeover.computers import cell, read_each
from master_cluster.takeover.occupants import Occupant, Occupants
from master_cluster.takeover.tables import Database, Row, TakeoverRefused
from master_cluster.timestamps import next_timestamp
from slap.arguments import DEFAULT_SOFTWARE_TYPE

PERSON = "user"
"""What the proxy writes for a requester that is no partition."""


@frozen
class _Requester:
    """One way to read a reference: the tree, the direct requester and the title."""

    root: Occupant | None
    direct: Occupant | None
    title: str


class Guests:
    """Reads the shared instances of all hosts; ``notes`` says what was decided."""

    def __init__(self, database: Database, occupants: Occupants, now: float) -> None:
        self._occupants = occupants
        self._timestamp = next_timestamp(now)
        self.notes: list[str] = []
        self._database = database
        self._rows: dict[tuple[str, str], Row] = {}
        self._told: set[tuple[str, str]] = set()

    def read(self, objections: list[str]) -> list[InstanceRecord]:
        found = []
        self._rows = dict(read_each(self._database.of("slave"), _named_row, objections))
        for host in self._occupants.all:
            for told in host.guests:
                try:
                    found.append(self._guest(host, told))
                except TakeoverRefused as refused:
                    objections.extend(refused.objections)
        left = len(set(self._rows) - self._told)
        if left:
            self.notes.append(f"{left} destroyed shared instances are left out")
        return found

    def _guest(self, host: Occupant, told: Mapping[str, str]) -> InstanceRecord:
        place = host.row.place("slave_instance_list")
        reference = told.get("slave_reference", "")
        if not reference:
            raise TakeoverRefused([f"{place}: one without slave_reference"])
        name = (host.key.computer_id, reference)
        if name in self._told:
            raise TakeoverRefused([f"{place}: {reference!r} twice on its computer"])
        self._told.add(name)
        row = self._rows.get(name)
        requester = self._requester(host, reference, row, place)
        root, direct = requester.root, requester.direct
        return InstanceRecord(
            instance_guid=reference,
            title=requester.title,
            root_guid=root.instance.instance_guid if root else reference,
            requester_guid=direct.instance.instance_guid if direct else None,
            software_release_url=host.instance.software_release_url,
            software_type=told.get("slap_software_type") or DEFAULT_SOFTWARE_TYPE,
            partition=host.key,
            timestamp=self._timestamp,
            is_shared=True,
            host_guid=host.instance.instance_guid,
            parameters={
                key: value for key, value in told.items() if key not in OWN_KEYS
            },
            connection_parameters=(
                cell(row, "connection_xml", parameters_in) if row else {}
            ),
        )

    def _requester(
        self, host: Occupant, reference: str, row: Row | None, place: str
    ) -> _Requester:
        computer_id = host.key.computer_id
        direct_id = _requester_id(row)
        direct = self._occupants.find(direct_id, computer_id)
        readings = {
            (it.root.key if it.root else None, it.title): it
            for it in self._readings(reference, computer_id, direct)
        }
        if direct_id == PERSON and reference.startswith("_"):
            return _Requester(None, None, reference[1:])
        named = self._occupants.roots.get(direct_id)
        root = self._occupants.root_of(direct) if direct else named
        own = [it for it in readings.values() if root and it.root is root]
        if len(own) == 1:
            return own[0]
        if len(readings) > 1:
            sentence = f"{place}: {reference!r} can be of several services"
            raise TakeoverRefused([sentence])
        if not readings:
            self.notes.append(
                f"shared instance {reference!r}: its requester is gone; it becomes a"
                " service of this name, to be destroyed when nobody wants it"
            )
            return _Requester(None, None, reference)
        return next(iter(readings.values()))

    def _readings(
        self, reference: str, computer_id: str, direct: Occupant | None
    ) -> list[_Requester]:
        """Return what a reference can mean, given who lives."""
        found = []
        if reference.startswith("_") and len(reference) > 1:
            found.append(_Requester(None, None, reference[1:]))
        for end in range(1, len(reference) - 1):
            if reference[end] != "_":
                continue
            prefix, title = reference[:end], reference[end + 1 :]
            root = self._occupants.roots.get(prefix)
            if root is not None:
                is_of_tree = direct and self._occupants.root_of(direct) is root
                found.append(_Requester(root, direct if is_of_tree else root, title))
            requester = self._occupants.find(prefix, computer_id)
            if requester is not None:
                root = self._occupants.root_of(requester)
                found.append(_Requester(root, requester, title))
        return found


def _named_row(row: Row) -> tuple[tuple[str, str], Row]:
    computer_id = cell(row, "computer_reference", name_in)
    return (computer_id, cell(row, "reference", name_in)), row


def _requester_id(row: Row | None) -> str:
    """Return the partition that a row names as requester, or ``""``."""
    if row is None:
        return ""
    column = "requester_id" if "requester_id" in row.cells else "asked_by"
    name = cell(row, column, optional_name_in)
    return PERSON if column == "asked_by" and not name else name
