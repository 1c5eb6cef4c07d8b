"""Clouds of simulated computers, each with the agent that production runs."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field

from labsim.models.buildout import BuildoutModel, simulated_platform
from labsim.models.supervisord import SupervisordModel
from labsim.world.host import Host
from labsim.world.world import World
from master_cluster import config as master_config
from master_cluster.service import build_service as build_master
from runtime.ports import Runtime, TcpAddress
from slap import calls
from slap.replicas import Replicas
from slapgrid.config import Config
from slapgrid.format.settings import FormatSettings
from slapgrid.instance.settings import InstanceSettings
from slapgrid.passes import Agent, ExitStatus
from slapgrid.service import build_model_service
from slapgrid.slap_client import SlapClient
from slapgrid.software.settings import SoftwareSettings

PORT = 5000


class Computer:
    """One simulated computer; ``settings`` override those of its agent."""

    def __init__(
        self,
        host: Host,
        master_url: str,
        model: BuildoutModel,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.host = host
        self.config = evolve(
            Config(
                computer_id=host.name,
                master_urls=(master_url,),
                software_root="/srv/software",
                instance_root="/srv/instances",
                format=FormatSettings(partition_amount=2),
                software=SoftwareSettings(free_bytes_min=1),
                instance=InstanceSettings(free_bytes_min=1),
            ),
            **(settings or {}),
        )
        model.add_to(host)
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


@define
class Cloud:
    """A master, a person, and computers named COMP-0, COMP-1 ..."""

    world: World
    computers: list[Computer] = field(factory=list)
    _person: SlapClient | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"http://[{self.world.host('master').address}]:{PORT}"

    def boot_master(self) -> None:
        master = self.world.host("master")
        listen = TcpAddress(master.address, PORT)
        master.boot(
            lambda runtime: build_master(
                master_config.Config("memory:", listen, is_loopback_only=False), runtime
            )
        )
        self.world.run_for(1)

    def add_computers(
        self,
        count: int,
        model: BuildoutModel,
        settings: dict[str, Any] | None = None,
    ) -> None:
        """Format and boot so many more."""
        for _ in range(count):
            host = self.world.host(f"COMP-{len(self.computers)}")
            computer = Computer(host, self.url, model, settings)
            assert self.world.result(computer.format()) is ExitStatus.OK
            computer.boot()
            self.computers.append(computer)

    def perform(self, call: calls.Call) -> Any:
        """Call the master as a person on another host."""
        if self._person is None:
            runtime = self.world.host("person").runtime
            self._person = SlapClient(runtime, Replicas((self.url,)))
        return self.world.result(self._person.perform(call))

    def finish(self) -> None:
        """Stop everything; what is left behind is a failure."""
        for computer in self.computers:
            self.world.result(computer.stop())
        if self._person is not None:
            self.world.result(self._person.close())
        self.world.finish()
