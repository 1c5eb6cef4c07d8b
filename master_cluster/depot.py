"""Shell. The directory in which a replica keeps pushed releases.

::

    FINGERPRINT/            a whole release, which is served
    .FINGERPRINT.new/       one that comes:
        SHA256SUMS          what it has
        tree/PATH           files that are whole
        parts/DIGEST        a file that is not, named by the digest of its path
    .FINGERPRINT.old/       one that goes

1. A file is below ``tree`` when it has its digest and is on the disk: it is written as
   a part, compared, and given its name.
2. ``tree`` becomes ``FINGERPRINT`` when it has all files, each compared once more.
3. Nothing else has a name that is served, so nothing half is.

Whoever is killed anywhere is offered the same release again, and goes on. Two who push
the same at once send the same bytes: a piece is written where it belongs, whoever sent
it, and what is wrong at the end has the file begin anew.

Threads do all of this, one call after the other.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from master_cluster.pushed_releases import check_disk
from master_cluster.store.storages import synchronise
from slap.errors import BadRequest, NotFound
from slap.pushing import (
    FileReport,
    HeldRelease,
    MissingFile,
    ReleaseOffer,
    ReleasePiece,
    check_release_size,
)
from slap.release_sums import (
    FINGERPRINT,
    FINGERPRINT_FILE,
    SUMS_FILE,
    fingerprint_of,
    parse_sums,
)

TREE, PARTS = "tree", "parts"
COMING, GOING = ".new", ".old"

DIRECTORY_MODE = 0o700
"""What is in it is served to everybody; who writes it is the replica alone."""

FINGERPRINT_LENGTH = 64

Free = Callable[[Path], int]


def free_bytes(path: Path) -> int:
    """Return what may still be written on the disk of a directory."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def run_fingerprint(release_directory: str | None) -> str:
    """Return the name of the release in a directory; ``""`` for one without."""
    if release_directory is None:
        return ""
    try:
        with Path(release_directory, FINGERPRINT_FILE).open("rb") as file:
            text = file.read(FINGERPRINT_LENGTH + 1)
    except OSError:
        return ""
    return text.decode("latin-1").strip()


