"""What partitions take on disk: measured by du, one at a time, spread over the day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runtime.ports import Program, Runtime
from slapgrid.collecting.kernel_files import KIBIBYTE
from slapgrid.collecting.records import DiskFigure
from slapgrid.environment import clean_environment

#: Ten million files; a partition that takes longer has no figure, which is said.
WALK_SECONDS_MAX = 900.0
#: After a walk of so long, others have the disk this many times as long.
REST_RATIO = 9.0
REST_SECONDS_MIN = 1.0


def choose_partition(
    partition_ids: Iterable[str],
    disks: Mapping[str, DiskFigure],
    now: float,
    period_seconds: float,
) -> str | None:
    """Which one to measure next, if any: never measured first, then the oldest."""

    def measured_at(partition_id: str) -> float:
        figure = disks.get(partition_id)
        # One from the future was measured before the calendar went back.
        return 0.0 if figure is None or figure.measured_at > now else figure.measured_at

    due = [each for each in partition_ids if now - measured_at(each) >= period_seconds]
    return min(due, key=lambda each: (measured_at(each), each), default=None)


async def measure_directory(runtime: Runtime, path: str) -> int | str:
    """What a directory takes, in bytes, or why that is not known.

    Links are not followed, nor are other file systems entered; a file with several
    names counts once. It takes what time of the processors and disks nobody wants.
    """
    ended = await runtime.processes.run(
        Program(
            ("nice", "-n", "19", "du", "-s", "-k", "-x", "--", path),
            directory="/",
            environment=clean_environment("/"),
            timeout_seconds=WALK_SECONDS_MAX,
        )
    )
    if ended.is_timed_out:
        return f"{path} was not walked within {WALK_SECONDS_MAX:g} s"
    output = ended.output.decode(errors="replace")
    # It also fails for one file that goes while it looks, and says the rest.
    for line in reversed(output.splitlines()):
        kibibytes, found, name = line.partition("\t")
        if found and name == path and kibibytes.isdigit():
            return int(kibibytes) * KIBIBYTE
    return f"{path} was not measured: {output.strip()[-200:]}"
