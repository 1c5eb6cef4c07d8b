"""Shell. Simulated computers, each with the agent that production runs."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import Any

from attrs import evolve

from labsim.documents import OfAgent, Ran, Took
from labsim.history import Placed
from labsim.models.buildout import BuildoutModel, simulated_platform
from labsim.models.supervisord import SupervisordModel
from labsim.overhearing import OverheardNetwork
from labsim.world.host import Host, Process
from runtime.ports import Runtime
from slapgrid.config import Config
from slapgrid.format.settings import FormatSettings
from slapgrid.instance.settings import InstanceSettings
from slapgrid.passes import Agent, ExitStatus
from slapgrid.service import build_model_service
from slapgrid.software.settings import SoftwareSettings

SOFTWARE_ROOT = "/srv/software"


def _tell_nobody(_: OfAgent) -> None:
    """Nobody wants to know."""


class Computer:
    """One simulated computer; ``settings`` override those of its agent.

    What it took and what it runs is told from outside of the agent.
    """

    def __init__(
        self,
        host: Host,
        master_urls: tuple[str, ...],
        model: BuildoutModel,
        partition_count: int,
        settings: dict[str, Any] | None = None,
        *,
        tell: Callable[[OfAgent], None] = _tell_nobody,
    ) -> None:
        self.host = host
        self._tell = tell
        self._etag = ""
        self.config = evolve(
            Config(
                computer_id=host.name,
                master_urls=master_urls,
                software_root=SOFTWARE_ROOT,
                instance_root="/srv/instances",
                format=FormatSettings(partition_amount=partition_count),
                software=SoftwareSettings(free_bytes_min=1),
                instance=InstanceSettings(free_bytes_min=1),
            ),
            **(settings or {}),
        )
        evolve(model, sign=self._sign, notice=self._notice).add_to(host)
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
                evolve(runtime, network=OverheardNetwork(runtime.network, self._hear)),
                simulated_platform(),
                self._build_supervision(runtime),
            )
        )

    async def stop(self) -> None:
        """Stop the agent, then the programs that it leaves running."""
        await self.host.stop_services()
        if self._supervision is not None:
            await self._supervision.shut_down()

    def _now(self) -> float:
        return self.host.runtime.clock.seconds()

    def _hear(self, etag: str) -> None:
        self._etag = etag
        self._tell(Took(self._now(), self.host.name, etag))

    def _sign(self, _: Process, directory: str, /, *, is_free: bool) -> str:
        if is_free:
            partition_id = posixpath.basename(directory)
            self._tell(Placed(self._now(), self.host.name, partition_id, ""))
        return self._etag

    def _notice(self, _: Process, directory: str, etag: str) -> None:
        partition_id = posixpath.basename(directory)
        self._tell(Ran(self._now(), self.host.name, partition_id, etag))

    def _build_supervision(self, runtime: Runtime) -> SupervisordModel:
        tree = runtime.file_tree(self.config.instance_root)
        self._supervision = SupervisordModel(runtime, tree)
        return self._supervision
