"""The binary cache: releases that were built elsewhere, and ours for others.

What it does takes as long as a network wants: it never runs in the way of anything but
the release that it is about, and every exchange is a program that can be ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from attrs import frozen

from runtime.ports import Program, Runtime
from slapgrid.config import Config
from slapgrid.environment import clean_environment
from slapgrid.identity import Identity
from slapgrid.layout import (
    ABSENCE_FILE,
    COMPLETED_FILE,
    NETRC_FILE,
    UPLOAD_FILE,
    release_directory,
)
from slapgrid.platform import Platform
from slapgrid.software.networkcache import (
    DOCUMENT_BYTES_MAX,
    BinaryRelease,
    Finding,
    Machine,
    SigningRefused,
    check_key,
    choose_release,
    decode_entries,
    encode_entry,
    find_releases,
    read_system,
)

#: The largest releases known have some gigabytes, packed a third of it.
ARCHIVE_BYTES_MAX = 16 * 1024**3
RELEASE_BYTES_MAX = 64 * 1024**3
RELEASE_FILES_MAX = 5_000_000
#: An entry, or the list of them.
QUESTION_SECONDS_MAX = 120.0
#: Gigabytes over a slow line; longer than that, building is not slower.
TRANSFER_SECONDS_MAX = 3 * 3600.0
OUTPUT_BYTES_MAX = DOCUMENT_BYTES_MAX + 64 * 1024
KEY_BYTES_MAX = 64 * 1024

#: In the software root, while a release travels; a kill leaves them.
ARCHIVE_PREFIX = ".networkcache-"
#: As ``networkcache_shim`` calls it.
EXTRACTING_PREFIX = ".extracting-"

_RESULT = "RESULT"
#: What is of one computer: secrets, and marks of its agent.
_EXCLUDED = (NETRC_FILE, COMPLETED_FILE, ABSENCE_FILE, UPLOAD_FILE)


class CacheRefused(Exception):
    """The cache has nothing for us, or takes nothing; the sentence says why."""


@frozen
class BinaryCache:
    """The binary cache of a computer, as ``[networkcache]`` names it."""

    config: Config
    runtime: Runtime
    platform: Platform

    def may_fetch(self, url: str) -> bool:
        """Whether a release may come from the cache."""
        settings = self.config.networkcache
        return (
            bool(settings.download_cache_url and settings.download_directory_url)
            and bool(settings.certificates.strip())
            and not url.startswith(settings.download_refused or ("\0",))
        )

    def must_fetch(self, url: str) -> bool:
        """Whether a release may come from nowhere else."""
        forced = self.config.networkcache.download_forced
        return bool(forced) and url.startswith(forced)

    def may_send(self, url: str) -> bool:
        """Whether a release that was built here may be sent."""
        settings = self.config.networkcache
        return bool(
            settings.upload_cache_url and settings.upload_directory_url
        ) and not url.startswith(settings.upload_refused or ("\0",))

    async def look_up(self, url: str) -> tuple[Finding, ...]:
        """All entries about a release; those that can be used come first."""
        settings = self.config.networkcache
        place = f"{settings.download_directory_url.rstrip('/')}/{_key(url)}"
        body = await self._run(
            {
                "verb": "get",
                "url": place,
                "bytes_max": DOCUMENT_BYTES_MAX,
                **settings.directory_tls,
            },
            QUESTION_SECONDS_MAX,
        )
        try:
            entries = decode_entries(body.encode())
        except ValueError as error:
            raise CacheRefused(f"{place} gives no list of entries: {error}") from error
        findings = find_releases(
            entries,
            settings.certificates.encode(),
            accepts_sha1=settings.accepts_sha1,
        )
        return choose_release(findings, url, self.config.software_root, self._machine())

    async def fetch(self, url: str, identity: Identity) -> None:
        """Put the release where it would be built; the directory must not exist."""
        settings = self.config.networkcache
        findings = await self.look_up(url)
        release = findings[0].release if findings else None
        if release is None or findings[0].refusal is not None:
            reasons = {each.refusal for each in findings}
            said = "; ".join(sorted(str(each) for each in reasons)[:3])
            raise CacheRefused(f"the cache has no entry for this computer: {said}")
        archive = self._archive(url)
        content_url = f"{settings.download_cache_url.rstrip('/')}/{release.sha512}"
        try:
            await self._run(
                {
                    "verb": "fetch",
                    "url": content_url,
                    "path": archive,
                    "sha512": release.sha512,
                    "bytes_max": ARCHIVE_BYTES_MAX,
                    **settings.cache_tls,
                },
                TRANSFER_SECONDS_MAX,
            )
            await self._run(
                {
                    "verb": "extract",
                    "archive": archive,
                    "parent": self.config.software_root,
                    "name": _key(url),
                    "excluded": _EXCLUDED,
                    "bytes_max": RELEASE_BYTES_MAX,
                    "files_max": RELEASE_FILES_MAX,
                },
                TRANSFER_SECONDS_MAX,
                identity,
            )
        finally:
            self._forget(url)

    async def send(self, url: str, identity: Identity) -> None:
        """Send the release that stands here, then the entry that names it."""
        settings = self.config.networkcache
        if not settings.private_key_file:
            raise CacheRefused("signature-private-key-file is missing: nobody signs")
        key = self._read(settings.private_key_file)
        try:
            check_key(key, settings.certificates.encode())
        except SigningRefused as error:
            raise CacheRefused(str(error)) from error
        archive = self._archive(url)
        try:
            sha512 = await self._run(
                {
                    "verb": "pack",
                    "parent": self.config.software_root,
                    "name": _key(url),
                    "archive": archive,
                    "excluded": _EXCLUDED,
                },
                TRANSFER_SECONDS_MAX,
                identity,
            )
            stored = await self._run(
                {
                    "verb": "send",
                    "method": "POST",
                    "url": settings.upload_cache_url.rstrip("/"),
                    "path": archive,
                    "content_type": "application/octet-stream",
                    **settings.cache_tls,
                },
                TRANSFER_SECONDS_MAX,
            )
        finally:
            self._forget(url)
        if stored.strip().strip('"') != sha512:
            raise CacheRefused("the cache stored another content than was sent")
        release = BinaryRelease(sha512, url, self.config.software_root, self._machine())
        entry = encode_entry(release, key, is_sha1_outside=settings.is_sha1_outside)
        await self._run(
            {
                "verb": "send",
                "method": "PUT",
                "url": f"{settings.upload_directory_url.rstrip('/')}/{_key(url)}",
                "body": entry.decode(),
                "content_type": "application/json",
                **settings.directory_tls,
            },
            QUESTION_SECONDS_MAX,
        )

    def _machine(self) -> Machine:
        system = self.runtime.file_tree("/etc")
        try:
            text = system.read("os-release").decode(errors="replace")
        except OSError:
            # A link on most systems, to where it is kept since.
            text = self._read("/usr/lib/os-release").decode(errors="replace")
        return Machine(self.platform.multiarch, read_system(text))

    def _read(self, path: str) -> bytes:
        directory, _, name = path.rpartition("/")
        try:
            return self.runtime.file_tree(directory or "/").read(name, KEY_BYTES_MAX)
        except OSError as error:
            raise CacheRefused(f"{path} cannot be read: {error}") from error

    def _archive(self, url: str) -> str:
        return f"{self.config.software_root}/{_archive_name(url)}"

    def _forget(self, url: str) -> None:
        self.runtime.file_tree(self.config.software_root).remove(_archive_name(url))

    async def _run(
        self,
        wanted: Mapping[str, Any],
        timeout_seconds: float,
        identity: Identity | None = None,
    ) -> str:
        """What the shim answers; ``CacheRefused`` with its sentence."""
        to_be = Identity() if identity is None else identity
        ended = await self.runtime.processes.run(
            Program(
                (
                    self.platform.python,
                    "-I",
                    self.platform.shim("networkcache_shim"),
                    json.dumps(wanted),
                ),
                directory="/",
                environment=clean_environment("/"),
                umask=0o022,
                uid=to_be.uid,
                gid=to_be.gid,
                timeout_seconds=timeout_seconds,
                output_bytes_max=OUTPUT_BYTES_MAX,
            )
        )
        output = ended.output.decode(errors="replace")
        if ended.is_timed_out:
            raise CacheRefused(f"no end within {timeout_seconds:g} s")
        if not ended.is_success:
            raise CacheRefused(output.strip()[-2000:] or "the transfer was ended")
        return output.partition(_RESULT)[2].strip("\n")


def _key(url: str) -> str:
    """Entries about a release are found by what its directory is named after."""
    return release_directory(url)


def _archive_name(url: str) -> str:
    return f"{ARCHIVE_PREFIX}{_key(url)}.tar.gz"
