"""Stand-alone program: removes shared parts that nothing names any more.

``python prune_shim.py JSON`` prints a JSON object per line: ``part``, ``bytes`` and
``is_removed`` of each, or ``note`` with a sentence. The JSON has ``shared``
(directories, the last is pruned), ``software`` (roots of releases), ``instances`` and
``is_dry``.

A shared part stands in ``<shared>/<name>/<hash>``. It is kept while its hash stands in

1. an ``.installed.cfg`` or a script of ``bin`` of a release, of any root given;
2. the signature ``.buildout-shared.json`` of another part that is kept;
3. what a partition was installed with, or starts;
4. 1 to 3 of an agent that runs inside a partition, which a ``slapos.cfg`` below the
   instance root gives away.

Builds hold a shared lock on the directory that they write parts to; it is taken alone
here, so what a build is about to use is not removed under it. A part is renamed before
it is removed: a kill leaves a whole part or one that nobody takes for a part.
"""

from __future__ import annotations

# Run alone, with the standard library and as few imports as it can.
# ruff: noqa: PTH101, PTH115, PTH118, PTH119, PTH123, PTH208, T201
import configparser
import fcntl
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

LOCKED = 75
"""The exit status when a build runs: as ``sysexits.h`` says "try again"."""

SIGNATURE = ".buildout-shared.json"
PRUNED_PREFIX = ".pruned-"
#: Scripts are small; what is larger is a program, whose parts its release names.
SCRIPT_BYTES_MAX = 1024 * 1024
#: The largest known has some megabytes.
INSTALLED_BYTES_MAX = 64 * 1024 * 1024
#: A slapos.cfg has some kilobytes.
CONFIG_BYTES_MAX = 1024 * 1024
#: Agents run in agents to test agents: deeper is a circle.
NESTED_MAX = 1000

_HASH = re.compile(r"[0-9a-f]{32}\Z")
_HEXADECIMAL = re.compile(rb"[0-9a-f]{32,}")
_PARTITION_DIRECTORIES = (
    "bin",
    "sbin",
    "etc/run",
    "etc/service",
    "etc/promise",
    "etc/plugin",
    "etc/report",
    "etc/prerm",
)


