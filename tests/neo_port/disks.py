"""Three regions whose storage nodes have disks of their own: one hangs, or power goes.

    python -m tests.neo_port.disks PLACE ROUNDS FAULT

A file system that is frozen keeps whoever writes waiting, as a disk that does not
answer. One that is shut down takes nothing more, and what was not synchronised is gone
when it is mounted again, as after a loss of power. To be run by root of this computer,
in a network and with mounts of its own.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
import subprocess  # noqa: TID251 - mounts
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

from attrs import asdict

from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.faults import (
    EQUAL_SECONDS_MAX,
    Fault,
    Situation,
    Undo,
    digest_of,
    kill_primary,
    play_fault,
)
from tests.neo_port.three_regions import REGIONS, ThreeRegions, Way, make_networks

DISK_BYTES = 64 * 1024**2

FULL = "database or disk is full"
"""What SQLite says of it."""

FULL_SECONDS_MAX = 60
"""SQLite writes some megabytes of its log again before it needs room."""

SHUT_DOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN of Linux."""

WITHOUT_JOURNAL = struct.pack("I", 2)
"""EXT4_GOING_FLAGS_NOLOGFLUSH: what was not on the disk is lost."""


def make_disk(place: Path, region: int) -> Path:
    """A file system of its own, mounted."""
    image, mounted = image_of(place, region), mount_of(place, region)
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    mounted.mkdir()
    # Without room that is kept for root, who runs this.
    _do("mkfs.ext4", "-q", "-m", "0", str(image))
    _do("mount", "-o", "loop", str(image), str(mounted))
    return mounted


def image_of(place: Path, region: int) -> Path:
    return place / f"{region}.img"


def mount_of(place: Path, region: int) -> Path:
    return place / f"disk-{region}"


def hang_disk(situation: Situation) -> Undo:
    mounted = str(mount_of(situation.regions.home, situation.entropy.choice(REGIONS)))
    _do("fsfreeze", "--freeze", mounted)
    return lambda: _do("fsfreeze", "--unfreeze", mounted)


def lose_power(situation: Situation, count: int) -> Undo:
    """Take the power of some regions at once, and give it back."""
    regions = situation.regions
    lost = situation.entropy.sample(REGIONS, count)
    for region in lost:
        directory = os.open(mount_of(regions.home, region), os.O_RDONLY)
        fcntl.ioctl(directory, SHUT_DOWN, WITHOUT_JOURNAL)
        os.close(directory)
    for region in lost:
        for process in (regions.storages[region], regions.neo_masters[region]):
            process.kill()
            process.wait()
        mounted = str(mount_of(regions.home, region))
        _do("umount", mounted)
        _do("mount", "-o", "loop", str(image_of(regions.home, region)), mounted)
    for region in lost:
        regions.start_neo_master(region)
        regions.start_storage(region)
    return lambda: None


def fill_disk(situation: Situation) -> Undo:
    """Of one region; its storage node is started when it ends, as by supervisord."""
    region = situation.entropy.choice(REGIONS)
    mounted = mount_of(situation.regions.home, region)
    fill(mounted)
    _end_by_itself(situation.regions, region)
    return filler_of(mounted).unlink


def fill_all_disks(situation: Situation) -> Undo:
    """Nobody can write; then somebody makes room everywhere."""
    regions = situation.regions
    for region in REGIONS:
        fill(mount_of(regions.home, region))
    for region in REGIONS:
        _end_by_itself(regions, region)
    for region in REGIONS:
        filler_of(mount_of(regions.home, region)).unlink()
    return lambda: None


def _end_by_itself(regions: ThreeRegions, region: int) -> None:
    process = regions.storages[region]
    programs.eventually(
        lambda: process.poll() is not None, FULL_SECONDS_MAX, "its disk is full"
    )
    said = regions.output(region, "neostorage").read_text()
    assert said.rstrip().endswith(FULL), said[-2000:]
    regions.start_storage(region)


def fill_disks_of_verdicts(situation: Situation) -> Undo:
    """The neo_masters can write neither log nor verdict; the primary is killed then."""
    regions = situation.regions
    mounts = [mount_of(regions.home, it) for it in REGIONS]
    for mounted in mounts:
        fill(mounted)
    undo = kill_primary(situation)

    def make_room() -> None:
        others = [it for it in REGIONS if it != situation.primary]
        ended = [it for it in others if regions.neo_masters[it].poll() is not None]
        assert not ended, ended
        undo()
        for mounted in mounts:
            filler_of(mounted).unlink()

    return make_room


def fill(mounted: Path) -> None:
    """Leave no room at all."""
    with filler_of(mounted).open("wb") as file:
        chunk = DISK_BYTES
        while chunk:
            try:
                size = file.tell()
                os.posix_fallocate(file.fileno(), size, chunk)
                file.seek(size + chunk)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                chunk //= 2


def filler_of(mounted: Path) -> Path:
    return mounted / "filler"


DISK_FAULTS: Mapping[str, Fault] = {
    "disk stuck": hang_disk,
    "power of all lost": partial(lose_power, count=3),
    "power of two lost": partial(lose_power, count=2),
    "disk full": fill_disk,
    "disks of all full": fill_all_disks,
    "disks of verdicts full": fill_disks_of_verdicts,
}
OF_VERDICTS = frozenset({"disks of verdicts full"})
"""With disks of logs and verdicts; the others are of databases."""


def _do(*argv: str) -> None:
    subprocess.run(argv, check=True)


def main() -> None:
    place, rounds, name = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    environment = neo_environment()
    make_networks()
    entropy = Random(0)
    with ExitStack() as stack:
        disks = {region: make_disk(place, region) for region in REGIONS}
        for region, mounted in disks.items():
            stack.callback(_do, "umount", str(mounted))
            if name not in OF_VERDICTS:
                database = mounted / "database.sqlite"
                (place / f"{region}.sqlite").symlink_to(database)
        directories = disks if name in OF_VERDICTS else {}
        regions = ThreeRegions(
            place, environment, stack, Way.DIRECT, directories=directories
        )
        first = 0
        for _ in range(rounds):
            outcome = play_fault(regions, name, DISK_FAULTS[name], entropy, first)
            first += outcome.commit_count
            sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
            assert outcome.missing is None, outcome
        programs.eventually(
            lambda: len({digest_of(regions.database(it)) for it in REGIONS}) == 1,
            EQUAL_SECONDS_MAX,
            "equal copies",
        )


if __name__ == "__main__":
    main()
