"""The agent with everything real: buildout, supervisord, a mini-master on loopback.

Run by ``test_agent.py``, as an ordinary user.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess  # noqa: TID251 - an agent to kill
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from twisted.internet.task import deferLater

from master_cluster import config as master_config
from master_cluster.service import MasterService
from master_cluster.service import build_service as build_master
from runtime.ports import Runtime, TcpAddress
from runtime.real import build_runtime
from slap import calls
from slap.model import (
    InstanceRequest,
    RequestedInstance,
    RequestedState,
    SoftwareInstallation,
    SupplyState,
)
from slap.replicas import Replicas
from slap.reports import ComputerReport, InstanceReport, TreeReport
from slapgrid.config import Config
from slapgrid.format.settings import FormatSettings
from slapgrid.instance.settings import InstanceSettings
from slapgrid.neighbours.lock import AlreadyRunning
from slapgrid.neighbours.ownership import Ownership
from slapgrid.passes import Agent, ExitStatus
from slapgrid.promises.settings import PromiseSettings
from slapgrid.service import AgentService, build_agent
from slapgrid.slap_client import SlapClient
from slapgrid.software.settings import SoftwareSettings
from slapgrid.supervision.supervisord import Supervisord
from tests.emulation.wheels import write_recipe
from tests.interop.stock import stock_environment
from tests.programs import eventually as eventually_true
from tests.programs import free_port, is_listening, run, running
from tests.reactor import ReactorBench

SETTLE_SECONDS = 60.0

SOFTWARE = """\
[buildout]
parts = instance
find-links = {wheels}
index = {wheels}
allow-hosts =
[versions]
tiny-recipe = 1.0
[instance]
recipe = tiny_recipe:file
path = instance.cfg
mode = 644
content =
{instance}
"""

INSTANCE = """\
[buildout]
parts = service promise plugin
eggs-directory = ${buildout:eggs-directory}
develop-eggs-directory = ${buildout:develop-eggs-directory}
[service]
recipe = tiny_recipe:file
path = etc/service/sleeper
content =
  |#!/bin/sh
  |echo $$$$ >> ${buildout:directory}/pids
  |exec sleep 1000
[promise]
recipe = tiny_recipe:file
path = etc/promise/started-once
content =
  |#!/bin/sh
  |test -f ${buildout:directory}/pids || { echo it never ran; exit 1; }
[plugin]
recipe = tiny_recipe:file
path = etc/plugin/checks.py
mode = 644
content =
  |import sys
  |sys.path[0:0] = []
  |class Result:
  |    problem = False
  |    message = "requested " + "${slap-connection:requested-state}"
  |class RunPromise:
  |    def __init__(self, config): self.config = config
  |    def sense(self): pass
  |    def test(self): return Result()
"""


def escaped(profile: str) -> str:
    """A profile as the value of an option of another one."""
    lines = "".join(f"  |{line.replace('$', '$$')}\n" for line in profile.splitlines())
    # These two are the release's own.
    return lines.replace("$${buildout:eggs", "${buildout:eggs").replace(
        "$${buildout:develop", "${buildout:develop"
    )


@frozen
class Cloud:
    """A mini-master, an agent with three partitions, and releases in files."""

    run_real: ReactorBench
    runtime: Runtime
    root: Path
    config: Config
    release_directory: str | None = None
    """What the master serves as releases."""

    def release(self, name: str, instance: str = INSTANCE) -> str:
        """The URL of a release that makes these instances."""
        profile = self.root / f"{name}.cfg"
        profile.write_text(
            SOFTWARE.format(wheels=self.root / "wheels", instance=escaped(instance))
        )
        return str(profile)

    def partition(self, number: int = 0) -> Path:
        return Path(self.config.instance_root) / f"slappart{number}"

    def content(self, number: int = 0) -> list[str]:
        """The names in a partition."""
        return [path.name for path in self.partition(number).iterdir()]

    def pids(self, number: int = 0) -> list[int]:
        """The processes that the service of a partition has been."""
        return [
            int(each) for each in (self.partition(number) / "pids").read_text().split()
        ]

    def run(self, scenario: Callable[[Agent], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario with a master that answers, then end all programs."""
        self.run_real(self._whole(scenario), timeout_seconds=240)

    def run_under_another_master(
        self, scenario: Callable[[Agent], Coroutine[Any, Any, None]]
    ) -> None:
        """Run a scenario with whatever listens at the master's address."""
        self.run_real(self._with_agent(scenario), timeout_seconds=240)

    def master(self) -> MasterService:
        """A master where the agent looks for it; its store is a file."""
        port = int(self.config.master_urls[0].rpartition(":")[2])
        store = f"file:{self.root}/master.zodb"
        return build_master(
            master_config.Config(
                store,
                TcpAddress("127.0.0.1", port),
                release_directory=self.release_directory,
            ),
            self.runtime,
        )

    async def _whole(
        self, scenario: Callable[[Agent], Coroutine[Any, Any, None]]
    ) -> None:
        master = self.master()
        await master.startService()
        try:
            await self._with_agent(scenario)
        finally:
            await master.stopService()

    async def _with_agent(
        self, scenario: Callable[[Agent], Coroutine[Any, Any, None]]
    ) -> None:
        agent = build_agent(self.config, self.runtime)
        try:
            await scenario(agent)
        finally:
            tree = self.runtime.file_tree(self.config.instance_root)
            if tree.status("") is not None:
                await Supervisord(self.runtime, tree).shut_down()
            await agent.close()

    async def perform(self, call: calls.Call) -> object:
        client = SlapClient(self.runtime, Replicas(self.config.master_urls))
        try:
            return await client.perform(call)
        finally:
            await client.close()


