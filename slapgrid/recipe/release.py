"""Recipe ``slapcluster:release``: keeps the release that is built, to serve it on.

Options:

``url``
    Where it is served: ``${release:base-url}``, which the server's own profile says.
``directory``
    Where it is kept, below that of the release that is built.

Each file is one of ``SHA256SUMS`` and has the digest that stands there, or the build
fails. What is there already, from a build that was interrupted, is not fetched again.
The directory takes its name when it is whole.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

from slap.release_sums import (
    FINGERPRINT,
    FINGERPRINT_FILE,
    SUMS_FILE,
    BadSums,
    parse_sums,
)
from slapgrid.recipe.section import Buildout, Options, Section

SECONDS_MAX = 90.0
"""For a connection or the next bytes; a relay gives a replica a minute."""

TRIES = 3
"""Of each file: a replica that dies in the middle is another one the next time."""

TEXT_BYTES_MAX = 2 * 1024 * 1024
"""A list of all files."""

FILE_BYTES_MAX = 512 * 1024 * 1024
"""The largest wheels have tens of megabytes."""

CHUNK_BYTES = 128 * 1024


class NotKept(Exception):
    """The release cannot be kept; the sentence says why."""


class Recipe:
    def __init__(self, _: Buildout, name: str, options: Options) -> None:
        self._section = Section(name, options)
        self._url = self._section.text("url").rstrip("/")
        if urlsplit(self._url).scheme not in {"http", "https"}:
            raise self._section.refusal("url", f"{self._url!r} is no http address")
        self._directory = Path(self._section.text("directory"))
        if not self._directory.is_absolute():
            sentence = f"{str(self._directory)!r} is not absolute"
            raise self._section.refusal("directory", sentence)

    def install(self) -> list[str]:
        try:
            keep_release(self._url, self._directory)
        except (NotKept, OSError) as error:
            raise self._section.refusal("url", f"{self._url}: {error}") from error
        # Buildout would remove it before it is made anew; replicas serve it.
        return []

    def update(self) -> None:
        self.install()


def keep_release(url: str, directory: Path) -> None:
    """Have a directory hold what is served; ``NotKept`` and ``OSError`` if not."""
    sums = _fetch_text(f"{url}/{SUMS_FILE}")
    fingerprint = _fetch_text(f"{url}/{FINGERPRINT_FILE}")
    if not FINGERPRINT.fullmatch(fingerprint.strip()):
        raise NotKept(f"{FINGERPRINT_FILE} is none")
    try:
        digests = parse_sums(sums)
    except BadSums as error:
        raise NotKept(f"{SUMS_FILE}: {error}") from error
    own = {SUMS_FILE: sums, FINGERPRINT_FILE: fingerprint}
    aside = directory.with_name(f".{directory.name}.old")
    if aside.exists() and not directory.exists():
        # Killed between the two renames.
        aside.rename(directory)
    shutil.rmtree(aside, ignore_errors=True)
    if _is_whole(directory, digests, own):
        return
    draft = directory.with_name(f".{directory.name}.new")
    _remove_others(draft, digests)
    for path, digest in digests.items():
        _keep_file(f"{url}/{quote(path)}", directory / path, draft / path, digest)
    for name, text in own.items():
        (draft / name).write_text(text, "utf-8")
    if directory.exists():
        directory.rename(aside)
    draft.rename(directory)
    shutil.rmtree(aside, ignore_errors=True)


def _is_whole(
    directory: Path, digests: Mapping[str, str], own: Mapping[str, str]
) -> bool:
    return (
        all(_read(directory / name) == text for name, text in own.items())
        and all(_digest(directory / path) == it for path, it in digests.items())
        and {*_files(directory)} == {*digests, *own}
    )


def _remove_others(draft: Path, digests: Mapping[str, str]) -> None:
    for path in [*_files(draft)]:
        if path not in digests:
            (draft / path).unlink()


def _keep_file(url: str, present: Path, target: Path, digest: str) -> None:
    if _digest(target) == digest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    if _digest(present) == digest:
        shutil.copyfile(present, part)
        part.rename(target)
        return
    found = _fetch_file(url, part)
    if found != digest:
        raise NotKept(
            f"{url} has the digest {found}, and {SUMS_FILE} says {digest}: the file is"
            " damaged, or another release is served by now; build again"
        )
    part.rename(target)


def _fetch_file(url: str, part: Path) -> str:
    """Write what is served there; return its digest."""
    for number in range(1, TRIES + 1):
        hashing = hashlib.sha256()
        try:
            with _opened(url) as reply, part.open("wb") as file:
                for chunk in _chunks(reply, url, FILE_BYTES_MAX):
                    hashing.update(chunk)
                    file.write(chunk)
        except (OSError, HTTPException) as error:
            if number == TRIES:
                raise NotKept(f"{url}: {error}") from error
        else:
            break
    return hashing.hexdigest()


def _fetch_text(url: str) -> str:
    try:
        with _opened(url) as reply:
            return b"".join(_chunks(reply, url, TEXT_BYTES_MAX)).decode()
    except (OSError, HTTPException, UnicodeDecodeError) as error:
        raise NotKept(f"{url}: {error}") from error


def _opened(url: str) -> closing[IO[bytes]]:
    opened: IO[bytes] = urlopen(url, timeout=SECONDS_MAX)  # noqa: S310 - http alone
    return closing(opened)


def _chunks(reply: IO[bytes], url: str, bytes_max: int) -> Iterator[bytes]:
    """Yield a body; one that ends too early is an ``OSError``."""
    length = getattr(reply, "length", None)
    count = 0
    while chunk := reply.read(CHUNK_BYTES):
        count += len(chunk)
        if count > bytes_max:
            raise NotKept(f"{url} has more than {bytes_max} bytes")
        yield chunk
    if length is not None and count != length:
        raise OSError(f"it ended after {count} of {length} bytes")


def _files(directory: Path) -> Iterator[str]:
    """Yield the paths of all files below, unfinished ones too."""
    for path in directory.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield str(path.relative_to(directory))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file; that of none where there is no file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
