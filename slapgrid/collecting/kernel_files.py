"""Core. What the files of ``/proc`` and ``/sys`` say.

Each function takes the content of a file as it was read. What a kernel does not tell is
absent; a file that is not understood is a ``ValueError``, never a wrong number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from attrs import frozen

#: USER_HZ of Linux, whatever the kernel was configured with.
TICKS_PER_SECOND = 100
#: What du, meminfo and vmstat call a kilobyte.
KIBIBYTE = 1024

_MEMORY_LINE = re.compile(rb"(\w+):\s+(\d+) kB", re.ASCII)
#: In a stat line, counted from behind the name, which may hold anything.
_PARENT, _USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM = 1, 11, 12, 13, 14
_THREADS, _STARTED, _PAGES = 17, 19, 21


@frozen
class ProcessStat:
    """Of one process; ``children_ticks`` are those of children it has waited for."""

    parent: int
    own_ticks: int
    children_ticks: int
    thread_count: int
    started_ticks: int
    resident_pages: int


@frozen
class Traffic:
    """Bytes through an interface, as the computer sees them."""

    received_bytes: int
    sent_bytes: int


def read_process(content: bytes) -> ProcessStat:
    """``/proc/PID/stat``."""
    fields = content.rpartition(b")")[2].split()
    if len(fields) <= _PAGES:
        raise ValueError("the stat of a process is too short")
    return ProcessStat(
        parent=int(fields[_PARENT]),
        own_ticks=int(fields[_USER]) + int(fields[_SYSTEM]),
        children_ticks=int(fields[_CHILDREN_USER]) + int(fields[_CHILDREN_SYSTEM]),
        thread_count=int(fields[_THREADS]),
        started_ticks=int(fields[_STARTED]),
        resident_pages=int(fields[_PAGES]),
    )


def read_storage_bytes(content: bytes) -> tuple[int, int]:
    """``/proc/PID/io``: bytes read from storage and written to it."""
    found = dict(_pairs(content.splitlines(), b": "))
    return int(found.get(b"read_bytes", 0)), int(found.get(b"write_bytes", 0))


def find_partition(
    environment: bytes, instance_root: str, partition_ids: Iterable[str]
) -> str:
    """``/proc/PID/environ``: whose process it says it is; empty when it does not.

    supervisord names itself and its group in it, the agent a home; descendants inherit
    all. The same user may have another supervisord, with groups of the same names.
    """
    known = frozenset(partition_ids)
    root = instance_root.rstrip("/")
    variables = {
        name: value.decode(errors="replace")
        for name, value in _pairs(environment.split(b"\0"), b"=")
    }
    group = variables.get(b"SUPERVISOR_GROUP_NAME", "")
    server = variables.get(b"SUPERVISOR_SERVER_URL", "").removeprefix("unix://")
    if server.rpartition("/")[0] == root:
        for name in (group, group.rpartition("-")[0]):
            if name in known:
                return name
    above, _, name = variables.get(b"HOME", "").rstrip("/").rpartition("/")
    return name if above == root and name in known else ""


def read_busy_ticks(content: bytes) -> tuple[int, int]:
    """``/proc/stat``: ticks that all processors worked, and how many processors."""
    lines = [line.split() for line in content.splitlines() if line[:3] == b"cpu"]
    if not lines or lines[0][0] != b"cpu":
        raise ValueError("/proc/stat has no line of all processors")
    # user nice system idle iowait irq softirq steal: the rest is in user already.
    ticks = [int(field) for field in lines[0][1:9]]
    return sum(ticks) - sum(ticks[3:5]), len(lines) - 1


def read_memory(content: bytes) -> Mapping[str, int]:
    """``/proc/meminfo``, in bytes."""
    return MappingProxyType(
        {
            name.decode(): int(kibibytes) * KIBIBYTE
            for name, kibibytes in _MEMORY_LINE.findall(content)
        }
    )


def read_loads(content: bytes) -> tuple[float, float, float]:
    """``/proc/loadavg``: over one, five and fifteen minutes."""
    one, five, fifteen = (float(field) for field in content.split()[:3])
    return one, five, fifteen


def read_uptime(content: bytes) -> float:
    """``/proc/uptime``: seconds since the boot, which no setting of a clock moves."""
    return float(content.split()[0])


def read_out_of_memory_kills(content: bytes) -> int:
    """``/proc/vmstat``: processes killed for want of memory since the boot."""
    return int(dict(_pairs(content.splitlines(), b" ")).get(b"oom_kill", 0))


def read_traffic(content: bytes) -> Mapping[str, Traffic]:
    """``/proc/net/dev``, by interface."""
    traffic = {}
    for name, counts in _pairs(content.splitlines(), b":"):
        fields = counts.split()
        if len(fields) > 8 and fields[0].isdigit():  # noqa: PLR2004 - bytes sent
            traffic[name.strip().decode()] = Traffic(int(fields[0]), int(fields[8]))
    return MappingProxyType(traffic)


def read_mount_points(content: bytes) -> tuple[str, ...]:
    """``/proc/mounts``: where file systems are mounted."""
    points = [line.split()[1] for line in content.splitlines() if b" " in line]
    return tuple(point.decode(errors="replace") for point in points)


def find_mount_point(path: str, mount_points: Iterable[str]) -> str:
    """The mount point that a path lies below; the root when none is nearer."""
    above = [
        point
        for point in mount_points
        if path == point or path.startswith(point.rstrip("/") + "/")
    ]
    return max(above, key=len, default="/")


def read_celsius(content: bytes) -> float:
    """A temperature of ``/sys``, which is in thousandths."""
    return int(content) / 1000


def _pairs(lines: Iterable[bytes], separator: bytes) -> Iterable[tuple[bytes, bytes]]:
    for line in lines:
        name, found, value = line.partition(separator)
        if found:
            yield name, value