@pytest.fixture
def cloud(tmp_path: Path, run_real: ReactorBench) -> Cloud:
    return build_cloud(tmp_path, run_real)


def build_cloud(tmp_path: Path, run_real: ReactorBench) -> Cloud:
    """A cloud below that directory; nothing of it runs yet."""
    write_recipe(tmp_path / "wheels")
    return Cloud(
        run_real,
        build_runtime(run_real.reactor),
        tmp_path,
        Config(
            computer_id="COMP-1",
            master_urls=(f"http://127.0.0.1:{free_port()}",),
            software_root=str(tmp_path / "s"),
            instance_root=str(tmp_path / "i"),
            format=FormatSettings(partition_amount=3),
            poll_seconds=1.0,
            recheck_seconds=0.5,
            promises=PromiseSettings(timeout_seconds=1.0),
            software=SoftwareSettings(free_bytes_min=1),
            instance=InstanceSettings(free_bytes_min=1),
        ),
    )


def supplied(url: str, wanted: SupplyState = SupplyState.AVAILABLE) -> calls.Call:
    return calls.supply(SoftwareInstallation(url, "COMP-1", wanted))


def requested(
    url: str,
    wanted: RequestedState = RequestedState.STARTED,
    title: str = "first",
    **parameters: str,
) -> calls.Call:
    return calls.request_instance(
        InstanceRequest(title, url, parameters=parameters, requested_state=wanted)
    )


async def instance_report(cloud: Cloud, title: str = "first") -> InstanceReport:
    found = await cloud.perform(calls.get_tree_report(title))
    assert isinstance(found, TreeReport)
    return found.instances[0]


async def installation_states(cloud: Cloud) -> list[str]:
    found = await cloud.perform(calls.get_computer_report("COMP-1"))
    assert isinstance(found, ComputerReport)
    return [each.reported_state for each in found.installations]


def test_an_instance_lives_from_request_to_destruction(cloud: Cloud) -> None:
    """Format, build, run, report; stop; start; destroy; remove the release."""
    url = cloud.release("software")

    async def scenario(agent: Agent) -> None:
        assert (await agent.format()).exit_status is ExitStatus.OK
        assert (
            await agent.format()
        ).reason == "3 partitions are there, 0 of them changed"
        await cloud.perform(supplied(url))
        built = await agent.software_pass()
        assert built.exit_status is ExitStatus.OK, built
        assert await installation_states(cloud) == ["available"]
        found = await cloud.perform(requested(url))
        assert isinstance(found, RequestedInstance)
        assert found.key.partition_id == "slappart0"
        await pass_until_reported(cloud, agent, "started")
        result = json.loads(
            (
                cloud.partition() / ".slapgrid/promise/result/checks.status.json"
            ).read_text()
        )
        assert result["result"]["message"] == "requested started"
        idle = await agent.instance_pass()
        assert (idle.exit_status, idle.outcomes) == (ExitStatus.OK, ())
        pid = cloud.pids()[-1]
        os.kill(pid, 0)
        await cloud.perform(requested(url, RequestedState.STOPPED))
        await pass_until_reported(cloud, agent, "stopped")
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        await cloud.perform(requested(url, RequestedState.DESTROYED))
        assert (await agent.instance_pass()).exit_status is ExitStatus.OK
        assert (await agent.report_pass()).exit_status is ExitStatus.OK
        assert cloud.content() == [".slapos-resource"]
        await cloud.perform(supplied(url, SupplyState.DESTROYED))
        assert (await agent.software_pass()).exit_status is ExitStatus.OK
        assert not list(cloud.root.glob("s/*"))

    cloud.run(scenario)


