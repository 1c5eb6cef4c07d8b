"""What stands at a path of a simulated disk."""

from __future__ import annotations

from attrs import evolve, frozen

from runtime.ports import FileKind

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
