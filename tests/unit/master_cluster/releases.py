"""Small releases, in memory and as directories, for tests of pushing them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import frozen

from master_cluster.depot import Depot
from slap import calls
from slap.calls import Call
from slap.pushing import HeldRelease, MissingFile, ReleaseOffer, ReleasePiece
from slap.release_sums import fingerprint_of, render_sums

PIECE_BYTES = 4
"""So small that files have several."""


@frozen
class SmallRelease:
    """Its files by their paths."""

    files: Mapping[str, bytes]

    @property
    def sums(self) -> str:
        return render_sums(
            {
                it: hashlib.sha256(content).hexdigest()
                for it, content in self.files.items()
            }
        )

    @property
    def name(self) -> str:
        return fingerprint_of(self.sums)

    @property
    def offer(self) -> ReleaseOffer:
        return ReleaseOffer(self.name, self.sums, sum(map(len, self.files.values())))

    def piece(
        self, path: str, offset: int, content: bytes | None = None
    ) -> ReleasePiece:
        whole = self.files[path] if content is None else content
        part = whole[offset : offset + PIECE_BYTES]
        return ReleasePiece(self.name, path, len(whole), offset, part)

    def write(self, directory: Path) -> Path:
        """Make a directory as `make release` fills it."""
        for path, content in {
            **self.files,
            "SHA256SUMS": self.sums.encode(),
            "fingerprint": f"{self.name}\n".encode(),
        }.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
        return directory


def a_release(word: str = "one") -> SmallRelease:
    return SmallRelease(
        {
            "software/master-cluster/software.cfg": b"[buildout]\n",
            "wheelhouse/a+ours.1.whl": f"the wheel of {word}".encode(),
            "wheelhouse/empty.whl": b"",
            "versions.cfg": b"[versions]",
        }
    )


def push(depot: Depot, release: SmallRelease) -> None:
    """Send what a depot lacks, to the end."""
    held = depot.offer(release.offer)
    for missing in held.missing:
        send(depot, release, missing)
    assert held.is_whole or depot.offer(release.offer).is_whole


def send(depot: Depot, release: SmallRelease, missing: MissingFile) -> None:
    size = len(release.files[missing.path])
    offset = min(missing.received_byte_count, max(0, size - PIECE_BYTES))
    while True:
        report = depot.receive(release.piece(missing.path, offset))
        if report.is_whole:
            return
        offset = report.received_byte_count


def push_by_calls(
    perform: Callable[[Call], object], release: SmallRelease
) -> HeldRelease:
    """Send a release to a master, to the end."""
    held = perform(calls.offer_release(release.offer))
    assert isinstance(held, HeldRelease)
    for missing in held.missing:
        size = len(release.files[missing.path])
        for offset in range(0, max(size, 1), PIECE_BYTES):
            perform(calls.receive_release(release.piece(missing.path, offset)))
    held = perform(calls.offer_release(release.offer))
    assert isinstance(held, HeldRelease)
    return held


def content_of(directory: Path) -> dict[str, bytes]:
    files = (it for it in directory.rglob("*") if not it.is_dir())
    return {str(it.relative_to(directory)): it.read_bytes() for it in files}
