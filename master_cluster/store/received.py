"""Shell. A copy that comes in pieces: a file, and how much of it counts.

What is true at all times, whatever is killed and however the power goes: the first
``received_byte_count`` bytes of the file are those that were sent. A piece is on the
disk before the count of it is, and the count before anybody is told of it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from master_cluster.store.storages import synchronise
from master_cluster.transferring import ReceivedCopy, place_piece
from slap.transfer import Piece

COPY_FILE = "copy.fs"
COUNT_FILE = "copy.json"


class ReceivedFile:
    """The copy in one directory, which is made for it; its state has secrets."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._count_path = directory / COUNT_FILE
        self.path = directory / COPY_FILE

    def read(self) -> ReceivedCopy | None:
        """Return what was received; ``None`` for nothing, or what is damaged."""
        try:
            digest, byte_count, received = json.loads(self._count_path.read_text())
            copy = ReceivedCopy(digest, byte_count, received)
            return copy if self.path.stat().st_size >= received else None
        except (OSError, ValueError, TypeError):
            return None

    def take(self, piece: Piece) -> ReceivedCopy:
        """Write what is new of a piece; ``Refusal`` says where to go on."""
        present = self.read()
        copy, known_count = place_piece(present, piece)
        if copy == present:
            return copy
        if known_count == piece.offset == 0:
            self.remove()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            # What was written and not counted goes.
            os.ftruncate(descriptor, known_count)
            os.lseek(descriptor, known_count, os.SEEK_SET)
            _write_all(descriptor, piece.content[known_count - piece.offset :])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._count(copy)
        return copy

    def remove(self) -> None:
        """Forget it, if there is any."""
        # Bytes that nobody counts are nothing.
        self._count_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        if self._directory.exists():
            synchronise(str(self._directory))

    def _count(self, copy: ReceivedCopy) -> None:
        unfinished = self._count_path.with_suffix(".part")
        content = (copy.digest, copy.byte_count, copy.received_byte_count)
        with unfinished.open("w") as file:
            file.write(json.dumps(content))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._count_path)
        synchronise(str(self._directory))


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
