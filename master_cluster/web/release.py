"""Shell. The files from which computers build: profiles, and the wheelhouse.

A computer builds from the address of this server alone, whatever name it uses for it:
``wheelhouse.cfg`` is a buildout profile made for the name in each request. A directory
lists its files with their digests, which pip and buildout check.

Below ``/release/FINGERPRINT/`` the same files have an address of their own, which no
other release ever has: the profile goes on below it. Who builds from there never mixes
what replicas of different releases serve. Releases that were pushed to this replica
have such an address alone.

Files are what the directory holds; links that lead out of it are not followed.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated, and super() leads there.

from __future__ import annotations

import hashlib
import html
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from twisted.internet.interfaces import IPushProducer
from twisted.web.http import CACHED
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from master_cluster.depot import run_fingerprint
from master_cluster.web.origin import scheme_for
from slap.release_sums import FINGERPRINT

TEXT_TYPE = "text/plain; charset=utf-8"
CONTENT_TYPES = {
    ".cfg": TEXT_TYPE,
    ".in": TEXT_TYPE,
    ".json": "application/json",
    ".py": TEXT_TYPE,
    ".txt": TEXT_TYPE,
}

DIGEST_COUNT_MAX = 10_000
"""Files of which the digest is remembered; a release has some hundred."""

CHUNK_BYTES = 128 * 1024

_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class Digests:
    """SHA-256 of files, computed again when a file is another one."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def digest(self, path: str) -> str:
        with Path(path).open("rb") as file:
            status = os.fstat(file.fileno())
            key = (path, status.st_mtime_ns, status.st_size)
            if key not in self._known:
                if len(self._known) >= DIGEST_COUNT_MAX:
                    self._known.clear()
                hashing = hashlib.sha256()
                while chunk := file.read(CHUNK_BYTES):
                    hashing.update(chunk)
                self._known[key] = hashing.hexdigest()
        return self._known[key]


def publish_releases(
    gate: Resource, directory: str | None, pushed_directory: str | None
) -> None:
    """Serve the files of a gate's replica, if it has any."""
    if directory is not None or pushed_directory is not None:
        gate.putChild(b"release", ReleaseFiles(directory, pushed_directory))


class ReleaseFiles(Resource):
    """Everything below ``/release/``."""

    isLeaf = True

    def __init__(
        self, directory: str | None, pushed_directory: str | None = None
    ) -> None:
        super().__init__()
        self._directory = directory
        self._pushed = pushed_directory
        self._digests = Digests()

    def render(self, request: Request) -> bytes | int:
        if request.method not in {b"GET", b"HEAD"}:
            request.setHeader(b"Allow", b"GET, HEAD")
            return _answer_text(request, 405, "files are read with GET\n")
        try:
            return self._answer(request)
        except OSError as error:
            return _answer_text(request, 403, f"not readable: {error.strerror}\n")

    def _answer(self, request: Request) -> bytes | int:
        names = _resolve(
            [it.decode(errors="surrogateescape") for it in request.postpath or []]
        )
        below, top = "", self._directory
        named = self._top_of(names[0]) if names else None
        if names and named is not None:
            below, top = f"/{names.pop(0)}", named
        if top is not None and names == ["wheelhouse.cfg"]:
            return _answer_profile(request, below)
        top = None if top is None else os.path.realpath(top)
        path = _find(top, names)
        if top is None or path is None:
            return _answer_text(request, 404, "no such file\n")
        if os.path.isdir(path):  # noqa: PTH112 - a text, as all of os.path here
            return self._answer_listing(request, top, path)
        return _answer_file(request, path)

    def _top_of(self, name: str) -> str | None:
        """Return the directory of the release of a name; ``None`` if none is here."""
        if not FINGERPRINT.fullmatch(name):
            return None
        if name == run_fingerprint(self._directory):
            return self._directory
        if self._pushed is None:
            return None
        top = Path(self._pushed, name)
        return str(top) if top.is_dir() else None

    def _answer_listing(self, request: Request, top: str, path: str) -> bytes:
        if request.path is None or not request.path.endswith(b"/"):
            # Links of a listing are relative to it.
            request.setHeader(b"Location", (request.path or b"") + b"/")
            return _answer_text(request, 301, "a directory ends with a slash\n")
        with os.scandir(path) as entries:
            found = [it for it in entries if _is_inside(top, it.path)]
            found.sort(key=lambda it: it.name)
            lines = "".join(map(self._line, found))
        request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
        text = f"<!DOCTYPE html>\n<html><body>\n{lines}</body></html>\n"
        return text.encode(errors="replace")

    def _line(self, entry: os.DirEntry[str]) -> str:
        link = quote(entry.name, errors="surrogateescape")
        if entry.is_dir():
            link += "/"
        elif entry.is_file():
            link += f"#sha256={self._digests.digest(entry.path)}"
        return f'<a href="{html.escape(link)}">{html.escape(entry.name)}</a><br>\n'


