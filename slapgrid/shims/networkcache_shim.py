"""Stand-alone program: moves archives of releases from and to a networkcache.

``python networkcache_shim.py JSON`` with ``verb`` and its arguments:

- ``get``: ``url``, ``bytes_max``; prints the body after ``RESULT``.
- ``fetch``: ``url``, ``path``, ``sha512``, ``bytes_max``; a file, if it has this hash.
- ``extract``: ``archive``, ``parent``, ``name``, ``bytes_max``, ``files_max``; the
  directory ``parent/name``, whole or not at all.
- ``pack``: ``parent``, ``name``, ``archive``, ``excluded``; prints the sha512.
- ``send``: ``method``, ``url``, ``path`` or ``body``, ``content_type``; prints the
  body of the answer.

Servers may need ``ca``, ``cert`` and ``key``, paths of files. What was stored elsewhere
is not trusted: an archive may hold no device, nothing outside of its directory, no link
that leads there, and only so much.
"""

from __future__ import annotations

# Run alone, with the standard library.
# ruff: noqa: PTH103, PTH104, PTH108, PTH112, PTH118, PTH120, PTH123
# ruff: noqa: S310, T201
import hashlib
import json
import os
import posixpath
import shutil
import ssl
import sys
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, BinaryIO

#: Without a byte; the whole run has a bound of its own.
SILENCE_SECONDS_MAX = 60.0
CHUNK_BYTES = 1024 * 1024
RESULT = "RESULT"
#: A release may link to the interpreter and libraries of its system.
SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/")


def open_url(wanted: dict[str, Any], http_request: urllib.request.Request) -> Any:
    """The answer; a sentence and the end when there is none."""
    if not http_request.full_url.startswith(("http://", "https://")):
        raise SystemExit(f"{http_request.full_url} is no http URL")
    context = None
    if http_request.full_url.startswith("https://"):
        context = ssl.create_default_context(cafile=wanted.get("ca") or None)
        if wanted.get("cert"):
            context.load_cert_chain(wanted["cert"], wanted.get("key") or None)
    try:
        return urllib.request.urlopen(
            http_request, timeout=SILENCE_SECONDS_MAX, context=context
        )
    except urllib.error.HTTPError as error:
        raise SystemExit(
            f"{http_request.full_url} answers {error.code} {error.reason}"
        ) from error
    except (OSError, ValueError) as error:
        raise SystemExit(f"{http_request.full_url}: {error}") from error


def chunks(source: BinaryIO, bytes_max: int) -> Iterator[bytes]:
    total = 0
    while chunk := source.read(CHUNK_BYTES):
        total += len(chunk)
        if total > bytes_max:
            raise SystemExit(f"more than {bytes_max} bytes: too large")
        yield chunk


def get(wanted: dict[str, Any]) -> None:
    with open_url(wanted, urllib.request.Request(wanted["url"])) as answer:
        body = b"".join(chunks(answer, wanted["bytes_max"]))
    print(RESULT + body.decode(errors="replace"))


def fetch(wanted: dict[str, Any]) -> None:
    found = hashlib.sha512()
    with (
        open_url(wanted, urllib.request.Request(wanted["url"])) as answer,
        open(wanted["path"], "wb") as archive,
    ):
        for chunk in chunks(answer, wanted["bytes_max"]):
            found.update(chunk)
            archive.write(chunk)
    if found.hexdigest() != wanted["sha512"]:
        raise SystemExit(f"{wanted['url']} has another content than its name says")


def is_inside(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}/")


def check_member(member: tarfile.TarInfo, parent: str, name: str) -> None:
    """Refuse what could reach out of the directory."""
    path = posixpath.normpath(member.name)
    if member.name.startswith("/") or not is_inside(path, name):
        raise SystemExit(f"the archive has {member.name!r}, outside of {name}")
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        raise SystemExit(f"the archive has {member.name!r}, a device or a pipe")
    if member.islnk() and not is_inside(posixpath.normpath(member.linkname), name):
        raise SystemExit(f"the archive has {member.name!r}, a hard link that leads out")
    if member.issym():
        place = posixpath.join(parent, posixpath.dirname(path), member.linkname)
        leads = posixpath.normpath(place)
        own = posixpath.join(parent, name)
        if not (is_inside(leads, own) or leads.startswith(SYSTEM)):
            raise SystemExit(f"the archive has {member.name!r}, a link that leads out")


