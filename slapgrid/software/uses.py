"""Which partitions use which releases, as their files say.

The wanted document says what shall run, not what runs: an instance that is asked to run
from another release has the programs of the old one until the new one is built and the
installation from it succeeded. So everything that a partition may start is read, and
any mention of a release's directory is a use. That errs on the side of keeping.
"""

from __future__ import annotations

import re

from runtime.ports import FileKind, IFileTree
from slapgrid.layout import BUILDOUT_CFG, RELEASE_LINK, ProgramKind

#: Programs and promises are scripts or links; what is larger is a binary.
FILE_BYTES_MAX = 1024 * 1024
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


def observe_uses(instances: IFileTree) -> dict[str, tuple[str, ...]]:
    """The partitions that name a release, by the directory of the release."""
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
    return {directory: tuple(users) for directory, users in sorted(uses.items())}


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
        named.update(_DIRECTORY.findall(_content(files, path)))
    return frozenset(each.decode() for each in named)


def _content(files: IFileTree, path: str) -> bytes:
    try:
        return files.read(path, FILE_BYTES_MAX if "/" in path else 16 * FILE_BYTES_MAX)
    except OSError:
        pass
    try:
        return files.target(path).encode()
    except OSError:
        return b""
