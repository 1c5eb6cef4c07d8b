"""Shell. Looks at this computer, for the doctor."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from runtime.ports import Program, Runtime
from slapcluster.doctor.disks import look_at_disk
from slapcluster.doctor.examination import Examination
from slapcluster.doctor.listeners import find_listeners
from slapcluster.first_settings import RELAY, NewSettings, render_settings
from slapcluster.hosting.places import (
    ENTRIES_PER_PARTITION,
    FIRST_ENTRY,
    FIRST_PORT,
    PORTS_PER_PARTITION,
    PROGRAM_COUNT,
)
from slapgrid.config import Config, read_config
from slapgrid.environment import clean_environment
from slapgrid.format.choosing import FormatRefused
from slapgrid.format.observing import observe_network
from slapgrid.layout import LOCK_FILE
from slapgrid.neighbours.lock import find_owner
from slapgrid.relaying.settings import read_listen
from slapgrid.settings import ConfigError

STUNNEL_SECONDS_MAX = 10.0

PARTITIONS_MAX = 100
"""Of which the ports are looked at: the master takes one of the first."""

_STAND_IN = {"computer_id": "COMP-0", "master_url": "http://127.0.0.1:5000/"}
"""Before a computer has joined, its settings name neither."""


async def examine(runtime: Runtime, settings: Path, new: NewSettings) -> Examination:
    """Look at everything once; only a probe is written, and removed again."""
    text = _read(settings) or render_settings(new)
    trouble = ""
    try:
        config = read_config(text, _STAND_IN)
    except ConfigError as error:
        trouble = f"{error}; mend it, as the agent does not start with that"
        config = read_config(render_settings(new), _STAND_IN)
    stunnel = await _ask_stunnel(runtime)
    addresses, network_trouble = await _look_at_network(runtime)
    agent = find_owner(f"{config.instance_root}/{LOCK_FILE}")
    return Examination(
        now=runtime.calendar.now(),
        version=metadata.version("slapcluster"),
        settings=str(settings),
        software=look_at_disk(runtime, config.software_root, is_tried=False),
        instances=look_at_disk(runtime, config.instance_root, is_tried=True),
        partition_count=config.format.partition_amount,
        settings_trouble=trouble,
        computer_id=_computer_id(text),
        agent=agent,
        stunnel=stunnel,
        addresses=addresses,
        network_trouble=network_trouble,
        listeners=find_listeners(
            _ports(config),
            (f"{config.software_root}/", f"{config.instance_root}/"),
            agent,
        ),
    )


def _read(settings: Path) -> str:
    try:
        return settings.read_text("utf-8")
    except FileNotFoundError:
        return ""


def _computer_id(text: str) -> str:
    """Return who the computer is already; nobody, before it has joined."""
    named = {key: it for key, it in _STAND_IN.items() if key != "computer_id"}
    try:
        return read_config(text, named).computer_id
    except ConfigError:
        return ""


def _ports(config: Config) -> frozenset[int]:
    """Return the ports of a region in any of the partitions, and that of the relay."""
    _, relay = read_listen(config.relaying.listen or RELAY)
    numbers = range(min(config.format.partition_amount, PARTITIONS_MAX))
    programs = {
        FIRST_PORT + PORTS_PER_PARTITION * number + offset
        for number in numbers
        for offset in range(PROGRAM_COUNT)
    }
    entry_count = ENTRIES_PER_PARTITION * len(numbers)
    entries = range(FIRST_ENTRY, FIRST_ENTRY + entry_count)
    return frozenset({relay, *programs, *entries})


async def _ask_stunnel(runtime: Runtime) -> str:
    ended = await runtime.processes.run(
        Program(
            ("stunnel", "-version"),
            directory="/",
            environment=clean_environment("/"),
            timeout_seconds=STUNNEL_SECONDS_MAX,
        )
    )
    lines = ended.output.decode(errors="replace").splitlines()
    return next((it for it in lines if it.startswith("stunnel ")), "")


async def _look_at_network(runtime: Runtime) -> tuple[tuple[str, ...], str]:
    """Return the lasting addresses; of loopback too, where a cloud of play lives."""
    try:
        network = await observe_network(runtime)
    except FormatRefused as error:
        return (), str(error)
    return tuple(
        str(it.interface.ip)
        for _, it in network.addresses
        if (it.is_lasting or it.interface.ip.is_loopback) and not it.has_failed
    ), ""
