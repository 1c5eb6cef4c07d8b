"""What an agent does at its start, at the computer's, and every day."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest
from attrs import define, evolve
from twisted.application.service import Service
from twisted.internet.task import deferLater

from labsim.models.buildout import simulated_platform
from labsim.world.world import World
from runtime.ports import FileStatus, IFileTree
from slap import calls
from slap.reports import ComputerReport
from slapgrid.config import Config
from slapgrid.life import (
    FORMAT_JITTER,
    FORMAT_PERIOD_SECONDS,
    TELL_SECONDS_MAX,
    AgentLife,
    NotFormatted,
    boot,
)
from slapgrid.passes import Agent, ExitStatus
from tests.unit.slapgrid.test_agent_in_world import SmallCloud

ELSEWHERE = IPv6Network("fd99::/64")


class _Held:
    def release(self) -> None:
        """Nobody else wants it."""


@define
class ChangingCloud(SmallCloud):
    """The same, with settings that a test changes between two starts of the agent."""

    changed: Config | None = None

    @property
    def config(self) -> Config:
        return self.changed or super().config

    def move(self, network: IPv6Network | None) -> None:
        """Give the partitions addresses of a network."""
        settings = evolve(self.config.format, ipv6_network=network)
        self.changed = evolve(self.config, format=settings)

    @property
    def root(self) -> IFileTree:
        return self.computer.runtime.file_tree("/")

    def build_life(self) -> AgentLife:
        """The life of an agent whose loops do nothing."""
        runtime = self.computer.runtime
        agent = Agent(
            self.config, runtime, simulated_platform(), self.build_supervision(runtime)
        )
        return AgentLife(agent, _Held, lambda _: Service())

    def write_boot_id(self, text: str) -> None:
        self.root.make_directory("proc/sys/kernel/random")
        self.root.write("proc/sys/kernel/random/boot_id", text.encode())

    def restart_agent(self) -> None:
        self.computer.kill()
        self.computer.boot()

    def stamp(self) -> FileStatus | None:
        return self.root.status("srv/instances/slappart0/.timestamp")

    def partitions_known(self) -> int:
        report = self.perform(calls.get_computer_report("COMP-1"))
        assert isinstance(report, ComputerReport)
        return len(report.partitions)

    def run_first(self) -> FileStatus | None:
        """The agent with one instance; when that was processed."""
        self.start_agent()
        self.supply()
        self.request("first")
        self.wait_for("first", "started", 200)
        self.world.run_for(20)
        return self.stamp()


@pytest.fixture
def cloud() -> ChangingCloud:
    return ChangingCloud(World(seed=20261121))


def test_after_a_start_of_the_computer_everything_is_processed_again(
    cloud: ChangingCloud,
) -> None:
    """Once: a further start of the agent alone changes nothing."""
    cloud.write_boot_id("one")
    before = cloud.run_first()

    cloud.write_boot_id("two")
    cloud.computer.crash()
    cloud.computer.boot()
    cloud.world.run_for(60)
    after = cloud.stamp()
    cloud.restart_agent()
    cloud.world.run_for(60)

    assert before is not None
    assert after is not None
    assert after.modified > before.modified
    assert cloud.stamp() == after
    cloud.finish()


def test_where_another_agent_worked_before_nothing_is_processed_again(
    cloud: ChangingCloud,
) -> None:
    """Ours then does not know when the computer started, and need not."""
    before = cloud.run_first()
    cloud.write_boot_id("one")

    cloud.restart_agent()
    cloud.world.run_for(60)

    assert cloud.stamp() == before
    cloud.finish()


def test_a_master_that_comes_later_is_told_of_the_partitions(
    cloud: ChangingCloud,
) -> None:
    """Without anybody starting the agent again."""
    cloud.start_agent()
    cloud.master.crash()
    cloud.computer.crash()
    cloud.computer.boot()
    cloud.world.run_for(300)

    cloud.master.boot()
    cloud.world.run_for(TELL_SECONDS_MAX + 5)

    assert cloud.partitions_known() == 4
    cloud.finish()


def test_a_master_that_lost_everything_is_told_within_a_day(
    cloud: ChangingCloud,
) -> None:
    """The partitions are posted daily, as by stock nodes."""
    cloud.world.run_for(1)
    cloud.computer.boot(lambda _: cloud.build_life())
    cloud.world.run_for(10)
    cloud.master.crash()
    cloud.world.run_for(5)
    cloud.master.boot()

    cloud.world.run_for(FORMAT_PERIOD_SECONDS * (1 + FORMAT_JITTER) + 60)

    assert cloud.partitions_known() == 4


def test_a_computer_without_its_network_keeps_what_it_has(
    cloud: ChangingCloud,
) -> None:
    """And is formatted when the address is there."""
    cloud.run_first()
    cloud.computer.crash()
    cloud.move(ELSEWHERE)
    cloud.computer.boot()

    cloud.world.run_for(60)

    assert len(cloud.computer.running_programs) == 1
    cloud.finish()


def test_a_computer_that_was_never_formatted_and_cannot_be_is_refused(
    cloud: ChangingCloud,
) -> None:
    """Most likely its settings are wrong: the sentence says what is missing."""
    cloud.move(ELSEWHERE)

    with pytest.raises(NotFormatted, match="fd99::2 is not an address of this"):
        cloud.world.result(cloud.build_life().startService())


def test_boot_tries_until_the_master_was_told(cloud: ChangingCloud) -> None:
    """And says each time why not."""
    cloud.run_first()
    cloud.world.result(cloud.computer.stop_services())
    cloud.master.crash()
    said: list[str] = []

    async def booting() -> ExitStatus:
        runtime = cloud.computer.runtime
        supervision = cloud.build_supervision(runtime)
        agent = Agent(cloud.config, runtime, simulated_platform(), supervision)
        try:
            return (await boot(agent, said.append)).exit_status
        finally:
            await agent.close()

    elsewhere = cloud.world.host("person").runtime.clock
    deferLater(elsewhere, 30, cloud.master.boot)
    ended = cloud.world.result(booting())

    assert (ended, cloud.stamp()) == (ExitStatus.OK, None)
    assert all("the master was not told" in sentence for sentence in said)
    assert said
