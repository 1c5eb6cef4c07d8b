"""Shell. Opens, finds and ends a cloud of play by the processes of this machine.

``runtime.processes`` runs programs to their end; the first process of a cloud must
outlive ``play start``, so it is spawned here, with ``posix_spawn``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from slapcluster.play.places import UIDS, Record

PROC = Path("/proc")

_STAT_PARENT = 1
_STAT_START_TICKS = 19
"""Positions in /proc/PID/stat after the name of the program."""


def spawn(argv: tuple[str, ...], environment: Mapping[str, str], log_path: str) -> int:
    """Start a program in a session of its own, its output to a log; give its pid."""
    log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log_path, log_flags, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    )
    return os.posix_spawnp(
        argv[0],
        argv,
        environment,
        file_actions=actions,
        setsid=True,
        # Python ignores SIGPIPE, a shell must not; a person may have used nohup.
        setsigdef=(signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM),
        setsigmask=(),
    )


def start_ticks(pid: int) -> int | None:
    """Return when a process started; ``None`` when it has ended."""
    fields = _stat(pid)
    if fields is None or fields[0] in {"Z", "X"}:
        return None
    return int(fields[_STAT_START_TICKS])


def scheduling_letter(pid: int) -> str:
    """Return the kernel's letter for what a process does; ``""`` when it has ended.

    ``T`` was stopped by a signal, ``D`` waits for a device.
    """
    fields = _stat(pid)
    return fields[0] if fields else ""


def is_alive(record: Record) -> bool:
    """Tell whether the outermost process of a cloud runs."""
    if record.outer_pid is None:
        return False
    return start_ticks(record.outer_pid) == record.outer_start_ticks is not None


def first_pid(record: Record) -> int | None:
    """Return the first process inside, numbered as outside."""
    if record.outer_pid is None or not is_alive(record):
        return None
    if not record.way.is_apart:
        return record.outer_pid
    for pid in _pids():
        fields = _stat(pid)
        if fields is not None and int(fields[_STAT_PARENT]) == record.outer_pid:
            return pid
    return None


def first_pid_of(record: Record, region: str) -> int | None:
    """Return the first process of the computer of a region, numbered as outside."""
    configuration = f"{record.place}/{region}/etc/supervisord.conf"
    for pid in _pids():
        try:
            words = (PROC / str(pid) / "cmdline").read_bytes().decode().split("\0")
            if configuration in words and _number_inside(pid) == 1:
                return pid
        except (OSError, UnicodeDecodeError):
            continue
    return None


def _number_inside(pid: int) -> int:
    """Return the number that a process has among those that it sees."""
    status = (PROC / str(pid) / "status").read_text(errors="replace")
    numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
    return int(numbers[-1]) if numbers else 0


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal, and bury the process if it is a dead child of ours."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def reap(pid: int) -> None:
    """Bury a dead child of this process; nothing happens for others."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def processes_of(record: Record) -> tuple[int, ...]:
    """Return the processes that belong to a cloud, wherever they were started.

    Its user is nobody else's when root made it up. Else they are known by the name of
    the place, in their directory or in their command line.
    """
    own = os.getpid()
    return tuple(pid for pid in _pids() if pid != own and _belongs(pid, record))


def processes_that_name(record: Record, path: str) -> tuple[int, ...]:
    """Return the processes of a cloud whose command line holds a path."""
    found = []
    for pid in processes_of(record):
        with suppress(OSError):
            if path.encode() in (PROC / str(pid) / "cmdline").read_bytes():
                found.append(pid)
    return tuple(found)


def users_with_processes() -> frozenset[int]:
    found = set()
    for pid in _pids():
        with suppress(OSError):
            found.add((PROC / str(pid)).stat().st_uid)
    return frozenset(found)


def _belongs(pid: int, record: Record) -> bool:
    process = PROC / str(pid)
    try:
        uid = process.stat().st_uid
        if uid not in {it.uid for it in record.identities}:
            return False
        if record.is_started_by_root and uid in UIDS:
            return True
        if str((process / "cwd").readlink()).startswith(record.place):
            return True
        return record.place.encode() in (process / "cmdline").read_bytes()
    except OSError:
        # It ended meanwhile, or is closed to us and so not ours.
        return False


def _pids() -> Iterator[int]:
    return (int(it.name) for it in PROC.iterdir() if it.name.isdecimal())


def _stat(pid: int) -> list[str] | None:
    try:
        content = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name of the program is in parentheses and may hold anything.
    return content.rpartition(")")[2].split()
