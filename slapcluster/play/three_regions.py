"""Shell. Opens a cloud of three computers, and gives and takes their power."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from runtime.ports import Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.play import computers, namespaces, power
from slapcluster.play.checkouts import Checkout
from slapcluster.play.choosing import choose_python, choose_record
from slapcluster.play.cloud import (
    POLL_SECONDS,
    Say,
    clear_for_another,
    end_cloud,
    hidden_from,
    log_ends,
    start,
)
from slapcluster.play.places import REGION_PARTITION_COUNT, Record
from slapcluster.play.preparing import (
    copy_release,
    install_programs,
    make_computers,
    make_directories,
)

POWER_SECONDS_MAX = 30
"""From a switch to what it does: a busy disk holds the last process that long."""


async def open_three(
    runtime: Runtime,
    checkout: Checkout,
    say: Say,
    *,
    is_bound: bool,
    partition_count: int = REGION_PARTITION_COUNT,
) -> Record:
    """Make three computers that wait to join a cloud, and start them.

    Bound ones die with this process. When they cannot be started nothing is left.
    """
    await clear_for_another(runtime, checkout, say)
    chosen = await choose_record(runtime, is_apart=True, regions=computers.REGIONS)
    record = evolve(chosen, partition_count=partition_count)
    python = await choose_python(runtime, checkout, record)
    # Written before the first file is made, for `play stop` after a SIGKILL.
    checkout.write(runtime, record)
    try:
        users = ", ".join(str(it.uid) for it in dict.fromkeys(record.identities))
        say(f"installing the programs in {record.place} for users {users}")
        make_directories(runtime, record)
        copy_release(checkout, record)
        await install_programs(runtime, record, python)
        make_computers(runtime, record)
        say(f"starting the computers {', '.join(record.computers)}")
        script = power.first_script(record, hidden_from(checkout, record))
        started = await start(runtime, checkout, record, script, is_bound=is_bound)
        for region in started.computers:
            give_power(started, region)
        for region in started.computers:
            await until_on(runtime, started, region)
    except BaseException:
        await end_cloud(runtime, checkout)
        raise
    return started


def give_power(record: Record, region: str) -> None:
    Path(power.switch_path(record, region)).touch()


def _is_lit(record: Record, region: str) -> bool:
    return Path(power.lamp_path(record, region)).exists()


def take_power(record: Record, region: str) -> None:
    """Kill everything of a computer, and its network, at once."""
    Path(power.switch_path(record, region)).unlink(missing_ok=True)


async def until_on(runtime: Runtime, record: Record, region: str) -> None:
    """Wait until the first process of a computer runs."""
    deadline = runtime.clock.seconds() + POWER_SECONDS_MAX
    while namespaces.first_pid_of(record, region) is None:
        if runtime.clock.seconds() > deadline or not namespaces.is_alive(record):
            raise CommandFailed(
                f"The computer of {region} does not start.\n{log_ends(record)}"
            )
        await pause(runtime.clock, POLL_SECONDS)


async def until_off(runtime: Runtime, record: Record, region: str) -> None:
    """Wait until nothing of a computer runs any more."""
    deadline = runtime.clock.seconds() + POWER_SECONDS_MAX
    while _is_lit(record, region):
        if runtime.clock.seconds() > deadline:
            raise CommandFailed(f"Processes of the computer of {region} do not end.")
        await pause(runtime.clock, POLL_SECONDS)
