"""Shell. One program of NEO, which the kernel kills when its supervisord dies.

``python -P program.py CONF MODULE OPTIONS``, a module of ``PROGRAM_MODULES``. A storage
node that outlived its supervisord would hold the port and the database, and nobody
would know it.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from importlib import import_module
from os import getppid
from pathlib import Path

from replication.programs import PROGRAM_MODULES

PR_SET_PDEATHSIG = 1
"""The number of this wish in Linux."""


def die_with(conf: str) -> None:
    """Wish to be killed when the supervisord that reads this file dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have died before the wish: then another process is our parent.
    parent = Path(f"/proc/{getppid()}/cmdline").read_bytes()
    if conf.encode() not in parent.split(b"\0"):
        sys.exit(f"the supervisord of {conf} is gone")


def main() -> None:
    conf, name, *options = sys.argv[1:]
    if name not in PROGRAM_MODULES.values():
        sys.exit(f"{name}: no program of a region")
    die_with(conf)
    sys.argv[:] = [name, *options]
    import_module(name).main()


if __name__ == "__main__":
    main()
