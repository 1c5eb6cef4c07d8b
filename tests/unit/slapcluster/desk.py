"""A desk: the command line beside a real mini-master, in a simulated world."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred

from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.service import build_service
from runtime.ports import Runtime
from slap import calls
from slap.calls import Call
from slap.model import (
    ComputerDefinition,
    NetworkAddress,
    PartitionDefinition,
    PartitionKey,
)
from slap.replicas import Replicas
from slapcluster.cli import DEFAULT_MASTER_URL, cli
from slapcluster.console.connecting import Addressee, Perform
from slapcluster.session import Session
from slapgrid.slap_client import SlapClient
from tests.sessions import once

T = TypeVar("T")

RELEASE_URL = "http://releases.example/hello/software.cfg"

CONFIG = Config("memory:")

START_SECONDS = 5.0

COMMAND_SECONDS_MAX = 10_000.0


class Desk:
    """Types commands; ``perform`` speaks to the master as an agent would."""

    def __init__(self, *, has_master: bool = True, config: Config = CONFIG) -> None:
        self._world = World(1)
        self._host = self._world.host("desk")
        if has_master:
            self._host.boot(lambda it: build_service(config, it))
            self._world.run_for(START_SECONDS)

    def type(self, *arguments: str, stdin: str = "") -> Result:
        """Run a command to its end."""
        session = Session(launch=once(self._launch), connect=self._connect)
        return CliRunner().invoke(cli, arguments, obj=session, input=stdin)

    def read(self, *arguments: str) -> Any:
        """Run a command that must succeed, and give what it writes as JSON."""
        result = self.type("--output", "json", *arguments)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def perform(self, *wanted: Call) -> None:
        for call in wanted:
            self._world.result(self._perform(call))

    def later(self, delay_seconds: float, *wanted: Call) -> None:
        """Perform calls while a command waits."""

        def begin() -> None:
            for call in wanted:
                Deferred.fromCoroutine(self._perform(call))

        self._host.runtime.clock.callLater(delay_seconds, begin)

    def format(self, computer_id: str = "local", partition_count: int = 3) -> None:
        self.perform(
            calls.define_computer(
                ComputerDefinition(
                    computer_id,
                    partitions=tuple(
                        PartitionDefinition(
                            f"slappart{number}",
                            (NetworkAddress(f"slappart{number}", f"fd00::{number}"),),
                        )
                        for number in range(partition_count)
                    ),
                )
            )
        )

    def seconds(self) -> float:
        return self._host.runtime.clock.seconds()

    def finish(self) -> None:
        self._world.finish()

    def _launch(self, main: Callable[[Runtime], Coroutine[Any, Any, T]], /) -> T:
        return self._world.result(main(self._host.runtime), COMMAND_SECONDS_MAX)

    def _connect(self, addressee: Addressee) -> Perform:
        return lambda call: self._world.result(
            self._perform(call, addressee.master_urls), COMMAND_SECONDS_MAX
        )

    async def _perform(
        self, call: Call, master_urls: tuple[str, ...] = (DEFAULT_MASTER_URL,)
    ) -> object:
        client = SlapClient(self._host.runtime, Replicas(master_urls))
        try:
            return await client.perform(call)
        finally:
            await client.close()


def a_key(number: int = 0, computer_id: str = "local") -> PartitionKey:
    return PartitionKey(computer_id, f"slappart{number}")


@contextmanager
def a_desk(*, has_master: bool = True, config: Config = CONFIG) -> Iterator[Desk]:
    """A desk whose world leaves nothing behind."""
    desk = Desk(has_master=has_master, config=config)
    yield desk
    desk.finish()
