"""Core. What a relay asks of replicas, and what it makes of their answers.

Anybody on the computer reaches a relay, and it shows the certificate of the computer to
replicas. So it reads files below ``/release/`` and does nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from urllib.parse import quote, unquote_to_bytes, urlsplit

from attrs import frozen

TOP = "release"

PATH_LENGTH_MAX = 2000
"""The longest name of a wheel has some hundred characters."""

MARK = "slapgrid"
"""In ``Via``: who is asked by a relay relays nothing, or two could ask each other."""

ASKED_HEADERS = ("if-modified-since", "if-none-match")
ANSWERED_HEADERS = ("content-type", "content-length", "last-modified", "etag")

_SAFE = "+~"
"""Besides letters, digits and ``_.-``: wheels of ours have a plus sign."""


def relayed_path(target: bytes) -> str | None:
    """Return the path to ask for; ``None`` for what is not below ``/release``.

    Buildout sends ``extends = ../x.cfg`` as it is written, so dots are resolved here;
    what they lead out of the top with is none of a relay's business.
    """
    path = target.partition(b"?")[0]
    if len(path) > PATH_LENGTH_MAX or not path.startswith(b"/"):
        return None
    names: list[bytes] = []
    *inner, last = [unquote_to_bytes(it) for it in path[1:].split(b"/")]
    for name in (*inner, last):
        if b"/" in name or b"\0" in name:
            return None
        if name == b".." and len(names) <= 1:
            return None
        if name == b"..":
            names.pop()
        elif name not in {b"", b"."}:
            names.append(name)
    if not names or names[0] != TOP.encode():
        return None
    is_directory = last in {b"", b".", b".."}
    asked = "/".join(quote(it, safe=_SAFE) for it in names)
    return f"/{asked}/" if is_directory else f"/{asked}"


def askable(urls: Iterable[str], own: str) -> tuple[str, ...]:
    """Return the replicas that are not this relay, as a dead mini-master's URL may be.

    ``own`` is where the relay listens, as it stands in a URL.
    """
    return tuple(it for it in urls if urlsplit(it).netloc != own)


class Worth(Enum):
    """What an answer is good for."""

    PASSED = "it is handed on"
    MISSING = "another replica may have the file; if none has, it is handed on"
    FAILED = "the replica does not do as it should: ask another one"


_WORTH: Mapping[int, Worth] = {
    200: Worth.PASSED,
    301: Worth.PASSED,
    304: Worth.PASSED,
    403: Worth.MISSING,
    404: Worth.MISSING,
}


def judge(status: int) -> Worth:
    """Say what an answer of this status is good for."""
    return _WORTH.get(status, Worth.FAILED)


@frozen
class Said:
    """What a relay says by itself; ``phrase`` is all that many clients show."""

    status: int
    phrase: str
    sentence: str


NO_MASTER = Said(
    503,
    "no master is here",
    "this is the relay of an agent: it has /release/ alone, and no master is here",
)
"""503, because this may be the address of a mini-master that is gone: its clients go on
to the next one then."""

READ_ONLY = Said(405, "releases are only read", "releases are read with GET")
CIRCLE = Said(503, "relays in a circle", "a relay asks this relay, which asks nobody")
FULL = Said(503, "too many at once", "this relay has too many exchanges: ask again")


def describe_refusal(
    missing: Mapping[str, int], failed: Mapping[str, str], path: str
) -> Said:
    """Return what to say when no replica gave a file.

    ``missing`` has statuses and ``failed`` sentences, by replica. Who has another
    release than the one that is built does not have its files.
    """
    if missing:
        absent = ", ".join(f"{url} ({it})" for url, it in missing.items())
        away = f"; {_list(failed)}" if failed else ""
        return Said(
            404,
            "no replica has this file",
            f"no replica has {path}: {absent}{away}. A replica has the release that it "
            "runs from: where the master was upgraded, supply its release of now",
        )
    if failed:
        return Said(
            503, "no replica answers", f"no replica gives {path}: {_list(failed)}"
        )
    return Said(503, "no replica is known", "this agent knows no replica yet")


def _list(failed: Mapping[str, str]) -> str:
    return "; ".join(f"{url}: {sentence}" for url, sentence in failed.items())
