"""What stands at a path of a simulated disk."""

from __future__ import annotations

from functools import cached_property

from attrs import evolve, frozen

from runtime.ports import FileKind, FileStatus

DIRECTORY_BYTES = 4096
"""What a directory takes."""


@frozen
class Entry:
    """A file, directory or link."""

    kind: FileKind
    mode: int
    modified: float
    content: bytes = b""
    target: str = ""
    uid: int = 0
    gid: int = 0

    @property
    def size(self) -> int:
        if self.kind is FileKind.DIRECTORY:
            return DIRECTORY_BYTES
        return len(self.content) if self.kind is FileKind.FILE else len(self.target)

    @cached_property
    def status(self) -> FileStatus:
        """What ``stat`` tells; the same value each time, as agents keep it."""
        return FileStatus(
            self.kind,
            self.mode,
            self.size,
            self.modified,
            self.uid,
            self.gid,
            changed=self.modified,
        )


def change_entry(
    entry: Entry, mode: int | None, uid: int | None, gid: int | None
) -> Entry:
    """The entry with another mode or owner."""
    return evolve(
        entry,
        mode=entry.mode if mode is None else mode,
        uid=entry.uid if uid is None else uid,
        gid=entry.gid if gid is None else gid,
    )
