"""This host without its network and with copies of its files, for one script."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tests.programs import run
from tests.source_tree import TOP

#: A first format of 100 partitions, its repetition and a hundred kills.
SCRIPT_SECONDS_MAX = 550

_UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc")
_PREPARE = """
set -e
mount --make-rprivate /
mkdir {place}/etc {place}/log
cp --archive /etc/. {place}/etc/
mount --bind {place}/etc /etc
mount --bind {place}/log /var/log
ip link set lo up
"""


def run_privately(place: Path, lines: Sequence[str]) -> str:
    """Run lines of shell as root where accounts and links are their own; its output.

    ``place`` is an empty directory in memory. Fails when the script does.
    """
    script = "\n".join([_PREPARE.format(place=place), *lines])
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251
        "PYTHONPATH": str(TOP),
        "HOME": str(place),
    }
    ended = run(
        [*_UNSHARE, "sh", "-c", script],
        environment,
        directory=place,
        timeout_seconds=SCRIPT_SECONDS_MAX,
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    return ended.stdout
