"""Shell. Whether a run fits into the memory of this machine."""

from __future__ import annotations

from pathlib import Path

from labsim.plan import Plan
from labsim.refusals import BadInput

WORLD_BYTES = 100 * 1024**2
"""Python, the modules of production, a master."""

COMPUTER_BYTES = 256 * 1024
PARTITION_BYTES = 20 * 1024
"""Measured of ``dense``, half filled, over a base of 85 MiB: 2 computers of 100
partitions took 4 MiB, 8 took 19; a day of ``sites`` took 185."""

OPERATION_BYTES = 12 * 1024
"""With what the history keeps of it: two or three transactions, and what they read."""

AMPLE_BYTES = 1 << 62
"""Where the kernel does not say what is free."""


def estimate_bytes(plan: Plan) -> int:
    """About what a run takes at most."""
    computer_count = len(plan.topology.computers)
    partition_count = computer_count * plan.scenario.fleet.partitions
    return (
        WORLD_BYTES
        + computer_count * COMPUTER_BYTES
        + partition_count * PARTITION_BYTES
        + len(plan.operations) * OPERATION_BYTES
    )


def available_bytes() -> int:
    """What could be taken now without swapping; ample when nobody says."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return AMPLE_BYTES
    (line,) = (line for line in lines if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024


def check_fits(plan: Plan, available: int | None = None) -> None:
    """Refuse a run that would not fit, before it starts."""
    needed = estimate_bytes(plan)
    there = available_bytes() if available is None else available
    if needed > there:
        raise BadInput(
            f"{plan.size} need about {needed / 1024**3:.1f} GiB, and"
            f" {there / 1024**3:.1f} GiB are free: take fewer --computers or"
            " --partitions"
        )
