"""Reading the kernel's counters: whose each process is, and what the computer has.

A partition's processes are those of its user. Where one user owns several partitions,
as without root, a process is the partition's that its environment names, or that of the
nearest ancestor which does. Traffic is that of the partition's own interfaces; what
goes through addresses that it shares with the computer is not told apart.
"""

from __future__ import annotations

import json
import re
import resource
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from attrs import define, field, frozen
from twisted.internet.task import deferLater

from runtime.ports import FileKind, IFileTree, Runtime
from slapgrid.collecting.kernel_files import (
    TICKS_PER_SECOND,
    ProcessStat,
    find_mount_point,
    find_partition,
    read_busy_ticks,
    read_celsius,
    read_loads,
    read_memory,
    read_mount_points,
    read_out_of_memory_kills,
    read_process,
    read_storage_bytes,
    read_traffic,
    read_uptime,
)
from slapgrid.collecting.measures import Measure
from slapgrid.collecting.readings import (
    COMPUTER,
    Amounts,
    ProcessReading,
    Reading,
    adopt,
)
from slapgrid.config import Config
from slapgrid.layout import RESOURCE_FILE

#: More than a busy computer has: a fork bomb must not hold the agent.
PROCESSES_MAX = 20_000
#: Between two turns of everything else; a process takes some 50 µs.
PROCESSES_PER_TURN = 100
#: The kernel takes so much memory for each reading: no more than there is to read.
SMALL_BYTES_MAX = 4096
LARGE_BYTES_MAX = 1024 * 1024
#: Of /sys: a computer has some.
SENSORS_MAX = 64
#: Interfaces of these names carry nothing that leaves the computer.
_LOOPBACK = "lo"


class NothingToObserve(Exception):
    """This host shows no counters; the sentence says what is missing."""


@frozen
class Observed:
    """Counters, levels, and what people want to know besides."""

    reading: Reading
    levels: Amounts
    facts: Mapping[str, Any]


@frozen
class _Place:
    """A partition's directory."""

    partition_id: str
    uid: int
    interfaces: tuple[str, ...]


