"""Shell. Opens a cloud of play, runs programs inside and ends it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from attrs import evolve

from runtime.ports import Exit, Program, Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.play import confinement, namespaces, places
from slapcluster.play.checkouts import Checkout
from slapcluster.play.choosing import check_programs, choose_python, choose_record
from slapcluster.play.places import Record
from slapcluster.play.preparing import (
    copy_release,
    install_programs,
    make_directories,
    write_settings,
)
from slapcluster.play.settings import (
    NEO_DIRECTORY,
    NEO_REGIONS,
    StoreKind,
    creation_of_neo,
    file_store_uri,
)
from slapcluster.release import ReleaseFailed, Sources, fill_release

READY_SECONDS_MAX = 60
"""Two Python programs and a format of ten partitions, on a loaded machine."""

END_SECONDS_MAX = 20
"""From SIGKILL to the last process gone: a busy disk holds one that long."""

OUTPUT_BYTES_MAX = 16 * 1024 * 1024
"""JSON is read whole or not at all; a thousand services are 130 kB of it."""

LOG_LINES_MAX = 15
"""Of each log that explains a failure."""

LOGS = (
    "log/*.log",
    f"{NEO_DIRECTORY}/*/log/*.log",
    "*/log/*.log",
    "home/cloud/mini-master/log",
    "*/srv/slappart*/.slapgrid-*error.log",
)
"""Below the place: those that explain a failure."""

POLL_SECONDS = 0.1

ENDED = "The cloud has ended by itself."

Say = Callable[[str], None]


async def open_cloud(
    runtime: Runtime,
    checkout: Checkout,
    say: Say,
    *,
    is_bound: bool,
    is_apart: bool = True,
    store: StoreKind = StoreKind.FILE,
) -> Record:
    """Make a cloud and wait until its computer has all partitions.

    A bound one dies with this process. When it cannot be opened nothing is left.
    """
    await clear_for_another(runtime, checkout, say)
    record = await choose_record(runtime, is_apart=is_apart)
    if not record.way.is_apart:
        say(
            "namespaces are refused here: the cloud shares the network of this machine "
            "(::1 and distinct ports) and sees its files"
        )
    python = await choose_python(runtime, checkout, record)
    # Written before the first file is made, for `play stop` after a SIGKILL.
    checkout.write(runtime, record)
    try:
        return await _open(
            runtime, checkout, record, python, say, is_bound=is_bound, store=store
        )
    except BaseException:
        await end_cloud(runtime, checkout)
        raise


async def clear_for_another(runtime: Runtime, checkout: Checkout, say: Say) -> None:
    """Have what a cloud needs, and nothing of one before; raises if that one runs."""
    check_programs()
    previous = checkout.record()
    if previous is not None and namespaces.is_alive(previous):
        raise CommandFailed(
            f"A cloud already runs in {previous.place}. `make stop` ends it."
        )
    if previous is not None:
        say(f"removing {previous.place}, left by a run that was killed")
        await end_cloud(runtime, checkout)
    await _fill_release(runtime, checkout, say)


async def _fill_release(runtime: Runtime, checkout: Checkout, say: Say) -> None:
    sources = Sources(checkout.path)
    output = checkout.release_path
    try:
        await fill_release(sources, output, runtime, checkout.environment, say)
    except ReleaseFailed as error:
        raise CommandFailed(f"The wheelhouse is not filled: {error}") from error


async def _open(
    runtime: Runtime,
    checkout: Checkout,
    record: Record,
    python: str,
    say: Say,
    *,
    is_bound: bool,
    store: StoreKind,
) -> Record:
    say(f"installing the programs in {record.place} for user {record.identity.uid}")
    make_directories(runtime, record)
    copy_release(checkout, record)
    await install_programs(runtime, record, python)
    is_neo = store is StoreKind.NEO
    write_settings(runtime, record, None if is_neo else file_store_uri(record))
    if not is_neo:
        say("starting the mini-master and the agent")
    supervisord = f"{record.place}/venv/bin/supervisord"
    script = confinement.first_script(
        record,
        hidden_from(checkout, record),
        confinement.environment_of(record),
        (supervisord, "--nodaemon", "-c", f"{record.place}/etc/supervisord.conf"),
        is_bound=is_bound,
    )
    started = await start(runtime, checkout, record, script, is_bound=is_bound)
    if is_neo:
        say(f"making a neo_cluster of the regions {', '.join(NEO_REGIONS)}")
        store_uri = await _make_neo(runtime, started)
        say("starting the mini-master and the agent")
        write_settings(runtime, started, store_uri)
        await _run_supervisorctl(runtime, started, "update")
    await _wait_until_ready(runtime, started)
    return started


async def _make_neo(runtime: Runtime, record: Record) -> str:
    """Make the neo_cluster inside, as the user of the cloud; give its address."""
    argv = creation_of_neo(record)
    ended = await run_inside(runtime, record, argv, READY_SECONDS_MAX)
    output = ended.output.decode(errors="replace")
    if not ended.is_success:
        raise CommandFailed(f"No neo_cluster: {output}\n{log_ends(record)}")
    return str(json.loads(output[output.index("{") :])["store_uri"])


async def _run_supervisorctl(runtime: Runtime, record: Record, *arguments: str) -> None:
    conf = f"{record.place}/etc/supervisord.conf"
    argv = ("supervisorctl", "-c", conf, *arguments)
    deadline = runtime.clock.seconds() + READY_SECONDS_MAX
    while True:
        ended = await run_inside(runtime, record, argv, READY_SECONDS_MAX)
        if ended.is_success:
            return
        if runtime.clock.seconds() > deadline:
            output = ended.output.decode(errors="replace")
            raise CommandFailed(f"supervisord of the cloud: {output}")
        await pause(runtime.clock, POLL_SECONDS)


async def start(
    runtime: Runtime,
    checkout: Checkout,
    record: Record,
    script: str,
    *,
    is_bound: bool,
) -> Record:
    """Start the first process of a cloud, and wait until it is there."""
    argv = confinement.opening(record.way, script)
    if is_bound:
        argv = confinement.bound_to_driver(argv)
    pid = namespaces.spawn(argv, {"PATH": confinement.SYSTEM_PATH}, record.log_path)
    ticks = namespaces.start_ticks(pid)
    started = evolve(record, outer_pid=pid, outer_start_ticks=ticks)
    checkout.write(runtime, started)
    while namespaces.is_alive(started) and namespaces.first_pid(started) is None:
        await pause(runtime.clock, POLL_SECONDS)
    return started


def hidden_from(checkout: Checkout, record: Record) -> tuple[str, ...]:
    """Return the checkout, unless the cloud needs something below it."""
    path = str(checkout.path)
    needed = (record.place, sys.base_prefix)
    return () if any(f"{it}/".startswith(f"{path}/") for it in needed) else (path,)


async def _wait_until_ready(runtime: Runtime, record: Record) -> None:
    deadline = runtime.clock.seconds() + READY_SECONDS_MAX
    argv = ("slapcluster", "--output", "json", "computer", "list")
    while True:
        ended = await run_inside(runtime, record, argv, READY_SECONDS_MAX)
        if ended.is_success and any(
            it["partition_count"] == places.PARTITION_COUNT
            for it in json.loads(ended.output)
        ):
            return
        if runtime.clock.seconds() > deadline:
            raise CommandFailed(
                f"The cloud is not ready after {READY_SECONDS_MAX} s: "
                f"{ended.output.decode(errors='replace')}\n{log_ends(record)}"
            )
        await pause(runtime.clock, POLL_SECONDS)


async def end_cloud(runtime: Runtime, checkout: Checkout) -> Record | None:
    """End all processes of a cloud and remove its files; ``None``: there was none."""
    record = checkout.record()
    if record is None:
        return None
    deadline = runtime.clock.seconds() + END_SECONDS_MAX
    while True:
        left = _left(record)
        if not left:
            break
        if runtime.clock.seconds() > deadline:
            raise CommandFailed(
                f"Processes of {record.place} do not end: {left}. "
                "Repeat `make stop`; `ps` shows what they wait for."
            )
        for pid in left:
            namespaces.kill(pid)
        await pause(runtime.clock, POLL_SECONDS)
        if record.outer_pid is not None:
            namespaces.reap(record.outer_pid)
    parent, _, name = record.place.rpartition("/")
    await runtime.file_tree(parent).remove_tree(name)
    checkout.forget(runtime)
    return record


def _left(record: Record) -> list[int]:
    """Return what runs of a cloud, the outermost first: it restarts the others."""
    found = [namespaces.first_pid(record), *namespaces.processes_of(record)]
    if namespaces.is_alive(record):
        found.append(record.outer_pid)
    return list(dict.fromkeys(pid for pid in found if pid is not None))


async def run_inside(
    runtime: Runtime,
    record: Record,
    argv: tuple[str, ...],
    timeout_seconds: float | None,
    *,
    region: str = "",
    on_output: Callable[[bytes], None] | None = None,
) -> Exit:
    """Run a program in the cloud, as its user, to its end.

    With a region, on the computer of it, as the user of that.
    """
    first_pid = (
        namespaces.first_pid_of(record, region)
        if region
        else namespaces.first_pid(record)
    )
    if first_pid is None:
        what = f"The computer of {region} does not run." if region else ENDED
        raise CommandFailed(f"{what}\n{log_ends(record)}")
    account = record.account_of(region) if region else record.account
    environment = confinement.environment_of(record, account)
    return await runtime.processes.run(
        Program(
            confinement.entering(record, first_pid, environment, argv, account),
            directory="/",
            environment={"PATH": confinement.SYSTEM_PATH},
            timeout_seconds=timeout_seconds,
            output_bytes_max=OUTPUT_BYTES_MAX,
        ),
        on_output,
    )


def log_ends(record: Record) -> str:
    """Return the ends of the logs of a cloud."""
    ends = []
    place = Path(record.place)
    for path in sorted(it for glob in LOGS for it in place.glob(glob)):
        if path.resolve() != path:
            # Their owner is the user of the cloud, the reader may be root.
            continue
        lines = path.read_text(errors="replace").splitlines()[-LOG_LINES_MAX:]
        if lines:
            name = path.relative_to(place)
            ends.append("\n".join((f"--- end of {name}", *lines)))
    return "\n".join(ends)
