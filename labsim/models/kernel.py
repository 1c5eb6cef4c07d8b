"""The files by which a kernel tells what is consumed, on a simulated host.

They are files as all others: whoever reads ``/proc`` cannot tell. A boot begins them
again; nothing of them is durable.
"""

from __future__ import annotations

from attrs import define, field

from labsim.world.host import Host
from runtime.ports import IFileTree

TICKS_PER_SECOND = 100
_PAGE_COUNT = 2560


@define
class ModelProcess:
    """A process; change its fields, then let the kernel ``show`` them."""

    pid: int
    uid: int
    environment: str = ""
    parent: int = 1
    own_ticks: int = 0
    children_ticks: int = 0
    written_bytes: int = 0
    started_ticks: int = 0


@define
class KernelModel:
    """The kernel of one host."""

    host: Host
    boot_count: int = 1
    booted_at: float = 0.0
    processes: dict[int, ModelProcess] = field(factory=dict)
    traffic: dict[str, tuple[int, int]] = field(factory=dict)
    busy_ticks: int = 0
    celsius: float | None = None
    _shown: set[int] = field(factory=set)

    def start(self, process: ModelProcess) -> ModelProcess:
        """Let a process begin now."""
        process.started_ticks = round(self._uptime_seconds() * TICKS_PER_SECOND)
        self.processes[process.pid] = process
        return process

    def boot(self) -> None:
        """Begin everything again."""
        self.boot_count += 1
        self.booted_at = self.host.runtime.clock.seconds()
        self.processes.clear()
        self.traffic = dict.fromkeys(self.traffic, (0, 0))
        self.busy_ticks = 0

    def show(self) -> None:
        """Write the files as they are at this instant."""
        files = self.host.pending_files("/proc")
        for directory in ("", "sys/kernel/random", "self/net"):
            files.make_directory(directory)
        for pid in self._shown - set(self.processes):
            for name in ("stat", "io", "environ"):
                files.remove(f"{pid}/{name}")
        self._shown = set(self.processes)
        boot_id = f"boot-{self.boot_count}\n"
        files.write("sys/kernel/random/boot_id", boot_id.encode())
        files.write("uptime", f"{self._uptime_seconds():.2f} 0.0\n".encode())
        files.write("stat", f"cpu  {self.busy_ticks} 0 0 9 0 0 0 0\ncpu0 0\n".encode())
        files.write("meminfo", b"MemTotal: 8 kB\nMemAvailable: 6 kB\n")
        files.write("loadavg", b"0.5 0.4 0.3 1/9 9\n")
        files.write("vmstat", b"oom_kill 0\n")
        files.write("self/mounts", b"root / ext4 rw 0 0\n")
        files.write("self/net/dev", self._network())
        for process in self.processes.values():
            self._show_process(files, process)
        if self.celsius is not None:
            sensor = self.host.pending_files("/sys/class/thermal/thermal_zone0")
            sensor.make_directory("")
            sensor.write("temp", f"{self.celsius * 1000:.0f}\n".encode())

    def _show_process(self, files: IFileTree, process: ModelProcess) -> None:
        directory = str(process.pid)
        files.make_directory(directory)
        files.change(directory, uid=process.uid, gid=process.uid)
        stat = (
            f"{process.pid} (program) S {process.parent} 0 0 0 0 0 0 0 0 0 "
            f"{process.own_ticks} 0 {process.children_ticks} 0 20 0 2 0 "
            f"{process.started_ticks} 0 {_PAGE_COUNT} 0\n"
        )
        files.write(f"{directory}/stat", stat.encode())
        io = f"read_bytes: 0\nwrite_bytes: {process.written_bytes}\n"
        files.write(f"{directory}/io", io.encode())
        environment = process.environment.replace(" ", "\0")
        files.write(f"{directory}/environ", environment.encode())

    def _network(self) -> bytes:
        lines = ["Inter-| Receive", " face |bytes"]
        for name, (received, sent) in self.traffic.items():
            lines.append(f"{name}: {received} 0 0 0 0 0 0 0 {sent} 0 0 0 0 0 0 0")
        return "\n".join(lines).encode()

    def _uptime_seconds(self) -> float:
        # What is up when the world begins has been up for a while.
        return 1000 + self.host.runtime.clock.seconds() - self.booted_at
