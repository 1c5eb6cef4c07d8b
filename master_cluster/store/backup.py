"""Shell. Copies of a store as files, made beside its master, and put back.

What is true of every copy:

1. It has each transaction that was acknowledged before it began, and none in part.
2. A file of the wanted name appears when it is complete, verified and on its disk. Who
   is killed before leaves what was there, and a file that ends in ``.part``.
3. Nothing is put back while somebody has the file open.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from zc.lockfile import LockError, LockFile  # type: ignore[import-untyped]

from master_cluster.errors import Unusable
from master_cluster.store.content import Content, Snapshot, Watch, snapshot_of, verify
from master_cluster.store.storages import synchronise

CHUNK_BYTES = 1024 * 1024


def back_up(path: Path, target: Path, watch: Watch, *, is_forced: bool) -> Content:
    """Copy the file of a store while it is used, and verify the copy."""
    with snapshot_of(path) as snapshot:
        return make_copy(
            lambda part: _copy(snapshot, part, watch),
            *(target, watch),
            is_forced=is_forced,
        )


def make_copy(
    write: Callable[[Path], None], target: Path, watch: Watch, *, is_forced: bool
) -> Content:
    """Have a new file written and synchronised, and verify it."""
    if _is_there(target) and not is_forced:
        raise Unusable(
            f"{target} is there already; name another file, or replace it by --force"
        )
    with _new_file(target) as part:
        write(part)
        content = verify(part, watch)
        _put_in_place(part, target)
    return content


def restore(backup: Path, path: Path, watch: Watch, *, is_forced: bool) -> Content:
    """Make a verified copy the file of a store that nobody uses."""
    content = verify(backup, watch)
    if _is_there(path) and not is_forced:
        raise Unusable(
            f"{path} is there already; --force replaces it, and what it has is lost"
        )
    with _locked(path), snapshot_of(backup) as snapshot, _new_file(path) as part:
        _copy(snapshot, part, watch)
        if verify(part, watch) != content:
            raise Unusable(f"{backup} changed while it was copied")
        # The index of the old file goes first: without one the file is read whole.
        Path(f"{path}.index").unlink(missing_ok=True)
        _put_in_place(part, path)
    return content


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _copy(snapshot: Snapshot, target: Path, watch: Watch) -> None:
    done, total = 0, snapshot.byte_count
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # The state has secrets: nobody may read the copy who may not read the file.
        os.fchmod(descriptor, snapshot.mode)
        while done < total:
            chunk = snapshot.read(done, CHUNK_BYTES)
            if not chunk:
                raise Unusable(f"the file ends after {done} of {total} bytes")
            done += os.write(descriptor, chunk)
            watch(done, total)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _new_file(target: Path) -> Iterator[Path]:
    """Give a name beside ``target`` to write to; what is left there goes."""
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _put_in_place(part: Path, target: Path) -> None:
    """Let ``part`` replace what is there, with the same owner."""
    if target.exists():
        old, new = target.stat(), part.stat()
        if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
            os.chown(part, old.st_uid, old.st_gid)
    part.replace(target)
    synchronise(str(target.absolute().parent))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock by which a master owns its file."""
    try:
        lock = LockFile(f"{path}.lock")
    except LockError as error:
        raise Unusable(
            f"{path} is in use; stop its master or storage server first"
        ) from error
    try:
        yield
    finally:
        lock.close()
