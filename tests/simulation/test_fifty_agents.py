"""A master and fifty agents: production code in one process, without sleeping."""

from __future__ import annotations

import subprocess  # noqa: TID251 - a hash seed is set when an interpreter starts
import sys

from labsim.models.buildout import BuildoutModel, simulated_platform
from labsim.models.supervisord import SupervisordModel
from labsim.world.host import Host
from labsim.world.world import World
from master_cluster import config as master_config
from master_cluster.service import build_service as build_master
from runtime.ports import Runtime, TcpAddress
from slap import calls
from slap.model import InstanceRequest, PartitionKey, SoftwareInstallation
from slap.replicas import Replicas
from slap.reports import TreeReport
from slapgrid.config import Config
from slapgrid.format.settings import FormatSettings
from slapgrid.instance.settings import InstanceSettings
from slapgrid.passes import Agent, ExitStatus
from slapgrid.service import build_model_service
from slapgrid.slap_client import SlapClient
from slapgrid.software.settings import SoftwareSettings

URL = "http://releases.example/software.cfg"
PORT = 5000
AGENT_COUNT = 50
SECONDS_MAX = 400.0
"""A build of a minute, a poll of a minute, both twice, and the cut."""


class Computer:
    """One simulated computer with the agent that production runs."""

    def __init__(self, host: Host, master_url: str) -> None:
        self.host = host
        self.config = Config(
            computer_id=host.name,
            master_urls=(master_url,),
            software_root="/srv/software",
            instance_root="/srv/instances",
            format=FormatSettings(partition_amount=2),
            software=SoftwareSettings(free_bytes_min=1),
            instance=InstanceSettings(free_bytes_min=1),
        )
        BuildoutModel().add_to(host)
        self._supervision: SupervisordModel | None = None

    async def format(self) -> ExitStatus:
        agent = Agent(
            self.config,
            self.host.runtime,
            simulated_platform(),
            self._build_supervision(self.host.runtime),
        )
        formatted = await agent.format()
        await agent.close()
        return formatted.exit_status

    def boot(self) -> None:
        self.host.boot(
            lambda runtime: build_model_service(
                self.config,
                runtime,
                simulated_platform(),
                self._build_supervision(runtime),
            )
        )

    async def stop(self) -> None:
        """Stop the agent, then the programs that it leaves running."""
        await self.host.stop_services()
        if self._supervision is not None:
            await self._supervision.shut_down()

    def _build_supervision(self, runtime: Runtime) -> SupervisordModel:
        tree = runtime.file_tree(self.config.instance_root)
        self._supervision = SupervisordModel(runtime, tree)
        return self._supervision


def run_cloud(seed: int, agent_count: int) -> tuple[str, dict[str, PartitionKey]]:
    """One instance requested for each computer while the master is cut off from half.

    The digest of the trace, and where each instance is: all are started by then.
    """
    world = World(seed)
    master = world.host("master")
    url = f"http://[{master.address}]:{PORT}"
    listen = TcpAddress(master.address, PORT)
    master.boot(
        lambda runtime: build_master(
            master_config.Config("memory:", listen, is_loopback_only=False), runtime
        )
    )
    world.run_for(1)
    person = SlapClient(world.host("person").runtime, Replicas((url,)))
    computers = [
        Computer(world.host(f"COMP-{number}"), url) for number in range(agent_count)
    ]
    for computer in computers:
        assert world.result(computer.format()) is ExitStatus.OK
        computer.boot()
    severed = computers[::2]
    for computer in severed:
        world.sever("master", computer.host.name)
    for computer in computers:
        name = computer.host.name
        world.result(person.perform(calls.supply(SoftwareInstallation(URL, name))))
        wanted = InstanceRequest(
            f"instance-{name}", URL, allocation_filter={"computer_guid": name}
        )
        world.result(person.perform(calls.request_instance(wanted)))
    world.run_for(60)
    for computer in severed:
        world.heal("master", computer.host.name)

    world.run_until(
        lambda: all(computer.host.running_programs for computer in computers),
        SECONDS_MAX,
    )

    world.run_for(120)
    places = {}
    for computer in computers:
        title = f"instance-{computer.host.name}"
        report = world.result(person.perform(calls.get_tree_report(title)))
        assert isinstance(report, TreeReport)
        (instance,) = report.instances
        assert instance.reported_state == "started", instance
        assert instance.partition is not None
        places[title] = instance.partition
    for computer in computers:
        world.result(computer.stop())
    world.result(person.close())
    world.finish()
    return world.digest(), places


def test_fifty_agents_converge_after_a_cut() -> None:
    """Every instance is started on the computer that it was requested for."""
    _, places = run_cloud(seed=2, agent_count=AGENT_COUNT)

    assert places == {
        f"instance-COMP-{number}": PartitionKey(f"COMP-{number}", "slappart0")
        for number in range(AGENT_COUNT)
    }


def test_one_seed_gives_one_trace_under_different_hash_seeds() -> None:
    """Fresh interpreters, three hash seeds, the whole cloud: one digest."""
    code = (
        "from tests.simulation.test_fifty_agents import run_cloud;"
        "print(run_cloud(seed=3, agent_count=50)[0])"
    )

    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "2")
    }

    (digest,) = digests
    assert len(digest.strip()) == 64


def test_another_seed_gives_another_trace() -> None:
    assert run_cloud(seed=4, agent_count=3)[0] != run_cloud(seed=5, agent_count=3)[0]
