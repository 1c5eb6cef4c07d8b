"""The record of a formatted computer: read before a format, replaced after it."""

from __future__ import annotations

import json
from zipfile import BadZipFile

from runtime.ports import Runtime
from slap.errors import MalformedDocument
from slapgrid.config import Config
from slapgrid.format.choosing import FormatRefused
from slapgrid.format.computer import FormattedComputer
from slapgrid.format.definition_files import render_definition
from slapgrid.format.observing import read_path
from slapgrid.format.previous import PreviousComputer, decode_previous
from slapgrid.format.records import add_version, render_xml
from slapgrid.format.settings import AddressSource

RECORD = "var/slapgrid/computer.xml"


class Record:
    """``computer_xml`` with its history, and the other files that say the same.

    What cannot be read is refused and never replaced: it says which addresses the
    partitions have.
    """

    def __init__(self, config: Config, runtime: Runtime) -> None:
        self._settings = config.format
        self._runtime = runtime
        self._path = self._settings.computer_xml
        if not self._path and self._settings.source is not AddressSource.NETWORK:
            self._path = f"{config.instance_root}/{RECORD}"

    def read(self) -> PreviousComputer:
        """What an earlier format gave; nothing when there was none."""
        content = read_path(self._runtime, self._path) if self._path else None
        if content is None:
            return PreviousComputer()
        try:
            return decode_previous(content)
        except MalformedDocument as error:
            raise FormatRefused(
                f"{self._path} cannot be read ({error}), and it says which addresses "
                f"the partitions have: restore it, from {self._path}.zip if that is "
                "there, or move it away to have them chosen anew"
            ) from error

    def write(self, computer: FormattedComputer) -> None:
        """Replace what differs."""
        document = computer.describe()
        if self._path:
            self._replace(self._path, render_xml(document), has_history=True)
        if self._settings.computer_json:
            rendered = json.dumps(document, indent=2, sort_keys=True).encode()
            self._replace(self._settings.computer_json, rendered)
        if self._settings.output_definition_file:
            software_user = str(document["software_user"])
            rendered = render_definition(computer, software_user)
            self._replace(self._settings.output_definition_file, rendered)

    def _replace(self, path: str, content: bytes, *, has_history: bool = False) -> None:
        before = read_path(self._runtime, path)
        if before == content:
            return
        directory, _, name = path.rpartition("/")
        tree = self._runtime.file_tree(directory or "/")
        if tree.status("") is None:
            tree.make_directory("")
        if before is not None and has_history:
            self._archive(f"{path}.zip", name, before)
        tree.write(name, content)

    def _archive(self, path: str, name: str, content: bytes) -> None:
        directory, _, archive_name = path.rpartition("/")
        tree = self._runtime.file_tree(directory or "/")
        archive = read_path(self._runtime, path)
        now = self._runtime.calendar.now()
        try:
            added = add_version(archive, name, content, now)
        except BadZipFile:
            # Cut by a power loss, on a stock node: what there is may be saved by hand.
            tree.write(f"{archive_name}.unreadable", archive or b"")
            added = add_version(None, name, content, now)
        tree.write(archive_name, added)