def _find(top: str | None, names: Sequence[str] | None) -> str | None:
    """Return what a path leads to, unless it leads out or nowhere."""
    is_odd = names is None or any("/" in it or "\0" in it for it in names)
    if top is None or names is None or is_odd:
        return None
    path = os.path.realpath(os.path.join(top, *names))  # noqa: PTH118
    return path if _is_inside(top, path) else None


def _is_inside(top: str, path: str) -> bool:
    real = os.path.realpath(path)
    is_below = os.path.commonpath([real, top]) == top
    return is_below and os.path.exists(real)  # noqa: PTH110


def _resolve(names: Sequence[str]) -> list[str] | None:
    """Return a path without ``.`` and ``..``, or ``None`` if it leads out of the top.

    Most clients resolve them; buildout sends ``extends = ../x.cfg`` as it is written.
    """
    resolved: list[str] = []
    for name in names:
        if name == ".." and not resolved:
            return None
        if name == "..":
            resolved.pop()
        elif name != ".":
            resolved.append(name)
    return resolved


def render_wheelhouse_profile(release_url: str, host: str) -> str:
    """Return a profile whose builds take everything from ``release_url``.

    ``allow-hosts`` are patterns, in which a bracket of an IPv6 address means a choice.
    """
    allowed = host.replace("[", "[[]")
    return f"""\
[buildout]
extends = versions.cfg
index = {release_url}/wheelhouse/
find-links = {release_url}/wheelhouse/
allow-hosts = {allowed}

[release]
base-url = {release_url}
"""


def _answer_profile(request: Request, below: str) -> bytes:
    host = request.getHeader("host") or ""
    if _HOST.fullmatch(host) is None:
        return _answer_text(request, 400, "the Host header names no server\n")
    scheme = scheme_for(host, is_secure=request.isSecure())
    profile = render_wheelhouse_profile(f"{scheme}://{host}/release{below}", host)
    return _answer_text(request, 200, profile)


def _answer_text(request: Request, status: int, text: str) -> bytes:
    request.setResponseCode(status)
    request.setHeader(b"Content-Type", TEXT_TYPE.encode())
    return text.encode()


def _answer_file(request: Request, path: str) -> bytes | int:
    file = Path(path).open("rb")  # noqa: SIM115 - closed when it is sent
    status = os.fstat(file.fileno())
    suffix = Path(path).suffix
    content_type = CONTENT_TYPES.get(suffix, "application/octet-stream")
    request.setHeader(b"Content-Type", content_type.encode())
    if request.setLastModified(status.st_mtime) is CACHED:
        file.close()
        return b""
    request.setHeader(b"Content-Length", b"%d" % status.st_size)
    if request.method == b"HEAD":
        file.close()
        return b""
    _Sending(file, request).begin()
    return NOT_DONE_YET


@implementer(IPushProducer)
class _Sending:
    """A file on its way, as fast as the connection takes it.

    Twisted's own sender is paced by the reactor of the process; this one needs none.
    """

    def __init__(self, file: BinaryIO, request: Request) -> None:
        self._file = file
        self._request = request
        self._is_paused = False
        self._is_writing = False

    def begin(self) -> None:
        self._request.notifyFinish().addErrback(lambda _: self._file.close())
        self._request.registerProducer(self, streaming=True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self._is_paused = False
        if self._is_writing:
            return
        self._is_writing = True
        while not self._is_paused and not self._file.closed:
            chunk = self._file.read(CHUNK_BYTES)
            if chunk:
                self._request.write(chunk)
            else:
                self._file.close()
                self._request.unregisterProducer()
                self._request.finish()
        self._is_writing = False

    def pauseProducing(self) -> None:
        self._is_paused = True

    def stopProducing(self) -> None:
        self._file.close()