def test_the_agent_obeys_the_stock_master(cloud: Cloud) -> None:
    """The stock proxy and command line: build, run, change, destroy, remove.

    slapproxy gives no access status and takes no report of one.
    """
    url = cloud.release("software")
    stock = stock_environment() / "slapos"
    port = cloud.config.master_urls[0].rpartition(":")[2]
    cfg = cloud.root / "stock.cfg"
    cfg.write_text(
        f"[slapos]\nmaster_url = {cloud.config.master_urls[0]}/\n"
        f"computer_id = COMP-1\nsoftware_root = {cloud.root}/s\n"
        f"instance_root = {cloud.root}/i\n"
        f"[slapproxy]\nhost = 127.0.0.1\nport = {port}\n"
        f"database_uri = {cloud.root}/stock.db\n"
    )

    def order(*argv: str) -> None:
        done = run([str(stock), argv[0], "--cfg", str(cfg), *argv[1:]])
        assert done.returncode == 0, done.stdout + done.stderr

    async def scenario(agent: Agent) -> None:
        assert (await agent.format()).exit_status is ExitStatus.OK
        order("supply", url, "COMP-1")
        built = await agent.software_pass()
        assert built.exit_status is ExitStatus.OK, built
        order("request", "first", url)
        # A promise may be asked before the program has come to keep it.
        while (await agent.instance_pass()).exit_status is not ExitStatus.OK:
            await deferLater(cloud.runtime.clock, 0.2)
        pid = cloud.pids()[-1]
        os.kill(pid, 0)
        assert (await agent.instance_pass()).outcomes == ()
        order("request", "first", url, "--state", "stopped")
        assert (await agent.instance_pass()).exit_status is ExitStatus.OK
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        order("request", "first", url, "--state", "destroyed")
        assert (await agent.instance_pass()).exit_status is ExitStatus.OK
        assert (await agent.report_pass()).exit_status is ExitStatus.OK
        assert cloud.content() == [".slapos-resource"]
        order("remove", url, "COMP-1")
        assert (await agent.software_pass()).exit_status is ExitStatus.OK
        assert not list(cloud.root.glob("s/*"))

    proxy = [str(stock), "proxy", "start", "--cfg", str(cfg)]
    with running(proxy, cloud.root / "stock.log"):
        eventually_true(
            lambda: is_listening("127.0.0.1", int(port)), 30, "the stock master"
        )
        cloud.run_under_another_master(scenario)


async def pass_until_reported(
    cloud: Cloud, agent: Agent, state: str, title: str = "first"
) -> None:
    """Passes until the master knows this state of the instance."""
    deadline = cloud.runtime.clock.seconds() + SETTLE_SECONDS
    while (await instance_report(cloud, title)).reported_state != state:
        result = await agent.instance_pass()
        assert cloud.runtime.clock.seconds() < deadline, result
        await deferLater(cloud.runtime.clock, 0.2)


async def eventually(
    cloud: Cloud, probe: Callable[[], Coroutine[Any, Any, bool]], what: str
) -> None:
    """Wait for what the agent's service does."""
    deadline = cloud.runtime.clock.seconds() + SETTLE_SECONDS
    while not await probe():
        assert cloud.runtime.clock.seconds() < deadline, what
        await deferLater(cloud.runtime.clock, 0.1)


async def prepare(cloud: Cloud, agent: Agent, url: str) -> None:
    """Format, build and request, up to an instance that runs."""
    await agent.format()
    await cloud.perform(supplied(url))
    await agent.software_pass()
    await cloud.perform(requested(url))
    await pass_until_reported(cloud, agent, "started")


def test_a_release_that_does_not_build_is_reported_with_the_end_of_its_log(
    cloud: Cloud,
) -> None:
    """The reason and the exit status of buildout reach the master; a retry waits."""
    url = cloud.release("broken")
    profile = Path(url)
    profile.write_text(profile.read_text() + "failure = the compiler is on strike\n")

    async def scenario(agent: Agent) -> None:
        await agent.format()
        await cloud.perform(supplied(url))
        first = await agent.software_pass()
        assert first.exit_status is ExitStatus.FAILED
        found = await cloud.perform(calls.get_computer_report("COMP-1"))
        assert isinstance(found, ComputerReport)
        (installation,) = found.installations
        assert installation.reported_state == "error"
        assert "the compiler is on strike" in installation.message
        assert "buildout ended with status" in installation.message
        again = await agent.software_pass()
        assert (again.exit_status, again.outcomes) == (ExitStatus.FAILED, ())

    cloud.run(scenario)


