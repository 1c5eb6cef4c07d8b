"""What a region of a cloud that hosts itself takes: memory, disk, processes.

    python -m tests.self_hosting.run_sizes CHECKOUT RUNS COMMIT PARTITIONS SERVICES

Each computer has so many partitions, and one of them so many services. Adds lines to
the file ``RUNS``: before there are services, and when all of them run.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slapcluster.hosting.layout import NEO_HOME
from slapcluster.play import namespaces
from slapcluster.play.computers import HELLO_URL, REGIONS
from slapcluster.play.places import Record
from slapcluster.play.regional_tour import RegionalTour
from slapcluster.printing import print_note
from tests.self_hosting.hosted_cloud import HostedCloud, with_hosted_cloud

MIB = 1024 * 1024

PROGRAMS: Mapping[str, str] = {
    "neo-master": "neo_master",
    "storage-node": "storage node",
    "admin-node": "admin node",
    "stunnel": "stunnel",
    "master --listen": "replica",
    "node run": "agent",
    "supervisord": "supervisords",
    "hosted": "promises of the region",
    "hello": "services",
}
"""What a process is, by what stands in its command line; the first that fits."""

ALL_THERE_SECONDS_MAX = 1800


def descendants(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return
    for child in children.split():
        yield from descendants(int(child))


def memory_of(record: Record, region: str) -> dict[str, dict[str, float]]:
    """Return processes and MiB by program; what is shared is divided among them."""
    first = namespaces.first_pid_of(record, region)
    assert first is not None
    found: dict[str, dict[str, float]] = defaultdict(lambda: {"count": 0, "mib": 0})
    for pid in descendants(first):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        line = words.decode(errors="replace")
        name = next((name for it, name in PROGRAMS.items() if it in line), "others")
        kilobytes = int(rollup.partition("\nPss:")[2].split()[0])
        found[name]["count"] += 1
        found[name]["mib"] += kilobytes / 1024
    return {name: {**it, "mib": round(it["mib"], 1)} for name, it in found.items()}


def disk_of(tour: RegionalTour, region: str) -> dict[str, float]:
    """Return MiB on the disk by what they are of."""
    home = Path(tour.record.place, region)
    partition = tour.partition_of(region)
    return {
        "releases": _mib(home / "soft"),
        "the partition of the region": _mib(partition),
        "of which database": _mib(partition / NEO_HOME),
        "other partitions": _mib(home / "srv") - _mib(partition),
        "log of the agent": _mib(home / "log"),
    }


def _mib(top: Path) -> float:
    seen, total = set(), 0
    for path in (top, *top.rglob("*")):
        try:
            status = path.lstat()
        except OSError:
            continue
        if status.st_ino not in seen:
            seen.add(status.st_ino)
            total += status.st_blocks * 512
    return round(total / MIB, 1)


async def fill(cloud: HostedCloud, region: str, count: int) -> float:
    """Have so many services run on one computer; return the seconds."""
    tour = cloud.tour
    begun = tour.runtime.clock.seconds()
    computer_id = tour.computer_id(region)
    await tour.visitor.slapcluster("supply", HELLO_URL, computer_id, "--wait")
    for number in range(count):
        await tour.visitor.slapcluster(
            *("request", f"service-{number}", HELLO_URL),
            *("--node", f"computer_guid={computer_id}"),
        )

    async def started() -> int:
        report = await tour.visitor.slapcluster("service", "list")
        return sum(it["reported_state"] == "started" for it in report)

    await tour.visitor.until(started, lambda it: it > count)
    return tour.runtime.clock.seconds() - begun


def main(arguments: list[str]) -> None:
    checkout, runs, commit, partitions, services = arguments

    def keep(cloud: HostedCloud, region: str, **told: Any) -> None:
        line = json.dumps(
            {
                "commit": commit,
                "partitions": int(partitions),
                **told,
                "memory": memory_of(cloud.tour.record, region),
                "disk": disk_of(cloud.tour, region),
                "load": os.getloadavg()[0],
            }
        )
        with Path(runs).open("a") as file:
            file.write(line + "\n")
        print_note(line)

    async def play(cloud: HostedCloud) -> None:
        cloud.guests.end()
        region = REGIONS[0]
        keep(cloud, region, services=0)
        seconds = await fill(cloud, region, int(services))
        keep(cloud, region, services=int(services), filled_seconds=seconds)

    with_hosted_cloud(Path(checkout), print_note, play, partition_count=int(partitions))


if __name__ == "__main__":
    main(sys.argv[1:])
