"""The watchdog, with a real supervisord and the mini-masters of both makers."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from twisted.internet.task import deferLater

from runtime.ports import Runtime
from runtime.real import build_runtime
from slap import calls
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    NetworkAddress,
    PartitionDefinition,
    SoftwareInstallation,
)
from slap.polling import Polled
from slap.replicas import Replicas
from slapgrid.layout import BANG_SPOOL, GROUP_DIRECTORY, ProgramKind
from slapgrid.slap_client import SlapClient
from slapgrid.supervision import watchdog
from slapgrid.supervision.conf import ProgramDefinition, ProgramGroup, Watching
from slapgrid.supervision.port import ProgramKey
from slapgrid.supervision.supervisord import Supervisord
from tests import programs
from tests.interop.stock import stock_environment
from tests.interop.stock_cloud import OUR_COMMAND, write_stock_configuration
from tests.reactor import ReactorBench

URL = "http://release.invalid/software.cfg"
SETTLE_SECONDS = 60.0
#: Long enough for a second bang to arrive, if there were one.
QUIET_SECONDS = 1.5
DYING = "#!/bin/sh\nexec sleep 1000\n"


@frozen
class Bench:
    """A partition with one service under a supervisord that has a watchdog."""

    run_real: ReactorBench
    runtime: Runtime
    root: Path
    port: int
    dead_port: int

    @property
    def partition(self) -> Path:
        return self.root / "i" / "slappart0"

    @property
    def master_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @contextmanager
    def master(self, kind: str) -> Iterator[None]:
        """A mini-master, as a process."""
        cfg = self.root / "slapos.cfg"
        if not cfg.exists():
            write_stock_configuration(self.root, self.master_url, self.port)
        stock = str(stock_environment() / "slapos")
        argv = {
            "ours": [sys.executable, "-c", OUR_COMMAND, "proxy", "--cfg", str(cfg)],
            "stock": [stock, "proxy", "start", "--cfg", str(cfg)],
        }[kind]
        with programs.running(argv, self.root / "master.log"):
            programs.eventually(
                lambda: programs.is_listening("127.0.0.1", self.port), 60, kind
            )
            yield

    def supervision(self) -> Supervisord:
        # The first replica is never there.
        watching = Watching(
            sys.executable,
            str(Path(watchdog.__file__)),
            tuple(entry for entry in sys.path if entry),
            (f"http://127.0.0.1:{self.dead_port}/", self.master_url),
            "local",
        )
        command = watching.command(str(self.root / "i")) + " --bang-seconds-min 0"
        tree = self.runtime.file_tree(str(self.root / "i"))
        return Supervisord(self.runtime, tree, watchdog=command)

    def run(self, scenario: Callable[[Supervisord], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario with a supervisord, then end all programs."""
        (self.partition / "etc/service").mkdir(parents=True)
        service = self.partition / "etc/service/server"
        service.write_text(DYING)
        service.chmod(0o755)

        async def whole() -> None:
            supervision = self.supervision()
            group = ProgramGroup(
                "slappart0",
                str(self.partition),
                (ProgramDefinition("server", ProgramKind.SERVICE),),
            )
            try:
                assert await supervision.define((group,)) == {}
                await scenario(supervision)
            finally:
                await supervision.shut_down()

        self.run_real(whole(), timeout_seconds=240)

    async def die(self, supervision: Supervisord) -> None:
        """Start the service and kill it."""
        await supervision.start((ProgramKey("slappart0", "server"),))
        before = await self.pid(supervision, "slappart0:server-on-watch")
        os.kill(before, signal.SIGKILL)

        async def has_ended() -> bool:
            (group,) = await supervision.observe()
            return group.programs[0].has_ended

        await self.eventually(has_ended, "the service ends")

    async def pid(self, supervision: Supervisord, name: str) -> int:
        found = await supervision._calls.call("supervisor.getProcessInfo", name)  # noqa: SLF001 - a test's question
        assert isinstance(found, dict)
        return int(found["pid"])

    async def eventually(
        self, probe: Callable[[], Coroutine[Any, Any, bool]], what: str
    ) -> None:
        deadline = self.runtime.clock.seconds() + SETTLE_SECONDS
        while not await probe():
            assert self.runtime.clock.seconds() < deadline, what
            await deferLater(self.runtime.clock, 0.1)

    async def perform(self, call: calls.Call) -> object:
        client = SlapClient(self.runtime, Replicas((self.master_url,)))
        try:
            return await client.perform(call)
        finally:
            await client.close()

    async def deploy(self) -> None:
        """An instance in the partition."""
        addresses = (
            NetworkAddress("slaptap0", "127.0.0.1"),
            NetworkAddress("slaptap0", "::1"),
        )
        definition = ComputerDefinition(
            "local", "::1", "ffff::", (PartitionDefinition("slappart0", addresses),)
        )
        await self.perform(calls.define_computer(definition))
        await self.perform(calls.supply(SoftwareInstallation(URL, "local")))
        await self.perform(calls.request_instance(InstanceRequest("first", URL)))

    async def wanted_timestamp(self) -> str:
        """What the master says of the instance; each bang changes it."""
        client = SlapClient(self.runtime, Replicas((self.master_url,)))
        try:
            polled = await client.poll("local")
        finally:
            await client.close()
        assert isinstance(polled, Polled)
        instance = polled.computer.partitions[0].instance
        assert instance is not None
        return instance.timestamp


