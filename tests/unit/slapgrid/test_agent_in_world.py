"""The agent, unchanged, in a simulated world with a master that is real code too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from attrs import define, evolve, field, frozen
from twisted.application.service import IService
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

from labsim.models.buildout import BuildoutModel, simulated_platform
from labsim.models.supervisord import SupervisordModel
from labsim.world.host import Host
from labsim.world.world import World, WorldStuck
from master_cluster import config as master_config
from master_cluster.service import build_service as build_master
from runtime.ports import Address, INetwork, Runtime, TcpAddress
from slap import calls
from slap.model import (
    InstanceRequest,
    RequestedState,
    SoftwareInstallation,
)
from slap.replicas import ListedReplica, Replicas
from slap.reports import ComputerReport, TreeReport
from slapgrid.config import Config
from slapgrid.format.formatting import Formatting
from slapgrid.format.settings import FormatSettings
from slapgrid.instance.settings import InstanceSettings
from slapgrid.passes import Agent, ExitStatus
from slapgrid.promises.banging import read_bang_mark, read_timestamp
from slapgrid.service import build_model_service
from slapgrid.slap_client import SlapClient
from slapgrid.software.settings import SoftwareSettings

URL = "http://releases.example/software.cfg"
PORT = 5000
BANG = b"POST /softwareInstanceBang HTTP/1.1"


@frozen
class TappedNetwork:
    """A network whose servers note the first line of each piece they receive.

    They get what ``alter`` makes of it.
    """

    network: INetwork
    received: list[bytes]
    alter: Callable[[bytes], bytes]

    def client_endpoint(self, address: Address) -> IStreamClientEndpoint:
        return self.network.client_endpoint(address)

    def server_endpoint(self, address: Address) -> TappedEndpoint:
        endpoint = self.network.server_endpoint(address)
        return TappedEndpoint(endpoint, self.received, self.alter)


@frozen
class TappedEndpoint:
    """Where a server listens, heard by somebody else too."""

    endpoint: IStreamServerEndpoint
    received: list[bytes]
    alter: Callable[[bytes], bytes]

    def listen(self, factory: Any) -> Any:
        build = factory.buildProtocol

        def build_tapped(address: object) -> Any:
            protocol = build(address)
            take = protocol.dataReceived

            def tap(content: bytes) -> None:
                self.received.append(content.partition(b"\r\n")[0])
                take(self.alter(content))

            protocol.dataReceived = tap
            return protocol

        factory.buildProtocol = build_tapped
        return self.endpoint.listen(factory)


@define
class SmallCloud:
    """A world with one master and one computer."""

    world: World
    model: BuildoutModel = field(factory=BuildoutModel)
    supervision: SupervisordModel | None = None
    partition_count: int = 4
    received: list[bytes] = field(factory=list)
    alter: Callable[[bytes], bytes] = bytes
    certificate_directory: str = ""

    def __attrs_post_init__(self) -> None:
        self.model.add_to(self.computer)
        self.master.boot(
            lambda runtime: build_master(
                master_config.Config(
                    "memory:",
                    TcpAddress(self.master.address, PORT),
                    is_loopback_only=False,
                ),
                evolve(
                    runtime,
                    network=TappedNetwork(runtime.network, self.received, self.alter),
                ),
            )
        )

    @property
    def master(self) -> Host:
        return self.world.host("master")

    @property
    def computer(self) -> Host:
        return self.world.host("computer")

    @property
    def config(self) -> Config:
        return Config(
            computer_id="COMP-1",
            master_urls=(f"http://[{self.master.address}]:{PORT}",),
            software_root="/srv/software",
            instance_root="/srv/instances",
            format=FormatSettings(partition_amount=self.partition_count),
            software=SoftwareSettings(free_bytes_min=1),
            instance=InstanceSettings(
                free_bytes_min=1, certificate_directory=self.certificate_directory
            ),
        )

    def build_supervision(self, runtime: Runtime) -> SupervisordModel:
        tree = runtime.file_tree(self.config.instance_root)
        self.supervision = SupervisordModel(runtime, tree)
        return self.supervision

    def finish(self) -> None:
        """Stop the agent, then the programs that it leaves running, then the rest."""
        self.world.result(self.computer.stop_services())
        assert self.supervision is not None
        self.world.result(self.supervision.shut_down())
        self.world.finish()

    def start_agent(self) -> None:
        """Format, then run the agent's service, after each boot too."""
        self.world.run_for(1)  # the master opens its store
        runtime = self.computer.runtime
        agent = Agent(
            self.config,
            runtime,
            simulated_platform(),
            self.build_supervision(runtime),
        )
        formatted = self.world.result(agent.format())
        assert formatted.exit_status is ExitStatus.OK, formatted
        self.world.result(agent.close())
        self.computer.boot(self._build_agent)

    def _build_agent(self, runtime: Runtime) -> IService:
        return build_model_service(
            self.config,
            runtime,
            simulated_platform(),
            self.build_supervision(runtime),
        )

    def start_first(self) -> None:
        """The agent runs, and an instance named ``first`` is started."""
        self.start_agent()
        self.supply()
        self.request("first")
        self.wait_for("first", "started", 200)

    def perform(self, call: calls.Call) -> Any:
        """Call the master as a person on another host."""

        async def performing() -> object:
            runtime = self.world.host("person").runtime
            client = SlapClient(runtime, Replicas(self.config.master_urls))
            try:
                return await client.perform(call)
            finally:
                await client.close()

        return self.world.result(performing())

    def supply(self) -> None:
        self.perform(calls.supply(SoftwareInstallation(URL, "COMP-1")))

    def request(
        self,
        title: str,
        wanted: RequestedState | None = None,
        parameters: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.perform(
            calls.request_instance(
                InstanceRequest(
                    title, URL, parameters=parameters, requested_state=wanted
                )
            )
        )

    def timestamp(self) -> str:
        """The deployment of the first partition."""
        files = self.computer.runtime.file_tree(self.config.instance_root)
        return read_timestamp(files.subtree("slappart0")) or ""

    def bang_mark(self) -> str | None:
        """The deployment that the first partition banged for last."""
        files = self.computer.runtime.file_tree(self.config.instance_root)
        mark = read_bang_mark(files.subtree("slappart0"))
        return None if mark is None else mark.timestamp

    def bang_count(self) -> int:
        """How many bangs the master was sent."""
        return self.received.count(BANG)

    def reported(self, title: str) -> tuple[str, str]:
        report = self.perform(calls.get_tree_report(title))
        assert isinstance(report, TreeReport)
        return report.instances[0].reported_state, report.instances[0].message

    def wait_for(self, title: str, state: str, seconds: float) -> None:
        limit = self.world.clock.seconds() + seconds
        while self.reported(title)[0] != state:
            assert self.world.clock.seconds() < limit, self.reported(title)
            self.world.run_for(1)


@pytest.fixture
def world() -> World:
    return World(seed=20261121)


def test_a_requested_instance_is_started_and_reported(world: World) -> None:
    """From nothing, within the time of a build and two polls."""
    cloud = SmallCloud(world)
    cloud.start_agent()
    cloud.supply()
    cloud.request("first")

    cloud.wait_for("first", "started", 200)

    programs = [each.argv[0] for each in cloud.computer.running_programs]
    assert programs == ["/srv/instances/slappart0/etc/service/server"]
    cloud.finish()


def test_a_change_reaches_an_idle_agent_at_once(world: World) -> None:
    """Long before its next poll would be due, had it not one that waits."""
    cloud = SmallCloud(world)
    cloud.start_first()
    world.run_for(100)

    cloud.request("second")

    world.run_until(lambda: len(cloud.computer.running_programs) == 2, 5)
    cloud.finish()


def test_one_change_does_not_wait_for_hundreds_of_installations(world: World) -> None:
    """While a bang has all others installed again: it is acted upon within a second."""
    count = 60
    cloud = SmallCloud(world, BuildoutModel(install_seconds=0.5), partition_count=count)
    cloud.start_agent()
    cloud.supply()
    for number in range(count):
        cloud.request(f"instance {number}")
    world.run_until(lambda: len(cloud.computer.running_programs) == count, 300)
    world.run_for(30)
    cloud.perform(calls.bang_computer("COMP-1", "all again"))
    world.run_for(3)

    cloud.request(f"instance {count - 1}", RequestedState.STOPPED)

    world.run_until(lambda: len(cloud.computer.running_programs) < count, 1.0)
    cloud.finish()


def test_an_instance_that_changes_all_the_time_keeps_no_other_from_being_changed(
    world: World,
) -> None:
    """Each of its changes is the latest, and ends what is done meanwhile."""
    cloud = SmallCloud(world, BuildoutModel(install_seconds=2.0))
    cloud.start_first()
    for title in ("second", "third"):
        cloud.request(title)
        cloud.wait_for(title, "started", 60)
    files = cloud.computer.runtime.file_tree(cloud.config.instance_root)
    others = [files.subtree(it) for it in ("slappart1", "slappart2")]
    before = [read_timestamp(it) for it in others]

    for title in ("second", "third"):
        cloud.request(title, parameters={"colour": "red"})
    for number in range(60):
        cloud.request("first", parameters={"number": str(number)})
        world.run_for(0.5)

    assert all(
        read_timestamp(it) not in {None, was}
        for it, was in zip(others, before, strict=True)
    )
    cloud.finish()


def test_an_agent_follows_its_master_through_a_restart(world: World) -> None:
    """What it polled from the old process says nothing to the new one."""
    cloud = SmallCloud(world)
    cloud.start_first()

    cloud.master.crash()
    world.run_for(10)
    cloud.master.boot()
    world.run_for(120)
    formatting = Formatting(cloud.config, cloud.computer.runtime, simulated_platform())
    computer = world.result(formatting.plan()).computer
    cloud.perform(calls.define_computer(computer.define()))
    cloud.supply()
    cloud.request("second")

    cloud.wait_for("second", "started", 60)
    cloud.finish()


def test_a_long_build_delays_no_instance(world: World) -> None:
    """While one release builds for two hours, an instance of another starts."""
    cloud = SmallCloud(world)
    cloud.start_first()
    BuildoutModel(build_seconds=7200).add_to(cloud.computer)
    other = SoftwareInstallation("http://releases.example/big.cfg", "COMP-1")
    cloud.perform(calls.supply(other))
    world.run_for(120)

    cloud.request("second")
    cloud.wait_for("second", "started", 120)

    report = cloud.perform(calls.get_computer_report("COMP-1"))
    assert isinstance(report, ComputerReport)
    states = {
        each.software_release_url: each.reported_state for each in report.installations
    }
    assert states[other.software_release_url] == "building"
    cloud.finish()


def test_power_loss_at_any_second_ends_in_the_same_place(world: World) -> None:
    """Forty losses, each some seconds after the boot, then everything runs."""
    cloud = SmallCloud(world)
    cloud.start_agent()
    cloud.supply()
    cloud.request("first")
    cloud.request("second")
    entropy = world.entropy("losses")
    for _ in range(40):
        world.run_for(entropy.uniform(0.1, 40))
        cloud.computer.crash()
        world.run_for(1)
        cloud.computer.boot()

    for title in ("first", "second"):
        cloud.wait_for(title, "started", 300)

    world.run_for(10)
    assert sorted(each.argv[0] for each in cloud.computer.running_programs) == [
        "/srv/instances/slappart0/etc/service/server",
        "/srv/instances/slappart1/etc/service/server",
    ]
    cloud.finish()


def test_without_a_master_programs_come_back_after_a_power_loss(world: World) -> None:
    """The agent starts what was started before."""
    cloud = SmallCloud(world)
    cloud.start_first()
    cloud.master.crash()
    cloud.computer.crash()
    world.run_for(5)

    cloud.computer.boot()

    world.run_until(lambda: len(cloud.computer.running_programs) == 1, 120)


def test_without_a_master_an_agent_waits_and_does_not_spin(world: World) -> None:
    """It has never polled: what happens on its computer in an hour can be counted."""
    cloud = SmallCloud(world)
    cloud.start_agent()
    cloud.master.crash()
    cloud.computer.crash()
    world.run_for(5)
    cloud.computer.boot()
    count = 0

    def is_counted() -> bool:
        nonlocal count
        count += 1
        return False

    with pytest.raises(WorldStuck):
        world.run_until(is_counted, 3600)

    # A poll in vain each ten seconds, a look at programs each three.
    assert count < 30_000


def test_a_promise_that_breaks_and_holds_again_is_reported_both_times(
    world: World,
) -> None:
    """The master hears of it at the third failure in a row, then that all is well."""
    broken: set[str] = set()
    cloud = SmallCloud(world, BuildoutModel(breaks=lambda _: bool(broken)))
    cloud.start_first()

    broken.add("alive")
    world.run_for(200)
    assert cloud.reported("first")[0] == "started"
    cloud.wait_for("first", "error", 200)
    assert cloud.reported("first")[1] == (
        "Promise 'alive' failed with output: it is not alive"
    )
    assert cloud.bang_mark() is None
    broken.clear()
    cloud.wait_for("first", "started", 200)
    cloud.finish()


def test_an_anomaly_bangs_once_for_each_deployment(world: World) -> None:
    """The master makes a deployment of it; while that does not hold, nothing bangs."""
    broken: set[str] = set()
    model = BuildoutModel(breaks=lambda _: bool(broken), has_plugin=True)
    cloud = SmallCloud(world, model)
    cloud.start_first()
    deployed = cloud.timestamp()

    broken.add("alive")
    world.run_until(lambda: cloud.bang_mark() is not None, 200)
    assert cloud.bang_mark() == deployed
    world.run_for(600)
    assert cloud.bang_mark() == deployed
    assert cloud.bang_count() == 1

    broken.clear()
    cloud.wait_for("first", "started", 400)
    broken.add("alive")
    world.run_until(lambda: cloud.bang_count() == 2, 200)
    world.run_for(1)
    assert cloud.bang_mark() != deployed
    cloud.finish()


def test_a_bang_survives_forty_power_losses_and_is_made_once(world: World) -> None:
    """Twice only if the power is lost between the acknowledgement and the mark."""
    broken: set[str] = set()
    model = BuildoutModel(breaks=lambda _: bool(broken), has_plugin=True)
    cloud = SmallCloud(world, model)
    cloud.start_first()
    entropy = world.entropy("losses")

    for number in range(1, 41):
        broken.add("alive")
        world.run_for(entropy.uniform(100, 130))
        cloud.computer.crash()
        world.run_for(1)
        cloud.computer.boot()
        world.run_until(lambda wanted=number: cloud.bang_count() >= wanted, 400)
        broken.clear()
        cloud.wait_for("first", "started", 400)

    world.run_for(600)
    assert cloud.bang_count() == 40
    cloud.finish()


def test_a_destroyed_instance_frees_its_partition(world: World) -> None:
    """Its content is gone and the next request takes the partition."""
    cloud = SmallCloud(world)
    cloud.start_first()

    cloud.request("first", RequestedState.DESTROYED)
    world.run_for(120)

    tree = cloud.computer.runtime.file_tree("/srv/instances/slappart0")
    assert tree.list() == (".slapos-resource",)
    cloud.request("next")
    cloud.wait_for("next", "started", 200)
    assert (
        cloud.computer.running_programs[0]
        .argv[0]
        .startswith("/srv/instances/slappart0/")
    )
    cloud.finish()


def test_a_full_disk_is_reported_and_what_waits_goes_on_once_there_is_room(
    world: World,
) -> None:
    """The agent itself goes on without writing its memory."""
    cloud = SmallCloud(world)
    cloud.start_agent()
    cloud.computer.disk.fill()
    cloud.supply()
    cloud.request("first")
    world.run_for(100)
    report = cloud.perform(calls.get_computer_report("COMP-1"))
    assert isinstance(report, ComputerReport)
    (installation,) = report.installations
    assert installation.reported_state == "error"
    assert "bytes free" in installation.message

    cloud.computer.disk.empty()
    cloud.wait_for("first", "started", 400)
    cloud.finish()


def test_promises_are_tested_on_demand_and_the_master_is_told_nothing(
    world: World,
) -> None:
    """At the first failure, which a check would bear; the exit status is 2."""
    broken: set[str] = set()
    cloud = SmallCloud(world, BuildoutModel(breaks=lambda _: bool(broken)))
    cloud.start_first()
    assert cloud.supervision is not None
    runtime = cloud.computer.runtime
    agent = Agent(cloud.config, runtime, simulated_platform(), cloud.supervision)
    assert world.result(agent.promise_pass()).exit_status is ExitStatus.OK
    broken.add("alive")
    told = [line for line in cloud.received if line.startswith(b"POST")]

    result = world.result(agent.promise_pass())

    assert result.exit_status is ExitStatus.PROMISE_FAILED
    assert result.reason == "promises of slappart0 fail"
    assert [line for line in cloud.received if line.startswith(b"POST")] == told
    world.result(agent.close())
    cloud.finish()


def test_an_agent_comes_to_who_took_over_and_stays_there(world: World) -> None:
    """Its settings name the old master alone, which is gone when it starts again."""
    cloud = SmallCloud(world)
    cloud.start_agent()
    new = world.host("new master")
    address = TcpAddress(new.address, PORT)
    config = master_config.Config("memory:", address, is_loopback_only=False)
    new.boot(lambda runtime: build_master(config, runtime))
    url = f"http://[{new.address}]:{PORT}"
    person = SlapClient(world.host("person").runtime, Replicas((url,)))
    world.run_for(10)
    formatting = Formatting(cloud.config, cloud.computer.runtime, simulated_platform())
    computer = world.result(formatting.plan()).computer
    # The copy, by hand.
    world.result(person.perform(calls.define_computer(computer.define())))
    world.result(person.perform(calls.supply(SoftwareInstallation(URL, "COMP-1"))))

    def reported() -> str:
        report = world.result(person.perform(calls.get_computer_report("COMP-1")))
        assert isinstance(report, ComputerReport)
        return report.installations[0].reported_state

    cloud.perform(calls.freeze())
    cloud.perform(calls.move((ListedReplica(url, "eu"),)))
    world.run_until(lambda: reported() == "available", 100)

    cloud.master.kill()
    cloud.computer.crash()
    world.run_for(1)
    cloud.computer.boot()
    world.result(person.perform(calls.request_instance(InstanceRequest("first", URL))))
    world.run_until(lambda: bool(cloud.computer.running_programs), 200)
    world.result(person.close())
    cloud.finish()