RAISING = INSTANCE.replace(
    "    def sense(self): pass", "    def sense(self): raise OSError('no disc')"
)
HANGING = INSTANCE.replace("  |test -f", "  |sleep 100; test -f")
BREAKING = INSTANCE.replace(
    "path = etc/promise/started-once",
    "path = etc/promise/started-once\n  failure = the recipe gave up".replace("  ", ""),
)


@pytest.mark.parametrize(
    ("instance", "sentence", "status"),
    [
        (RAISING, "OSError: no disc", ExitStatus.PROMISE_FAILED),
        (HANGING, "timed out after 1 seconds", ExitStatus.PROMISE_FAILED),
        (BREAKING, "the recipe gave up", ExitStatus.FAILED),
    ],
)
def test_what_goes_wrong_in_an_instance_is_reported(
    cloud: Cloud, instance: str, sentence: str, status: ExitStatus
) -> None:
    """A promise that raises or hangs, a recipe that raises: the text is reported."""
    url = cloud.release("software", instance)

    async def scenario(agent: Agent) -> None:
        await agent.format()
        await cloud.perform(supplied(url))
        await agent.software_pass()
        await cloud.perform(requested(url))
        await pass_until_reported(cloud, agent, "error")
        assert sentence in (await instance_report(cloud)).message
        assert (await agent.instance_pass()).exit_status is status

    cloud.run(scenario)


def test_the_service_converges_and_revives_what_is_killed(cloud: Cloud) -> None:
    """A killed program is back in seconds; stopping the agent stops no program."""
    url = cloud.release("software")

    async def scenario(agent: Agent) -> None:
        await agent.format()
        await cloud.perform(supplied(url))
        await cloud.perform(requested(url))
        service = AgentService(agent, lambda: Ownership(cloud.config, cloud.runtime))
        service.startService()
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
            Ownership(cloud.config, cloud.runtime)

        async def is_started() -> bool:
            return (await instance_report(cloud)).reported_state == "started"

        await eventually(cloud, is_started, "the instance was never started")
        first = cloud.pids()[-1]
        os.kill(first, 9)

        async def is_revived() -> bool:
            return cloud.pids()[-1] != first

        await eventually(cloud, is_revived, "the program was never revived")
        await service.stopService()
        os.kill(cloud.pids()[-1], 0)
        Ownership(cloud.config, cloud.runtime).release()

    cloud.run(scenario)


def test_without_a_master_what_was_started_runs_and_what_was_stopped_stays(
    cloud: Cloud,
) -> None:
    """Supervision and master are lost: one program comes back, one does not."""
    url = cloud.release("software")

    async def scenario(agent: Agent) -> None:
        await prepare(cloud, agent, url)
        await cloud.perform(requested(url, title="second"))
        await agent.instance_pass()
        await cloud.perform(requested(url, RequestedState.STOPPED, title="second"))
        await agent.instance_pass()
        await Supervisord(
            cloud.runtime, cloud.runtime.file_tree(cloud.config.instance_root)
        ).shut_down()
        before = cloud.pids(0), cloud.pids(1)
        away = evolve(cloud.config, master_urls=("http://127.0.0.1:9",))
        lonely = build_agent(away, cloud.runtime)
        result = await lonely.instance_pass()
        await lonely.close()
        assert result.exit_status is ExitStatus.MASTER_AWAY

        async def is_back() -> bool:
            return len(cloud.pids(0)) == len(before[0]) + 1

        await eventually(cloud, is_back, "the program was not started")
        assert cloud.pids(1) == before[1]

    cloud.run(scenario)


PASS = """\
import sys
from runtime.reactor import install_reactor
reactor = install_reactor()
import pickle
from twisted.internet.defer import Deferred
from runtime.real import build_runtime
from slapgrid.service import build_agent
config = pickle.loads(bytes.fromhex(sys.argv[1]))
agent = build_agent(config, build_runtime(reactor))
passing = Deferred.fromCoroutine(getattr(agent, sys.argv[2])())
passing.addBoth(lambda result: (print(result), reactor.stop()))
reactor.run()
"""


def begin_pass(cloud: Cloud, verb: str) -> subprocess.Popen[bytes]:
    """A process that performs one pass."""
    with (cloud.root / "passes.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", PASS, pickle.dumps(cloud.config).hex(), verb],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
