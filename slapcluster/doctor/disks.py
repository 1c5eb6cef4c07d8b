"""Shell. How long a disk takes to store something, tried on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from statistics import median

from runtime.ports import Runtime
from slapcluster.doctor.examination import DiskFound

WRITE_COUNT = 20
"""Enough for a median; the worst of a disk that stalls now and then takes hours."""

WRITE_BYTES = 4096
"""A page of SQLite."""

TRY_SECONDS_MAX = 5.0
"""A disk that takes longer has shown what it is."""

PROBE = ".slapcluster-probe"
"""The file that is written; who was killed meanwhile leaves it to the next one."""


def look_at_disk(runtime: Runtime, path: str, *, is_tried: bool) -> DiskFound:
    """Look at the file system of a directory, or of where it would be made."""
    place = path
    while not Path(place).is_dir():
        place = str(Path(place).parent)
    space = runtime.file_tree(place).space()
    files = space.file_count_free if space.file_count_max else None
    if not is_tried:
        return DiskFound(place, space.free_bytes, files)
    try:
        taken = try_flushes(place, runtime.clock.seconds)
    except OSError as error:
        trouble = error.strerror or str(error)
        return DiskFound(place, space.free_bytes, files, trouble=trouble)
    return DiskFound(place, space.free_bytes, files, median(taken), max(taken))


def try_flushes(directory: str, seconds: Callable[[], float]) -> tuple[float, ...]:
    """Write and flush a probe some times; return what each time took."""
    probe = Path(directory) / PROBE
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    probe.unlink(missing_ok=True)
    descriptor = os.open(probe, flags, 0o600)
    try:
        return _flushes(descriptor, seconds)
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


def _flushes(descriptor: int, seconds: Callable[[], float]) -> tuple[float, ...]:
    taken: list[float] = []
    begun = seconds()
    while len(taken) < WRITE_COUNT and seconds() < begun + TRY_SECONDS_MAX:
        before = seconds()
        os.write(descriptor, bytes(WRITE_BYTES))
        os.fsync(descriptor)
        taken.append(seconds() - before)
    return tuple(taken)