def extract(wanted: dict[str, Any]) -> None:
    """Into another directory first: half of a release is none."""
    parent, name = wanted["parent"], wanted["name"]
    partial = os.path.join(parent, f".extracting-{name}")
    if os.path.isdir(partial):
        remove(partial)
    os.makedirs(partial, 0o755)
    total = count = 0
    late: list[tarfile.TarInfo] = []
    with tarfile.open(wanted["archive"], "r|gz") as archive:
        for member in archive:
            check_member(member, parent, name)
            count += 1
            total += member.size
            if count > wanted["files_max"] or total > wanted["bytes_max"]:
                raise SystemExit("the archive has more than a release may have")
            write_member(archive, member, partial)
            if member.issym() or member.isdir():
                late.append(member)
    for member in reversed(late):
        place = os.path.join(partial, member.name)
        if member.issym():
            # At the end: nothing is then written through one.
            os.symlink(member.linkname, place)  # noqa: PTH211
        else:
            os.chmod(place, member.mode & 0o755 | 0o700)  # noqa: PTH101
    for excluded in wanted["excluded"]:
        path = os.path.join(partial, name, excluded)
        if os.path.lexists(path):
            os.unlink(path)
    os.rename(os.path.join(partial, name), os.path.join(parent, name))
    remove(partial)


def write_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, partial: str
) -> None:
    """Write a checked file or directory; of a symbolic link only what holds it."""
    place = os.path.join(partial, member.name)
    if member.isdir():
        os.makedirs(place, 0o755, exist_ok=True)
        return
    os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
    if member.islnk():
        os.link(os.path.join(partial, member.linkname), place)
    elif member.isreg():
        source = archive.extractfile(member)
        assert source is not None, "a regular file"
        with open(place, "xb") as opened:
            shutil.copyfileobj(source, opened, CHUNK_BYTES)
        os.chmod(place, member.mode & 0o755)  # noqa: PTH101
        os.utime(place, (member.mtime, member.mtime))


def remove(path: str) -> None:
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o700)  # noqa: PTH101
    shutil.rmtree(path)


def pack(wanted: dict[str, Any]) -> None:
    """An archive whose paths begin with the name; without secrets and marks."""
    name = wanted["name"]
    excluded = {f"{name}/{each}" for each in wanted["excluded"]}

    def keep(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if member.name in excluded else member

    with tarfile.open(wanted["archive"], "w:gz", compresslevel=6) as archive:
        archive.add(os.path.join(wanted["parent"], name), name, filter=keep)
    found = hashlib.sha512()
    with open(wanted["archive"], "rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            found.update(chunk)
    print(RESULT + found.hexdigest())


def send(wanted: dict[str, Any]) -> None:
    headers = {"Content-Type": wanted["content_type"]}
    if "body" in wanted:
        http_request = urllib.request.Request(
            wanted["url"],
            wanted["body"].encode(),
            headers,
            method=wanted["method"],
        )
        with open_url(wanted, http_request) as answer:
            print(RESULT + answer.read(CHUNK_BYTES).decode(errors="replace"))
        return
    with open(wanted["path"], "rb") as archive:
        headers["Content-Length"] = str(os.fstat(archive.fileno()).st_size)
        http_request = urllib.request.Request(
            wanted["url"], archive, headers, method=wanted["method"]
        )
        with open_url(wanted, http_request) as answer:
            print(RESULT + answer.read(CHUNK_BYTES).decode(errors="replace"))


VERBS = {"get": get, "fetch": fetch, "extract": extract, "pack": pack, "send": send}

if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    try:
        VERBS[arguments["verb"]](arguments)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise SystemExit(f"{arguments['verb']}: {error}") from error
