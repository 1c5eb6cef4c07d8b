"""Usage on this machine: real processes measured, a real reporter killed."""

from __future__ import annotations

import os
import random
import subprocess  # noqa: TID251 - programs to measure and to kill
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import evolve, field, frozen
from twisted.internet.task import deferLater

from master_cluster import config as master_config
from master_cluster.service import build_service as build_master
from runtime.ports import Runtime, TcpAddress
from runtime.real import build_runtime
from slap import calls
from slap.replicas import Replicas
from slap.tioxml import decode_journal
from slap.usage import UsageList, UsageReport
from slapgrid.collecting.collector import Collector
from slapgrid.collecting.incidents import Incidents
from slapgrid.collecting.measures import Measure
from slapgrid.collecting.readings import COMPUTER
from slapgrid.config import Config
from slapgrid.format.settings import FormatSettings
from slapgrid.slap_client import SlapClient
from tests.builders import a_computer_definition
from tests.emulation.usage_driver import a_config, build_reporter
from tests.programs import free_port
from tests.reactor import ReactorBench

KILL_COUNT = 12
BURN = """\
import sys, time
while time.process_time() < 0.5: pass
print("burnt", flush=True)
sys.stdin.read()
"""
REPORT = (
    "<consumption><movement><resource>service_module/visits</resource>"
    "<quantity>{quantity}</quantity><price>0.0</price><VAT></VAT></movement>"
    "</consumption>"
)


@contextmanager
def a_program_of(partition: Path) -> Iterator[None]:
    """One that works for half a second, and rests until the block is left."""
    environment = {
        "SUPERVISOR_SERVER_URL": f"unix://{partition.parent}/sv.sock",
        "SUPERVISOR_GROUP_NAME": partition.name,
    }
    with subprocess.Popen(
        [sys.executable, "-I", "-c", BURN],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"burnt\n"
        yield
        program.communicate()


def test_a_real_process_and_a_real_directory_are_measured(
    tmp_path: Path, run_real: ReactorBench
) -> None:
    """Of two partitions of one user, by what the environment says."""
    config = evolve(
        a_config("http://127.0.0.1:1", str(tmp_path)),
        format=FormatSettings(partition_amount=2),
    )
    for index in range(2):
        (tmp_path / "i" / f"slappart{index}").mkdir(parents=True, mode=0o750)
    (tmp_path / "i" / "slappart1" / "file").write_bytes(os.urandom(300_000))
    runtime = build_runtime(run_real.reactor)
    collector = Collector(config, runtime, Incidents(config, runtime), os.getuid())

    async def measure() -> None:
        await collector.collect()
        with a_program_of(tmp_path / "i" / "slappart1"):
            for _ in range(2):
                await collector.measure_next_disk()
            collected = await collector.collect()
        latest = collected.latest
        assert latest is not None, collected.reason
        used, levels = latest.amounts["slappart1"], latest.levels["slappart1"]
        assert 0.4 < used[Measure.CPU_SECONDS] < 0.8
        assert levels[Measure.PROCESSES] == 1
        assert levels[Measure.MEMORY_BYTES] > 1024**2
        assert 300_000 <= levels[Measure.DISK_BYTES] < 600_000
        assert "slappart0" not in latest.amounts
        assert latest.amounts[COMPUTER][Measure.CPU_SECONDS] >= 0.4
        assert latest.levels[COMPUTER][Measure.MEMORY_BYTES] > 0

    run_real(measure())


@frozen
class KilledReporter:
    """A partition that reports, and a reporter in a process of its own."""

    root: Path
    runtime: Runtime
    config: Config
    entropy: random.Random
    written: list[int] = field(factory=list)

    @property
    def reports(self) -> Path:
        return self.root / "i" / "slappart0" / "var" / "xml_report"

    def write(self, count: int) -> None:
        for _ in range(count):
            number = len(self.written)
            self.written.append(number)
            unfinished = self.reports / f".{number}"
            unfinished.write_text(REPORT.format(quantity=number))
            unfinished.rename(self.reports / str(number))

    def start(self) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "tests.emulation.usage_driver"]
        argv += [self.config.master_urls[0], str(self.root)]
        program = subprocess.Popen(
            argv, stdout=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)}
        )
        assert program.stdout is not None
        assert program.stdout.readline() == b"reporting\n"
        return program

    async def kill_some(self) -> None:
        for _ in range(KILL_COUNT):
            self.write(self.entropy.randrange(1, 4))
            with self.start() as program:
                await self._rest(0.15)
                self.write(1)
                await self._rest(0.1)
                program.kill()

    async def kept(self, client: SlapClient) -> list[int]:
        """The number of each report that the master has, in order."""
        answer = await client.perform(calls.list_usage("COMP-1"))
        assert isinstance(answer, UsageList)
        numbers = []
        for summary in answer.documents:
            found = await client.perform(
                calls.get_usage_document("COMP-1", summary.document_id)
            )
            assert isinstance(found, UsageReport)
            numbers += [
                int(movement.quantity)
                for entry in decode_journal(found.document).entries
                for movement in entry.movements
            ]
        return sorted(numbers)

    async def _rest(self, seconds_max: float) -> None:
        await deferLater(self.runtime.clock, self.entropy.uniform(0, seconds_max))


def test_a_reporter_that_is_killed_delivers_each_report_once(
    tmp_path: Path, run_real: ReactorBench
) -> None:
    """SIGKILL at random instants, while new reports come."""
    port = free_port()
    runtime = build_runtime(run_real.reactor)
    config = a_config(f"http://127.0.0.1:{port}", str(tmp_path))
    killed = KilledReporter(tmp_path, runtime, config, random.Random(20))
    killed.reports.mkdir(parents=True)
    master = build_master(
        master_config.Config("memory:", TcpAddress("127.0.0.1", port)), runtime
    )

    async def scenario() -> list[int]:
        await master.startService()
        client = SlapClient(runtime, Replicas(config.master_urls))
        try:
            await client.perform(calls.define_computer(a_computer_definition(1)))
            await killed.kill_some()
            await build_reporter(runtime, config, client).report(("slappart0",))
            return await killed.kept(client)
        finally:
            await client.close()
            await master.stopService()

    assert run_real(scenario(), timeout_seconds=120) == killed.written
    assert list(killed.reports.iterdir()) == []