class Depot:
    """The pushed releases in a directory, which is made when it is missing."""

    def __init__(self, directory: Path, free: Free = free_bytes) -> None:
        self._directory = directory
        self._free = free

    def prepare(self) -> None:
        """Make the directory, and remove what others left that were killed."""
        self._directory.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        for path in self._directory.glob(f".*{GOING}"):
            shutil.rmtree(path)
        for fingerprint, path in self._coming():
            if self._whole(fingerprint).is_dir():
                self._remove(path, fingerprint)

    def held(self) -> tuple[HeldRelease, ...]:
        """Return all that is here, whole or not, by their names."""
        if not self._directory.is_dir():
            return ()
        whole = {
            it.name: it
            for it in self._directory.iterdir()
            if FINGERPRINT.fullmatch(it.name)
        }
        coming = {name: it for name, it in self._coming() if name not in whole}
        found = [_describe(name, it, is_whole=True) for name, it in whole.items()]
        found += [_describe(name, it, is_whole=False) for name, it in coming.items()]
        return tuple(sorted(found, key=lambda it: it.fingerprint))

    def offer(self, offer: ReleaseOffer) -> HeldRelease:
        """Take up a release; one that lacks nothing is served when this returns."""
        self.prepare()
        name, digests = offer.fingerprint, offer.digests
        whole, coming = self._whole(name), self._comes(name)
        if whole.is_dir():
            if not _missing(whole, None, digests):
                return _describe(name, whole, is_whole=True)
            # The disk has lost or changed a file since.
            self._take_back(whole, coming)
        self._begin(coming, offer)
        missing = _missing(coming / TREE, coming / PARTS, digests)
        if not missing:
            self._finish(coming, offer)
            return _describe(name, whole, is_whole=True)
        present = _describe(name, coming, is_whole=False)
        check_disk(offer.byte_count, present.byte_count, self._free(self._directory))
        return HeldRelease(
            name,
            file_count=present.file_count,
            byte_count=present.byte_count,
            changed_at=present.changed_at,
            missing=missing,
        )

    def receive(self, piece: ReleasePiece) -> FileReport:
        """Take a piece of a file; a whole file is on the disk when this returns."""
        if self._whole(piece.fingerprint).is_dir():
            # Somebody else pushed the rest of it meanwhile.
            return FileReport(piece.path, piece.byte_count, is_whole=True)
        coming = self._comes(piece.fingerprint)
        digest = _digests_of(coming).get(piece.path)
        if digest is None:
            raise NotFound(
                f"no file {piece.path!r} of release {piece.fingerprint} is expected:"
                " offer the release first"
            )
        target = coming / TREE / piece.path
        if target.is_file():
            return FileReport(piece.path, piece.byte_count, is_whole=True)
        present = _describe(piece.fingerprint, coming, is_whole=False).byte_count
        part = _part_of(coming / PARTS, piece.path)
        size = _size(part)
        if piece.offset > size:
            raise BadRequest(
                f"offset: {size} bytes of {piece.path!r} are here: go on with the one"
                f" at offset {size}, not {piece.offset}"
            )
        check_release_size(present - size + piece.byte_count)
        check_disk(len(piece.content), 0, self._free(self._directory))
        with part.open("r+b" if size else "wb") as file:
            file.seek(piece.offset)
            file.write(piece.content)
            file.truncate(min(max(size, piece.end), piece.byte_count))
            file.flush()
            if piece.end == piece.byte_count:
                os.fsync(file.fileno())
        if piece.end < piece.byte_count:
            return FileReport(piece.path, _size(part), is_whole=False)
        found = _digest(part)
        if found != digest:
            part.unlink()
            raise BadRequest(
                f"{piece.path!r} has the digest {found}, and {SUMS_FILE} says {digest}:"
                " it is not kept"
            )
        target.parent.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        part.rename(target)
        synchronise(str(target.parent))
        return FileReport(piece.path, piece.byte_count, is_whole=True)

    def forget(self, fingerprint: str) -> None:
        """Remove a release, whole or not; nothing happens when it is not here."""
        for path in (self._whole(fingerprint), self._comes(fingerprint)):
            if path.is_dir():
                self._remove(path, fingerprint)

    def _whole(self, fingerprint: str) -> Path:
        return self._directory / fingerprint

    def _comes(self, fingerprint: str) -> Path:
        return self._directory / f".{fingerprint}{COMING}"

    def _coming(self) -> Iterator[tuple[str, Path]]:
        for path in self._directory.glob(f".*{COMING}"):
            name = path.name[1 : -len(COMING)]
            if FINGERPRINT.fullmatch(name):
                yield name, path

    def _begin(self, coming: Path, offer: ReleaseOffer) -> None:
        for path in (coming / TREE, coming / PARTS):
            path.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
        _write(coming / SUMS_FILE, offer.sums)

    def _finish(self, coming: Path, offer: ReleaseOffer) -> None:
        tree = coming / TREE
        for name, text in (
            (SUMS_FILE, offer.sums),
            (FINGERPRINT_FILE, f"{offer.fingerprint}\n"),
        ):
            _write(coming / name, text)
            (coming / name).replace(tree / name)
        for path in tree.rglob("*"):
            if path.is_dir():
                synchronise(str(path))
        synchronise(str(tree))
        tree.rename(self._whole(offer.fingerprint))
        synchronise(str(self._directory))
        shutil.rmtree(coming)

    def _take_back(self, whole: Path, coming: Path) -> None:
        """Serve a release no longer, and keep what is right of it."""
        if coming.exists():
            shutil.rmtree(coming)
        coming.mkdir(DIRECTORY_MODE)
        whole.rename(coming / TREE)
        synchronise(str(self._directory))

    def _remove(self, path: Path, fingerprint: str) -> None:
        aside = self._directory / f".{fingerprint}{GOING}"
        if aside.exists():
            shutil.rmtree(aside)
        path.rename(aside)
        synchronise(str(self._directory))
        shutil.rmtree(aside)


def _missing(
    tree: Path, parts: Path | None, digests: Mapping[str, str]
) -> tuple[MissingFile, ...]:
    """Return the files that are not there; a wrong one is removed."""
    missing = []
    for path, digest in digests.items():
        if _digest(tree / path) == digest:
            continue
        (tree / path).unlink(missing_ok=True)
        count = _size(_part_of(parts, path)) if parts else 0
        missing.append(MissingFile(path, count))
    return tuple(missing)


def _describe(name: str, top: Path, *, is_whole: bool) -> HeldRelease:
    files = (it for it in top.rglob("*") if it.is_file())
    own = {SUMS_FILE, FINGERPRINT_FILE}
    sizes = [it.stat().st_size for it in files if it.name not in own]
    changed_at = top.stat().st_mtime
    return HeldRelease(name, is_whole, len(sizes), sum(sizes), changed_at)


def _digests_of(coming: Path) -> dict[str, str]:
    try:
        sums = (coming / SUMS_FILE).read_text("utf-8")
    except OSError:
        return {}
    # Torn by a loss of power, it is another list.
    is_whole = coming.name == f".{fingerprint_of(sums)}{COMING}"
    return parse_sums(sums) if is_whole else {}


def _part_of(parts: Path, path: str) -> Path:
    return parts / hashlib.sha256(path.encode()).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file; ``""`` where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _write(path: Path, text: str) -> None:
    """Have a file on the disk; the directory is synchronised later."""
    draft = path.with_name(f".{path.name}{COMING}")
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
