"""The contract of two stunnels, on the model and on real processes of loopback."""

from __future__ import annotations

import signal
import socket
import subprocess  # noqa: TID251 - programs of this test
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from labsim.models.stunnel import Configuration, Section, Stunnel, Timeouts
from labsim.world.world import World
from runtime.ports import Runtime, TcpAddress
from runtime.real import build_runtime
from tests import programs
from tests.contract.stunnel_contract import PINNED, SCENARIOS, STRANGER, End
from tests.neo_port.certificates import certificate_with_key
from tests.reactor import ReactorBench

LIFE_SECONDS_MAX = 60.0
STOPPED_SECONDS_MAX = 5.0


class ModelBench:
    """Four hosts of a world: two programs, and a stunnel for each."""

    def __init__(self) -> None:
        self.world = World(seed=1)
        self._gates = {end: self.world.host(f"stunnel-{end.value}") for end in End}
        self._configurations: dict[End, Configuration] = {}
        self.near = self.world.host("near").runtime
        far = self.world.host("far")
        self.far = far.runtime
        self.entry = TcpAddress(self._gates[End.NEAR].address, 10_000)
        self.wire = TcpAddress(self._gates[End.FAR].address, 20_000)
        self.exit = TcpAddress(far.address, 2051)

    def start(
        self, end: End, timeouts: Timeouts | None = None, certificate: str | None = None
    ) -> None:
        section = (
            Section(self.entry, self.wire, is_client=True)
            if end is End.NEAR
            else Section(self.wire, self.exit)
        )
        is_first = end not in self._configurations
        self._configurations[end] = Configuration(
            certificate or end.value,
            frozenset((PINNED[end.value],)),
            (section,),
            timeouts or Timeouts(),
        )

        def build(runtime: Runtime) -> Stunnel:
            return Stunnel(runtime, self._configurations[end])

        self._gates[end].boot(build if is_first else None)

    def kill(self, end: End) -> None:
        self._gates[end].kill()

    def stop(self, end: End) -> None:
        self._gates[end].pause_processes()

    def resume(self, end: End) -> None:
        self._gates[end].resume_processes()

    def fall_silent(self) -> None:
        self._gates[End.FAR].crash()


class ProcessBench:
    """Two processes, and this one as both programs."""

    def __init__(self, runtime: Runtime, home: Path, stack: ExitStack) -> None:
        self.near = self.far = runtime
        self.entry, self.wire, self.exit = (
            TcpAddress("127.0.0.1", programs.free_port()) for _ in range(3)
        )
        self._home = home
        self._stack = stack
        self._running: dict[End, subprocess.Popen[bytes]] = {}
        names = (*(it.value for it in End), STRANGER)
        self._certificates = {it: certificate_with_key(it) for it in names}

    def start(
        self, end: End, timeouts: Timeouts | None = None, certificate: str | None = None
    ) -> None:
        times = timeouts or Timeouts()
        accept, connect, *more = (
            (self.entry, self.wire, "client = yes")
            if end is End.NEAR
            else (self.wire, self.exit)
        )
        own, peers = self._home / f"{end.value}.pem", self._home / f"{end.value}.peers"
        own.write_bytes(self._certificates[certificate or end.value][0])
        peers.write_bytes(self._certificates[PINNED[end.value]][1])
        lines = (
            *("foreground = yes", "pid =", "socket = l:TCP_NODELAY=1"),
            *("socket = r:TCP_NODELAY=1", f"cert = {own}", f"CAfile = {peers}"),
            *("sslVersionMin = TLSv1.2", "verifyPeer = yes", "[only]", *more),
            f"accept = {accept.host}:{accept.port}",
            f"connect = {connect.host}:{connect.port}",
            f"TIMEOUTconnect = {times.connect_seconds:.0f}",
            f"TIMEOUTbusy = {times.busy_seconds:.0f}",
            f"TIMEOUTidle = {times.idle_seconds:.0f}",
            f"TIMEOUTclose = {times.close_seconds:.0f}",
        )
        conf = self._home / f"{end.value}.conf"
        conf.write_text("\n".join(lines) + "\n")
        log = self._home / f"{end.value}.log"
        log.unlink(missing_ok=True)
        self._running[end] = self._stack.enter_context(
            programs.running(("stunnel", str(conf)), log)
        )
        programs.eventually(
            lambda: "Configuration successful" in log.read_text(),
            programs.END_SECONDS,
            "stunnel listens",
        )

    def kill(self, end: End) -> None:
        self._running[end].kill()
        self._running[end].wait()

    def stop(self, end: End) -> None:
        """Until all its threads stand still, which a signal does not wait for."""
        program = self._running[end]
        program.send_signal(signal.SIGSTOP)
        self._stack.callback(self.resume, end)
        tasks = Path(f"/proc/{program.pid}/task")
        programs.eventually(
            lambda: all(
                (it / "stat").read_text().rpartition(")")[2].split()[0] == "T"
                for it in tasks.iterdir()
            ),
            STOPPED_SECONDS_MAX,
            "stunnel stands still",
        )

    def resume(self, end: End) -> None:
        self._running[end].send_signal(signal.SIGCONT)

    def fall_silent(self) -> None:
        """A listener whose queue is full drops who knocks."""
        full = self._stack.enter_context(socket.socket())
        full.bind((self.wire.host, self.wire.port))
        full.listen(0)
        for _ in range(2):
            knocking = self._stack.enter_context(socket.socket())
            knocking.settimeout(0)
            knocking.connect_ex((self.wire.host, self.wire.port))


@pytest.fixture
def process_bench(run_real: ReactorBench, tmp_path: Path) -> Iterator[ProcessBench]:
    with ExitStack() as stack:
        yield ProcessBench(build_runtime(run_real.reactor), tmp_path, stack)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_model_does_what_stunnel_does(name: str) -> None:
    bench = ModelBench()

    bench.world.result(_played(name, bench), LIFE_SECONDS_MAX)

    bench.world.finish()


@pytest.mark.parametrize("name", SCENARIOS)
def test_stunnel_does_what_the_model_does(
    name: str, process_bench: ProcessBench, run_real: ReactorBench
) -> None:
    run_real(_played(name, process_bench), LIFE_SECONDS_MAX)


async def _played(name: str, bench: ModelBench | ProcessBench) -> None:
    await SCENARIOS[name](bench)
