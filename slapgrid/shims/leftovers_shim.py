"""Stand-alone program: ends what a supervisord that was killed left running.

``python leftovers_shim.py SERVER_URL CONF`` is run before a supervisord is started. Its
programs would be started a second time beside those that the last one cannot stop any
more. They are known by the variable that supervisord gives them, which their children
inherit, and by their session: a program may have written over its variables.

Status 3 means that a supervisord of this file is there and stays: nothing is ended.
Status 4 means that something does not end.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

PROC = Path("/proc")
VARIABLE = "SUPERVISOR_SERVER_URL"
#: A server that flushes takes some seconds; after this it gets SIGKILL.
TERM_SECONDS_MAX = 20.0
POLL_SECONDS = 0.1
#: A process that waits for a disk ends later than that, or never.
KILL_SECONDS_MAX = 5.0
#: One that was told to end has removed its socket before it is gone; on a machine with
#: many programs to one core that takes a second, and several of them more.
FAREWELL_SECONDS_MAX = 10.0
IS_THERE = 3
DOES_NOT_END = 4


def processes() -> Iterator[int]:
    """The number of every process."""
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def words(pid: int, name: str) -> list[bytes]:
    """The words of a file about a process; none when it ended or is not ours to see."""
    try:
        return (PROC / str(pid) / name).read_bytes().split(b"\0")
    except OSError:
        return []


def session_of(pid: int) -> int | None:
    """The session of a process."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def is_zombie(pid: int) -> bool:
    """Whether it ended, and nobody has asked how."""
    try:
        line = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return True
    return line.rpartition(")")[2].split()[0] in {"Z", "X"}


def find_supervisord(conf: str) -> int | None:
    """The supervisord that was started with this file."""
    wanted = (b"-c", os.fsencode(conf))
    for pid in processes():
        line = words(pid, "cmdline")
        if wanted in pairwise(line):
            return pid
    return None


def await_farewell(find: Callable[[], int | None], seconds_max: float) -> int | None:
    """Who is still found after that time; ``None`` as soon as nobody is."""
    deadline = time.monotonic() + seconds_max  # noqa: TID251 - a program alone
    while (there := find()) is not None:
        if time.monotonic() > deadline:  # noqa: TID251
            return there
        time.sleep(POLL_SECONDS)  # noqa: TID251
    return None


def find_leftovers(server_url: str) -> set[int]:
    """The programs of the supervisord that answered at this address."""
    variable = os.fsencode(f"{VARIABLE}={server_url}")
    # A supervisord that was killed may lie there for long: nobody asked how it ended.
    everybody = {pid for pid in processes() if not is_zombie(pid)} - {os.getpid()}
    marked = {pid for pid in everybody if variable in words(pid, "environ")}
    sessions = {session_of(pid) for pid in marked} - {None, 0}
    # Its leader was supervisord. One that lives is somebody else's.
    orphaned = {sid for sid in sessions if sid not in everybody}
    return marked | {pid for pid in everybody if session_of(pid) in orphaned}


def end(find: Callable[[], set[int]]) -> tuple[set[int], set[int]]:
    """End all that is found; what was found, and what does not end at all."""
    ended: set[int] = set()
    deadline = time.monotonic() + TERM_SECONDS_MAX  # noqa: TID251 - a program alone
    while found := find():
        now = time.monotonic()  # noqa: TID251
        is_late = now > deadline
        if now > deadline + KILL_SECONDS_MAX:
            return ended, found
        for pid in found:
            if is_late or pid not in ended:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL if is_late else signal.SIGTERM)
        ended |= found
        time.sleep(POLL_SECONDS)  # noqa: TID251
    return ended, set()


def say(sentence: str) -> None:
    """Tell whoever started this."""
    sys.stdout.write(f"{sentence}\n")


def main(server_url: str, conf: str) -> int:
    there = await_farewell(lambda: find_supervisord(conf), FAREWELL_SECONDS_MAX)
    if there is not None:
        say(f"process {there} is a supervisord that does not answer: end it")
        return IS_THERE
    ended, lasting = end(lambda: find_leftovers(server_url))
    if lasting:
        say(f"these do not end, and ran under a supervisord: {sorted(lasting)}")
        return DOES_NOT_END
    if ended:
        say(f"ended {len(ended)} processes that a supervisord had left")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
