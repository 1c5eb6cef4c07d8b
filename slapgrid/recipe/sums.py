"""Core. The list of a release's files and their digests, as ``sha256sum`` reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping

SUMS_FILE = "SHA256SUMS"
FINGERPRINT_FILE = "fingerprint"
"""Of all that decides what a release holds; it names the release."""

FILE_COUNT_MAX = 10_000
"""A release has some hundred."""

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<path>[^\n]+)")


class BadSums(ValueError):
    """A list that is none, or names what is not below its directory."""


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
    return found


def _is_below(path: str) -> bool:
    names = path.split("/")
    own = {SUMS_FILE, FINGERPRINT_FILE}
    return path.isprintable() and path not in own and not {"", ".", ".."} & set(names)