@pytest.fixture
def bench(tmp_path: Path, run_real: ReactorBench) -> Bench:
    return Bench(
        run_real,
        build_runtime(run_real.reactor),
        tmp_path,
        programs.free_port(),
        programs.free_port(),
    )


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_a_service_that_dies_twice_sends_one_bang_per_deployment(
    bench: Bench, kind: str
) -> None:
    """Timestamps are integers, floats, opaque or empty; the second replica hears."""

    async def scenario(supervision: Supervisord) -> None:
        await bench.deploy()
        heard = [await bench.wanted_timestamp()]

        async def is_heard() -> bool:
            return await bench.wanted_timestamp() != heard[-1]

        for deployed in ("1700000000", "1700000000.25", "opaque é", ""):
            (bench.partition / ".timestamp").write_text(deployed)
            await bench.die(supervision)
            await bench.eventually(is_heard, f"the bang for {deployed!r}")
            heard.append(await bench.wanted_timestamp())
            await bench.die(supervision)
            await deferLater(bench.runtime.clock, QUIET_SECONDS)
            assert await bench.wanted_timestamp() == heard[-1], deployed
            mark = bench.partition / ".slapos_latest_bang_timestamp"
            assert mark.read_text() == deployed
        assert len(set(heard)) == 5
        assert list((bench.root / "i" / BANG_SPOOL).iterdir()) == []

    with bench.master(kind):
        bench.run(scenario)


def test_a_complaint_outlives_the_watchdog_and_the_absence_of_the_master(
    bench: Bench,
) -> None:
    """It is killed before anybody heard it; the next one tells."""

    async def scenario(supervision: Supervisord) -> None:
        with bench.master("ours"):
            await bench.deploy()
            deployed = await bench.wanted_timestamp()
        (bench.partition / ".timestamp").write_text(deployed)
        await bench.die(supervision)
        spooled = bench.root / "i" / BANG_SPOOL / "slappart0"

        async def is_kept() -> bool:
            return spooled.exists()

        await bench.eventually(is_kept, "the complaint is on disk")
        os.kill(await bench.pid(supervision, "watchdog"), signal.SIGKILL)
        with bench.master("ours"):
            # The master lost nothing: its store is a file.
            async def is_heard() -> bool:
                return await bench.wanted_timestamp() != deployed

            await bench.eventually(is_heard, "the bang of the next watchdog")

    bench.run(scenario)


def test_a_watchdog_that_does_not_run_is_started_and_said(bench: Bench) -> None:
    """Stopped, or missing since supervisord was started without one."""

    async def scenario(supervision: Supervisord) -> None:
        await supervision._calls.call("supervisor.stopProcess", "watchdog")  # noqa: SLF001 - as an operator does
        mending = bench.supervision()
        await mending.observe()
        assert mending.trouble() == "the watchdog was STOPPED and is started again"

        async def is_fine() -> bool:
            await mending.observe()
            return mending.trouble() == ""

        await bench.eventually(is_fine, "the watchdog runs")

    bench.run(scenario)


def test_a_supervisord_without_a_watchdog_gets_one(bench: Bench) -> None:
    """As one that an earlier agent started; its services run on."""
    plain = Supervisord(bench.runtime, bench.runtime.file_tree(str(bench.root / "i")))

    async def scenario() -> None:
        (bench.root / "i" / GROUP_DIRECTORY).mkdir(parents=True)
        try:
            await plain.observe()
            mending = bench.supervision()
            await mending.observe()
            assert "the watchdog was missing" in mending.trouble()

            async def is_fine() -> bool:
                await mending.observe()
                return mending.trouble() == ""

            await bench.eventually(is_fine, "the watchdog runs")
        finally:
            await plain.shut_down()

    bench.run_real(scenario(), timeout_seconds=120)
