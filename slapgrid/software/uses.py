"""Which partitions use which releases, as their files say.

The wanted document says what shall run, not what runs: an instance that is asked to run
from another release has the programs of the old one until the new one is built and the
installation from it succeeded. So everything that a partition may start is read, and
any mention of a release's directory is a use. That errs on the side of keeping.

A program whose file changed while its name did not is not restarted: so the processes
of partitions are asked too, for what they were started from and have mapped.
"""

from __future__ import annotations

import re

from runtime.ports import FileKind, IFileTree
from slapgrid.layout import BUILDOUT_CFG, RELEASE_LINK, ProgramKind

#: Programs and promises are scripts or links; what is larger is a binary.
FILE_BYTES_MAX = 1024 * 1024
#: Profiles and what is installed; of a large instance some megabytes.
PROFILE_BYTES_MAX = 16 * FILE_BYTES_MAX
#: Programs map some thousands of files at most.
MAPS_BYTES_MAX = 16 * FILE_BYTES_MAX
#: Of one partition; services have some dozens of scripts.
FILES_MAX = 2000

_DIRECTORY = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
_FILES = (BUILDOUT_CFG, ".installed.cfg", RELEASE_LINK)
_DIRECTORIES = (
    *(str(kind) for kind in ProgramKind),
    "etc/promise",
    "etc/plugin",
    "etc/report",
    "etc/prerm",
    "bin",
    "sbin",
)
#: What else stands in an instance root.
_NO_PARTITIONS = frozenset({"etc", "var"})


def observe_uses(
    instances: IFileTree, processes: IFileTree | None = None
) -> dict[str, tuple[str, ...]]:
    """The partitions that name a release, by the directory of the release.

    ``processes`` is the tree of ``/proc``.
    """
    uses: dict[str, list[str]] = {}
    if instances.status("") is None:
        return {}
    for partition_id in instances.list():
        status = instances.status(partition_id)
        if status is None or status.kind is not FileKind.DIRECTORY:
            continue
        if partition_id in _NO_PARTITIONS:
            continue
        for directory in _named(instances.subtree(partition_id)):
            uses.setdefault(directory, []).append(partition_id)
    if processes is not None and processes.status("") is not None:
        for directory in _running(processes, instances.root):
            uses.setdefault(directory, []).append("a running program")
    return {directory: tuple(users) for directory, users in sorted(uses.items())}


def _running(processes: IFileTree, instance_root: str) -> frozenset[str]:
    """The releases that processes of partitions run from."""
    named: set[bytes] = set()
    below = f"{instance_root}/".encode()
    for name in processes.list():
        if not name.isdigit():
            continue
        # One that ends meanwhile, or is another user's, shows nothing.
        command = _content(processes, f"{name}/cmdline")
        place = _content(processes, f"{name}/cwd") + b"/"
        if below not in command and not place.startswith(below):
            continue
        for path in ("exe", "maps"):
            command += _content(processes, f"{name}/{path}", MAPS_BYTES_MAX)
        named.update(_DIRECTORY.findall(command))
    return frozenset(each.decode() for each in named)


def _named(files: IFileTree) -> frozenset[str]:
    paths = list(_FILES)
    for directory in _DIRECTORIES:
        try:
            paths += [f"{directory}/{name}" for name in files.list(directory)]
        except OSError:
            # Absent, or replaced by a link: what would stand there is not started.
            continue
    named: set[bytes] = set()
    for path in paths[:FILES_MAX]:
        bytes_max = FILE_BYTES_MAX if "/" in path else PROFILE_BYTES_MAX
        named.update(_DIRECTORY.findall(_content(files, path, bytes_max)))
    return frozenset(each.decode() for each in named)


def _content(files: IFileTree, path: str, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    try:
        return files.read(path, bytes_max)
    except OSError:
        pass
    try:
        return files.target(path).encode()
    except OSError:
        return b""