def read(path: str, bytes_max: int) -> bytes:
    """A regular file, or where a link points; nothing for anything else."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError:
        with suppress(OSError):
            return os.fsencode(os.readlink(path))
        return b""
    with open(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return opened.read(bytes_max)


def hashes(content: bytes) -> Iterator[str]:
    """Everything in a text that may be a hash; within longer digits too."""
    for found in _HEXADECIMAL.findall(content):
        for begin in range(len(found) - 31):
            yield found[begin : begin + 32].decode()


def names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def release_files(root: str) -> Iterator[tuple[str, int]]:
    """What says which parts the releases of a root use; the root may be a release."""
    for release in (root, *(os.path.join(root, name) for name in names(root))):
        yield os.path.join(release, ".installed.cfg"), INSTALLED_BYTES_MAX
        binaries = os.path.join(release, "bin")
        for name in names(binaries):
            yield os.path.join(binaries, name), SCRIPT_BYTES_MAX


def partition_files(root: str) -> Iterator[tuple[str, int]]:
    """What says which parts the partitions of a root use."""
    for name in names(root):
        partition = os.path.join(root, name)
        yield os.path.join(partition, ".installed.cfg"), INSTALLED_BYTES_MAX
        yield os.path.join(partition, "buildout.cfg"), INSTALLED_BYTES_MAX
        for place in _PARTITION_DIRECTORIES:
            directory = os.path.join(partition, place)
            for script in names(directory):
                yield os.path.join(directory, script), SCRIPT_BYTES_MAX


def nested_agents(instances: str) -> Iterator[tuple[str, str, str]]:
    """The configuration, software root and instance root of agents in partitions."""
    count = 0
    for directory, _, files in os.walk(instances):
        if "slapos.cfg" not in files:
            continue
        path = os.path.join(directory, "slapos.cfg")
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(read(path, CONFIG_BYTES_MAX).decode())
        except (configparser.Error, UnicodeDecodeError):
            continue
        count += 1
        if count > NESTED_MAX:
            raise SystemExit(
                f"more than {NESTED_MAX} files slapos.cfg stand below {instances}: "
                "nothing is pruned"
            )
        yield (
            path,
            parser.get("slapos", "software_root", fallback=""),
            parser.get("slapos", "instance_root", fallback=""),
        )


def find_references(software: Iterable[str], instances: str) -> tuple[set[str], int]:
    """Every hash that releases and partitions name, and how many agents are nested."""
    software_roots, instance_roots = set(software), {instances}
    nested = set()
    for path, software_root, instance_root in nested_agents(instances):
        nested.add(path)
        software_roots |= {software_root} - {""}
        instance_roots |= {instance_root} - {""}
    found: set[str] = set()
    for root in sorted(software_roots):
        for path, bytes_max in release_files(root):
            found.update(hashes(read(path, bytes_max)))
    for root in sorted(instance_roots):
        for path, bytes_max in partition_files(root):
            found.update(hashes(read(path, bytes_max)))
    return found, len(nested)


def find_parts(shared: str) -> dict[str, str]:
    """The shared parts of a directory: the path of each, by its hash and name."""
    return {
        f"{name}/{entry}": os.path.join(shared, name, entry)
        for name in names(shared)
        for entry in names(os.path.join(shared, name))
        if _HASH.match(entry)
        and stat.S_ISDIR(os.lstat(os.path.join(shared, name, entry)).st_mode)
    }


def choose_parts(parts: dict[str, str], references: set[str], others: set[str]) -> Any:
    """The names of the parts to prune: those named by nothing that is kept.

    ``others`` are hashes that parts of other shared directories name.
    """
    signatures = {
        name: set(hashes(read(os.path.join(path, SIGNATURE), INSTALLED_BYTES_MAX)))
        - {os.path.basename(path)}
        for name, path in parts.items()
    }
    kept: set[str] = set()
    waiting = {name for name in parts if name.rpartition("/")[2] in references | others}
    while waiting:
        kept |= waiting
        named = {each for name in waiting for each in signatures[name]}
        waiting = {name for name in parts if name.rpartition("/")[2] in named} - kept
    return sorted(set(parts) - kept)


def size(path: str) -> int:
    """What a tree takes on the disk."""
    total = 0
    for directory, _, files in os.walk(path):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
    return total


def remove(path: str) -> None:
    """Remove a tree whose directories may be read-only."""
    for directory, _, _ in os.walk(path):
        os.chmod(directory, 0o700)
    shutil.rmtree(path)


def tell(**told: Any) -> None:
    print(json.dumps(told), flush=True)


def lock(shared: str) -> None:
    """Wait for no build: say that one runs."""
    descriptor = os.open(shared, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tell(note=f"a build uses {shared}: prune when it has ended")
        sys.exit(LOCKED)


def main(wanted: dict[str, Any]) -> None:
    *read_only, shared = wanted["shared"]
    if not os.path.isdir(shared):  # noqa: PTH112 - few imports
        tell(note=f"{shared} is not there: nothing is shared yet")
        return
    lock(shared)
    is_dry = wanted["is_dry"]
    for leftover in Path(shared).glob(f"*/{PRUNED_PREFIX}*"):
        if not is_dry:
            remove(str(leftover))
    references, nested_count = find_references(wanted["software"], wanted["instances"])
    if nested_count:
        tell(note=f"{nested_count} agents inside of partitions keep what they use")
    others = {
        found
        for directory in read_only
        for path in find_parts(directory).values()
        for found in hashes(read(os.path.join(path, SIGNATURE), INSTALLED_BYTES_MAX))
    }
    parts = find_parts(shared)
    for name in choose_parts(parts, references, others):
        path = parts[name]
        taken = size(path)
        if not is_dry:
            directory, entry = os.path.split(path)
            pruned = os.path.join(directory, PRUNED_PREFIX + entry)
            os.chmod(path, 0o700)
            os.rename(path, pruned)  # noqa: PTH104 - few imports
            remove(pruned)
        tell(part=path, bytes=taken, is_removed=not is_dry)
    # Last and each time: a kill may have left one empty.
    for name in () if is_dry else names(shared):
        with suppress(OSError):
            os.rmdir(os.path.join(shared, name))  # noqa: PTH106 - few imports


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