@define
class Observing:
    """Observes one computer. What never changes of a process is asked once."""

    config: Config
    runtime: Runtime
    agent_uid: int
    _proc: IFileTree = field(init=False)
    _names: Mapping[tuple[int, int], str] = field(init=False, factory=dict)
    _resources: dict[str, tuple[float, tuple[str, ...]]] = field(
        init=False, factory=dict
    )

    def __attrs_post_init__(self) -> None:
        self._proc = self.runtime.file_tree("/proc")

    async def observe(self) -> Observed:
        """Read everything; ``NothingToObserve`` where there is no ``/proc``."""
        try:
            uptime_seconds = read_uptime(self._proc.read("uptime", LARGE_BYTES_MAX))
            boot_id = (
                self._proc.read("sys/kernel/random/boot_id", LARGE_BYTES_MAX)
                .decode()
                .strip()
            )
        except (OSError, ValueError) as error:
            raise NothingToObserve(f"/proc tells nothing here: {error}") from error
        places = tuple(self._places())
        processes, levels = await self._read_processes(places)
        counters, own_levels, facts = self._read_computer(places)
        levels[COMPUTER].update(own_levels)
        return Observed(
            Reading(boot_id, uptime_seconds, processes, MappingProxyType(counters)),
            MappingProxyType({name: dict(each) for name, each in levels.items()}),
            MappingProxyType({**facts, "uptime_seconds": uptime_seconds}),
        )

    def partition_ids(self) -> tuple[str, ...]:
        """The partitions that have a directory."""
        return tuple(place.partition_id for place in self._places())

    def _places(self) -> Iterator[_Place]:
        tree = self.runtime.file_tree(self.config.instance_root)
        settings = self.config.format
        named = re.compile(re.escape(settings.partition_base_name) + r"\d+")
        wanted = frozenset(settings.partition_ids)
        try:
            names = tree.list()
        except OSError:
            return
        for name in names:
            if name not in wanted and not named.fullmatch(name):
                continue
            status = tree.status(name)
            if status is not None and status.kind is FileKind.DIRECTORY:
                interfaces = self._interfaces(tree.subtree(name), name)
                yield _Place(name, status.uid, interfaces)

    def _interfaces(self, files: IFileTree, partition_id: str) -> tuple[str, ...]:
        status = files.status(RESOURCE_FILE)
        # What an instance wrote itself could name an interface of its neighbour.
        if status is None or status.uid != self.agent_uid:
            return ()
        known = self._resources.get(partition_id)
        if known is None or known[0] != status.modified:
            known = status.modified, _read_interfaces(files)
            self._resources[partition_id] = known
        return known[1]

    async def _read_processes(
        self, places: tuple[_Place, ...]
    ) -> tuple[tuple[ProcessReading, ...], defaultdict[str, dict[Measure, float]]]:
        owners = Counter(place.uid for place in places)
        alone = {p.uid: p.partition_id for p in places if owners[p.uid] == 1}
        known = tuple(place.partition_id for place in places)
        found: list[ProcessReading] = []
        stats: dict[int, ProcessStat] = {}
        names: dict[tuple[int, int], str] = {}
        pids = [int(name) for name in self._proc.list() if name.isdigit()]
        for turn, pid in enumerate(sorted(pids)[:PROCESSES_MAX]):
            if turn % PROCESSES_PER_TURN == PROCESSES_PER_TURN - 1:
                await deferLater(self.runtime.clock, 0)
            # It may end at any instant.
            with suppress(OSError, ValueError):
                status = self._proc.status(str(pid))
                if status is None or status.uid not in owners:
                    continue
                stat = read_process(self._proc.read(f"{pid}/stat", SMALL_BYTES_MAX))
                partition_id = alone.get(status.uid)
                if partition_id is None:
                    key = pid, stat.started_ticks
                    partition_id = self._names.get(key)
                    if partition_id is None:
                        partition_id = self._ask_environment(pid, known)
                    names[key] = partition_id
                stats[pid] = stat
                found.append(self._read_use(pid, stat, partition_id))
        self._names = names
        processes = adopt(found)
        levels: defaultdict[str, dict[Measure, float]] = defaultdict(dict)
        for process in processes:
            stat, level = stats[process.pid], levels[process.partition_id]
            memory_bytes = stat.resident_pages * resource.getpagesize()
            for measure, value in (
                (Measure.MEMORY_BYTES, memory_bytes),
                (Measure.PROCESSES, 1),
                (Measure.THREADS, stat.thread_count),
            ):
                level[measure] = level.get(measure, 0.0) + value
        levels[COMPUTER][Measure.PROCESSES] = len(pids)
        return processes, levels

    def _ask_environment(self, pid: int, known: tuple[str, ...]) -> str:
        try:
            environment = self._proc.read(f"{pid}/environ", LARGE_BYTES_MAX)
        except OSError:
            return ""
        return find_partition(environment, self.config.instance_root, known)

    def _read_use(
        self, pid: int, stat: ProcessStat, partition_id: str
    ) -> ProcessReading:
        try:
            read, written = read_storage_bytes(
                self._proc.read(f"{pid}/io", SMALL_BYTES_MAX)
            )
        except OSError:
            # One that changed its identity is not shown to its like.
            read, written = 0, 0
        return ProcessReading(
            pid,
            stat.started_ticks,
            stat.parent,
            partition_id,
            stat.own_ticks,
            stat.children_ticks,
            read,
            written,
        )

    def _read_computer(
        self, places: tuple[_Place, ...]
    ) -> tuple[
        dict[tuple[str, Measure], float], dict[Measure, float], Mapping[str, Any]
    ]:
        counters: dict[tuple[str, Measure], float] = {}
        levels: dict[Measure, float] = {}
        facts: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            ticks, processors = read_busy_ticks(
                self._proc.read("stat", LARGE_BYTES_MAX)
            )
            counters[COMPUTER, Measure.CPU_SECONDS] = ticks / TICKS_PER_SECOND
            levels[Measure.PROCESSORS] = processors
        with suppress(OSError, ValueError):
            kills = read_out_of_memory_kills(self._proc.read("vmstat", LARGE_BYTES_MAX))
            counters[COMPUTER, Measure.OUT_OF_MEMORY_KILLS] = kills
        with suppress(OSError, ValueError):
            facts["loads"] = read_loads(self._proc.read("loadavg", LARGE_BYTES_MAX))
            levels[Measure.LOAD] = facts["loads"][0]
        with suppress(OSError, ValueError, KeyError):
            memory = read_memory(self._proc.read("meminfo", LARGE_BYTES_MAX))
            facts["memory_total_bytes"] = memory["MemTotal"]
            facts["swap_total_bytes"] = memory["SwapTotal"]
            levels[Measure.SWAP_BYTES] = memory["SwapTotal"] - memory["SwapFree"]
            levels[Measure.MEMORY_BYTES] = memory["MemTotal"] - memory["MemAvailable"]
        with suppress(OSError, ValueError):
            counters.update(self._read_traffic(places))
        facts["disks"] = list(self._read_disks())
        for disk in facts["disks"][:1]:
            levels[Measure.DISK_BYTES] = disk["total_bytes"] - disk["free_bytes"]
        facts["celsius"] = dict(self._read_temperatures())
        if facts["celsius"]:
            levels[Measure.CELSIUS] = max(facts["celsius"].values())
        return counters, levels, facts

    def _read_traffic(
        self, places: tuple[_Place, ...]
    ) -> Mapping[tuple[str, Measure], float]:
        claims = Counter(name for place in places for name in place.interfaces)
        owners = {
            name: place.partition_id
            for place in places
            for name in place.interfaces
            if claims[name] == 1
        }
        counters: defaultdict[tuple[str, Measure], float] = defaultdict(float)
        network = self.runtime.file_tree("/proc/self/net")
        for name, traffic in read_traffic(network.read("dev", LARGE_BYTES_MAX)).items():
            if name == _LOOPBACK:
                continue
            received, sent = traffic.received_bytes, traffic.sent_bytes
            subject = owners.get(name, COMPUTER)
            if subject != COMPUTER:
                # What the computer sends into a tap is what the instance receives.
                received, sent = sent, received
            counters[subject, Measure.RECEIVED_BYTES] += received
            counters[subject, Measure.SENT_BYTES] += sent
        return counters

    def _read_disks(self) -> Iterator[Mapping[str, Any]]:
        """The disk of the instances comes first; each disk once."""
        try:
            own = self.runtime.file_tree("/proc/self")
            points = read_mount_points(own.read("mounts", LARGE_BYTES_MAX))
        except OSError:
            points = ()
        told = set()
        for path in (self.config.instance_root, self.config.software_root, "/"):
            point = find_mount_point(path, points)
            with suppress(OSError):
                space = self.runtime.file_tree(path).space()
                if point not in told:
                    told.add(point)
                    yield {
                        "path": point,
                        "total_bytes": space.total_bytes,
                        "free_bytes": space.free_bytes,
                        "file_count_max": space.file_count_max,
                        "file_count_free": space.file_count_free,
                    }

    def _read_temperatures(self) -> Iterator[tuple[str, float]]:
        for directory, prefix in (
            ("/sys/class/thermal", "thermal_zone"),
            ("/sys/class/hwmon", "hwmon"),
        ):
            try:
                names = self.runtime.file_tree(directory).list()
            except OSError:
                continue
            sensors = [name for name in names if name.startswith(prefix)]
            for sensor in sensors[:SENSORS_MAX]:
                # A class of /sys holds links; a root may be one.
                yield from _read_sensor(
                    self.runtime.file_tree(f"{directory}/{sensor}"), sensor
                )


def _read_interfaces(files: IFileTree) -> tuple[str, ...]:
    names = []
    with suppress(OSError, ValueError, AttributeError):
        found = json.loads(files.read(RESOURCE_FILE, LARGE_BYTES_MAX))
        for kind in ("tap", "tun"):
            name = (found.get(kind) or {}).get("name")
            if isinstance(name, str) and name:
                names.append(name)
    return tuple(names)


def _read_sensor(files: IFileTree, sensor: str) -> Iterator[tuple[str, float]]:
    with suppress(OSError):
        for name in files.list()[: SENSORS_MAX * 16]:
            if name == "temp" or (name.startswith("temp") and name.endswith("_input")):
                with suppress(OSError, ValueError):
                    label = sensor + name.removeprefix("temp").removesuffix("_input")
                    yield label, read_celsius(files.read(name, SMALL_BYTES_MAX))
