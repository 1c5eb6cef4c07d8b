"""Releases on disk that nobody supplies: what they are, and the notes about them."""

from __future__ import annotations

import json
import re

from runtime.ports import FileKind, IFileTree
from slapgrid.convergence.views import Absence, UnsuppliedRelease
from slapgrid.layout import ABSENCE_FILE, BUILDOUT_CFG, release_directory

NOTE_BYTES_MAX = 4096
#: A profile of the agent's has five lines.
PROFILE_BYTES_MAX = 1024 * 1024

_RELEASE = re.compile(r"[0-9a-f]{32}\Z")
_EXTENDS = re.compile(r"^extends\s*=\s*(\S+)\s*$", re.MULTILINE)


def find_unsupplied(
    tree: IFileTree, wanted: frozenset[str]
) -> tuple[UnsuppliedRelease, ...]:
    """The releases of a software root whose directories are not wanted.

    A release is a directory of the right name with the profile that the agent writes,
    or with a note: that is left last when one is removed.
    """
    if tree.status("") is None:
        return ()
    return tuple(
        UnsuppliedRelease(name, _url(tree, name), read_absence(tree, name))
        for name in tree.list()
        if _RELEASE.match(name) and name not in wanted and _is_release(tree, name)
    )


def read_absence(tree: IFileTree, directory: str) -> Absence | None:
    """What was noted; nothing when that cannot be read."""
    try:
        noted = json.loads(tree.read(f"{directory}/{ABSENCE_FILE}", NOTE_BYTES_MAX))
        return Absence(float(noted["seconds"]), float(noted["seen_at"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_absence(tree: IFileTree, directory: str, absence: Absence) -> None:
    """Note an absence, so that a restart does not start its time again."""
    noted = {"seconds": round(absence.seconds), "seen_at": round(absence.seen_at)}
    tree.write(f"{directory}/{ABSENCE_FILE}", json.dumps(noted).encode())


async def remove_release(tree: IFileTree, directory: str) -> None:
    """Remove a release so that what a kill leaves of it is still known as one."""
    if tree.status(directory) is None:
        return
    last = {BUILDOUT_CFG, ABSENCE_FILE}
    for name in tree.list(directory):
        status = tree.status(f"{directory}/{name}")
        if name in last or status is None:
            continue
        if status.kind is FileKind.DIRECTORY:
            await tree.remove_tree(f"{directory}/{name}")
        else:
            tree.remove(f"{directory}/{name}")
    await tree.remove_tree(directory)


def _is_release(tree: IFileTree, name: str) -> bool:
    status = tree.status(name)
    if status is None or status.kind is not FileKind.DIRECTORY:
        return False
    return any(
        tree.status(f"{name}/{file}") is not None
        for file in (BUILDOUT_CFG, ABSENCE_FILE)
    )


def _url(tree: IFileTree, name: str) -> str:
    """What the profile extends, if that is the URL of this directory."""
    try:
        profile = tree.read(f"{name}/{BUILDOUT_CFG}", PROFILE_BYTES_MAX)
    except OSError:
        return ""
    found = _EXTENDS.search(profile.decode(errors="replace"))
    if found is None or release_directory(found[1]) != name:
        return ""
    return found[1]
