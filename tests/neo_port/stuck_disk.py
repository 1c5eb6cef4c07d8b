"""Three regions whose storage nodes have disks of their own, and one disk that hangs.

    python -m tests.neo_port.stuck_disk PLACE ROUNDS

A file system that is frozen keeps whoever writes waiting, as a disk that does not
answer. To be run by root of this computer, in a network and with mounts of its own.
"""

from __future__ import annotations

import json
import subprocess  # noqa: TID251 - mounts
import sys
from contextlib import ExitStack
from pathlib import Path
from random import Random

from attrs import asdict

from tests.interop.stock import neo_environment
from tests.neo_port.faults import Situation, Undo, play_fault
from tests.neo_port.three_regions import REGIONS, ThreeRegions, Way, make_networks

DISK_BYTES = 64 * 1024**2
NAME = "disk stuck"


def make_disk(place: Path, region: int) -> Path:
    """A file system of its own, mounted."""
    image, mounted = place / f"{region}.img", mount_of(place, region)
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    mounted.mkdir()
    _do("mkfs.ext4", "-q", str(image))
    _do("mount", "-o", "loop", str(image), str(mounted))
    return mounted


def mount_of(place: Path, region: int) -> Path:
    return place / f"disk-{region}"


def hang_disk(situation: Situation) -> Undo:
    mounted = str(mount_of(situation.regions.home, situation.entropy.choice(REGIONS)))
    _do("fsfreeze", "--freeze", mounted)
    return lambda: _do("fsfreeze", "--unfreeze", mounted)


def _do(*argv: str) -> None:
    subprocess.run(argv, check=True)


def main() -> None:
    place, rounds = Path(sys.argv[1]), int(sys.argv[2])
    environment = neo_environment()
    make_networks()
    entropy = Random(0)
    with ExitStack() as stack:
        for region in REGIONS:
            mounted = make_disk(place, region)
            stack.callback(_do, "umount", str(mounted))
            database = mounted / "database.sqlite"
            (place / f"{region}.sqlite").symlink_to(database)
        regions = ThreeRegions(place, environment, stack, Way.DIRECT)
        first = 0
        for _ in range(rounds):
            outcome = play_fault(regions, NAME, hang_disk, entropy, first)
            first += outcome.commit_count
            sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
            assert outcome.missing is None, outcome


if __name__ == "__main__":
    main()
