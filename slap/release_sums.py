"""Core. The list of a release's files and their digests, as ``sha256sum`` reads it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping

SUMS_FILE = "SHA256SUMS"
FINGERPRINT_FILE = "fingerprint"
"""The digest of the list: it names the release, for all that it holds."""

FILE_COUNT_MAX = 10_000
"""A release has some hundred."""

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<path>[^\n]+)")


class BadSums(ValueError):
    """A list that is none, or names what is not below its directory."""


def fingerprint_of(sums: str) -> str:
    """Return the name of the release that has this list."""
    return hashlib.sha256(sums.encode()).hexdigest()


def render_sums(digests: Mapping[str, str]) -> str:
    """Return the list that ``sha256sum --check`` reads."""
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(digests.items()))


def parse_sums(text: str) -> dict[str, str]:
    """Return the SHA-256 of each path; ``BadSums`` unless all are files below it."""
    found: dict[str, str] = {}
    lines = text.splitlines()
    if not lines or len(lines) > FILE_COUNT_MAX:
        raise BadSums(f"it has {len(lines)} lines")
    for line in lines:
        matched = _LINE.fullmatch(line)
        path = matched["path"] if matched else ""
        if matched is None or not _is_below(path) or path in found:
            raise BadSums(f"{line[:200]!r} names no file of a release")
        found[path] = matched["digest"]
    for path in found:
        inside = next((it for it in _parents(path) if it in found), None)
        if inside is not None:
            raise BadSums(f"{inside!r} is a file, and {path[:200]!r} is below it")
    return found


def _parents(path: str) -> Iterator[str]:
    names = path.split("/")
    return ("/".join(names[:count]) for count in range(1, len(names)))


def _is_below(path: str) -> bool:
    names = path.split("/")
    own = {SUMS_FILE, FINGERPRINT_FILE}
    return path.isprintable() and path not in own and not {"", ".", ".."} & set(names)
