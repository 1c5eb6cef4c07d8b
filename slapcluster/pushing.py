"""Shell. Pushes a release directory to the replicas of a cloud.

Each replica says what it lacks, and gets that; so whoever is interrupted types the same
again, and nothing is sent twice but a last piece.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred, gatherResults

from runtime.ports import Runtime
from slap.errors import BadRequest, MasterAway, SlapError
from slap.pushing import (
    FILE_BYTES_MAX,
    HeldRelease,
    MissingFile,
    ReleaseOffer,
    ReleasePiece,
)
from slap.release_sums import (
    FINGERPRINT_FILE,
    SUMS_FILE,
    BadSums,
    fingerprint_of,
    parse_sums,
)
from slap.replicas import ListedReplica
from slap.transfer import PIECE_BYTES_MAX
from slapcluster.asking import ask
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed
from slapcluster.pushes import AllAtReplica, AtReplica, Standing, at_replica, found_at

TRIES = 4
"""Of one replica: it may be started anew meanwhile."""

AGAIN_SECONDS = 3.0
"""Between two tries: a replica starts in some seconds."""

OFFERS_MAX = 3
"""Of one try: others may push the same, and damage a file."""

Show = Callable[[str, int, int], None]

T = TypeVar("T")


@frozen
class LocalRelease:
    """A directory as `make release` fills it, each file with its digest."""

    directory: Path
    offer: ReleaseOffer
    sizes: Mapping[str, int]

    @property
    def fingerprint(self) -> str:
        return self.offer.fingerprint

    def standing(self, replicas: tuple[AtReplica, ...]) -> Standing:
        """Return how it stands at all replicas."""
        count, byte_count = len(self.sizes), self.offer.byte_count
        return Standing(self.fingerprint, count, byte_count, replicas)


def read_release(directory: Path) -> LocalRelease:
    """Read and compare a directory; ``CommandFailed`` for what is no whole release."""
    sums, named = (_read(directory, it) for it in (SUMS_FILE, FINGERPRINT_FILE))
    fingerprint = fingerprint_of(sums)
    if named.strip() != fingerprint:
        raise CommandFailed(
            f"{directory}: {FINGERPRINT_FILE} is not the digest of {SUMS_FILE}: fill it"
            " anew, by `make release`."
        )
    try:
        digests = parse_sums(sums)
    except BadSums as error:
        raise CommandFailed(f"{directory / SUMS_FILE}: {error}.") from error
    sizes = {path: _check_file(directory, path, it) for path, it in digests.items()}
    try:
        offer = ReleaseOffer(fingerprint, sums, sum(sizes.values()))
    except SlapError as error:
        raise CommandFailed(f"{directory}: {error.sentence}.") from error
    return LocalRelease(directory, offer, sizes)


def _read(directory: Path, name: str) -> str:
    try:
        return (directory / name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(
            f"{directory} holds no release, for it has no {name}: `make release` fills"
            " dist/release."
        ) from error


def _check_file(directory: Path, path: str, digest: str) -> int:
    """Return the size of a file that is what the list says."""
    file = directory / path
    below = (it for it in (file, *file.parents) if it.is_relative_to(directory))
    if any(it.is_symlink() for it in below if it != directory):
        raise CommandFailed(f"{file} is a link, or below one: a release has none.")
    try:
        size = file.stat().st_size
        if size > FILE_BYTES_MAX:
            raise CommandFailed(f"{file} has more than {FILE_BYTES_MAX} bytes.")
        with file.open("rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise CommandFailed(f"{file}: {error.strerror}.") from error
    if found != digest:
        raise CommandFailed(
            f"{file} has the digest {found}, and {SUMS_FILE} says {digest}: fill the"
            " release anew, by `make release`."
        )
    return size


@frozen
class CloudReplicas:
    """The replicas of a cloud, and who asks them."""

    runtime: Runtime
    identity_directory: str
    listed: tuple[ListedReplica, ...]

    async def ask(self, url: str, question: Callable[[Master], Awaitable[T]]) -> T:
        """Ask one of them."""

        async def asking(master: Master) -> T:
            return await question(master)

        return await ask(self.runtime, (url,), asking, self.identity_directory)

    async def ask_all(
        self,
        look: Callable[[Master, ListedReplica], Awaitable[T]],
        tell_failure: Callable[..., T],
    ) -> tuple[T, ...]:
        """Ask all of them at once; what one refuses is told of it."""

        async def look_at(replica: ListedReplica) -> T:
            try:
                return await self.ask(replica.url, lambda it: look(it, replica))
            except SlapError as error:
                url, region = replica.url, replica.region
                return tell_failure(url, region, failure=error.sentence)

        asking = [Deferred.fromCoroutine(look_at(it)) for it in self.listed]
        return tuple(await gatherResults(asking, consumeErrors=True))


async def find_replicas(
    runtime: Runtime, master_urls: tuple[str, ...], identity_directory: str
) -> CloudReplicas:
    """Return the replicas that any of these masters tells of."""
    report = await ask(
        runtime, master_urls, lambda master: master.replicas(), identity_directory
    )
    if not report.replicas:
        raise CommandFailed(
            "The master tells of no replica: releases are pushed to replicas that"
            " announce themselves, by `slapcluster master --announce`."
        )
    return CloudReplicas(runtime, identity_directory, report.replicas)


async def list_all(replicas: CloudReplicas) -> tuple[AllAtReplica, ...]:
    """Return what each of them has."""

    async def look(master: Master, replica: ListedReplica) -> AllAtReplica:
        report = await master.releases()
        return AllAtReplica(
            replica.url,
            replica.region,
            is_taking=report.is_taking,
            releases=report.releases,
        )

    return await replicas.ask_all(look, AllAtReplica)


async def look_at(replicas: CloudReplicas, release: LocalRelease) -> Standing:
    """Return how a release stands; nothing is sent."""

    async def look(master: Master, replica: ListedReplica) -> AtReplica:
        return found_at(replica, await master.releases(), release.fingerprint)

    return release.standing(await replicas.ask_all(look, AtReplica))


async def push(replicas: CloudReplicas, release: LocalRelease, show: Show) -> Standing:
    """Send a release to all replicas at once; return how it stands then."""
    sent = dict.fromkeys((it.url for it in replicas.listed), 0)
    total = len(sent) * release.offer.byte_count

    async def push_to(master: Master, replica: ListedReplica) -> AtReplica:
        def count(byte_count: int, trouble: str = "") -> None:
            sent[replica.url] = byte_count
            done = sum(sent.values())
            told = f"{replica.region}: {trouble}" if trouble else _tenths(done, total)
            show(told, done, total)

        for number in range(1, TRIES + 1):
            try:
                held = await _push_once(master, release, count)
                return at_replica(replica.url, replica.region, held)
            except MasterAway as error:
                if number == TRIES:
                    raise
                count(sent[replica.url], error.sentence)
                await master.pause(AGAIN_SECONDS)
        raise AssertionError("the last try returns or raises")

    return release.standing(await replicas.ask_all(push_to, AtReplica))


async def forget(replicas: CloudReplicas, fingerprint: str) -> tuple[AtReplica, ...]:
    """Have all replicas remove a pushed release; return how it stands then."""

    async def forget_at(master: Master, replica: ListedReplica) -> AtReplica:
        report = await master.forget_release(fingerprint)
        return found_at(replica, report, fingerprint)

    return await replicas.ask_all(forget_at, AtReplica)


async def _push_once(
    master: Master, release: LocalRelease, count: Callable[[int], None]
) -> HeldRelease:
    """Send what a replica lacks; it is not whole when others damage it."""
    held = await master.offer_release(release.offer)
    for _ in range(OFFERS_MAX):
        lacking = sum(
            release.sizes[it.path] - it.received_byte_count for it in held.missing
        )
        present = release.offer.byte_count - lacking
        count(present)
        for missing in held.missing:
            size = release.sizes[missing.path]
            present -= min(missing.received_byte_count, size)
            await _send_file(master, release, missing, count, present)
            present += size
        if held.is_whole:
            break
        held = await master.offer_release(release.offer)
    return held


async def _send_file(
    master: Master,
    release: LocalRelease,
    missing: MissingFile,
    count: Callable[[int], None],
    present: int,
) -> None:
    """Send a file from where it was broken off; at once anew if that was damaged.

    So many bytes of other files are ``present``.
    """
    path = missing.path
    size = release.sizes[path]
    offset = begun = _offset_of(missing.received_byte_count, size)
    with (release.directory / path).open("rb") as file:
        while True:
            file.seek(offset)
            content = file.read(PIECE_BYTES_MAX)
            piece = ReleasePiece(release.fingerprint, path, size, offset, content)
            try:
                report = await master.receive_release(piece)
            except BadRequest:
                if begun == 0:
                    raise
                offset = begun = 0
                continue
            count(present + report.received_byte_count)
            if report.is_whole:
                return
            offset = _offset_of(report.received_byte_count, size)


def _tenths(done: int, total: int) -> str:
    """Say how much is sent, in steps of ten percent: a line each, in a log."""
    return f"{10 * (10 * done // max(1, total))} % are at the replicas"


def _offset_of(received: int, size: int) -> int:
    """Return where to go on: who has all bytes has still to be told the last ones."""
    return received if received < size else max(0, size - PIECE_BYTES_MAX)
