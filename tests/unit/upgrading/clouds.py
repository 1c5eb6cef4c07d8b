"""A cloud that hosts itself, simulated: its computers are a short program."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from click.testing import CliRunner, Result
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from labsim.stores import open_untold_memory
from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.service import build_service
from runtime.ports import Runtime, TcpAddress
from slap import calls
from slap.calls import Call
from slap.errors import MasterAway, NotFound
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    NetworkAddress,
    PartitionDefinition,
    PartitionKey,
    SoftwareInstallation,
)
from slap.replicas import ListedReplica, Replicas
from slap.reports import ComputerReport, InstanceReport, TreeReport
from slapcluster.bootstrap.wanted_cloud import release_url_of
from slapcluster.cli import cli
from slapcluster.session import Session
from slapcluster.upgrading.rolled import is_built
from slapgrid.slap_client import SlapClient
from tests.sessions import once

T = TypeVar("T")

REGIONS = ("paris", "lyon", "tokyo")
FIRST = release_url_of("a" * 64)
PARAMETERS = {"regions": " ".join(REGIONS), "authority": '{"a": "1"}'}
BUILD_LOOKS = 2
LOOK_SECONDS = 1.0
SECONDS_MAX = 3_000.0


class SelfHosted:
    """Replicas in three regions; the root is in paris, beside the region of paris.

    ``broken`` are releases that do not build, with what their logs say; ``held`` are
    regions that do not take up a release, with the reason that they report.
    """

    def __init__(self, top: Path) -> None:
        self.world = World(0)
        self.top = top
        self.broken: dict[str, str] = {}
        self.held: dict[str, str] = {}
        self.rolled: list[tuple[str, str]] = []
        self.urls: dict[str, str] = {}
        self._looks: dict[tuple[str, str], int] = {}
        self._open = open_untold_memory()
        for region in REGIONS:
            self._boot(region)
        self._client = SlapClient(
            self.world.host("computers").runtime, Replicas(tuple(self.urls.values()))
        )
        self._found()
        clock = self.world.host("computers").runtime.clock
        self._looping = LoopingCall(self._look)
        self._looping.clock = clock
        self._looping.start(LOOK_SECONDS)

    def close(self) -> None:
        self._looping.stop()
        self.world.run_for(60)
        self.world.result(self._client.close())
        self.world.finish()

    def perform(self, call: Call) -> Any:
        return self.world.result(self._client.perform(call))

    def tree(self) -> TreeReport:
        tree = self.perform(calls.get_tree_report("cloud"))
        assert isinstance(tree, TreeReport)
        return tree

    def running(self) -> dict[str, str]:
        """Return what each instance was asked for."""
        return {it.title: it.software_release_url for it in self.tree().instances}

    def type(self, *words: str) -> Result:
        """Type a command, as JSON."""
        masters = [word for url in self.urls.values() for word in ("--master", url)]
        home = ("--home", str(self.top / "nowhere"))
        return CliRunner().invoke(
            cli,
            [*masters, "--output", "json", *words, *home],
            obj=Session(launch=once(self.launch)),
        )

    def launch(self, main: Callable[[Runtime], Coroutine[Any, Any, T]], /) -> T:
        runtime = self.world.host("operator").runtime
        return self.world.result(main(runtime), SECONDS_MAX)

    def _boot(self, region: str) -> None:
        host = self.world.host(region)
        self.urls[region] = f"http://[{host.address}]:5000"
        config = Config(
            "memory:",
            TcpAddress(host.address, 5000),
            is_loopback_only=False,
            announced=ListedReplica(self.urls[region], region),
            pushed_directory=str(self.top / region),
        )
        host.boot(partial(build_service, config, opening=self._open))
        self.world.run_for(1)

    def _found(self) -> None:
        """Have the cloud as a bootstrap leaves it."""
        for region in REGIONS:
            names = [f"slappart{number}" for number in range(2)]
            partitions = tuple(
                PartitionDefinition(it, (NetworkAddress(it, "fd00::1"),))
                for it in names
            )
            computer_id = f"COMP-{region}"
            self.perform(
                calls.define_computer(
                    ComputerDefinition(computer_id, partitions=partitions)
                )
            )
            self.perform(calls.supply(SoftwareInstallation(FIRST, computer_id)))
            self.perform(calls.report_available(FIRST, computer_id))
        root = self._request("cloud", FIRST, "paris", parameters=PARAMETERS)
        for region in REGIONS:
            wanted = self._region_request(region, FIRST, root)
            key = self.perform(calls.request_instance(wanted)).key
            published = {"region": region, "replica-url": self.urls[region]}
            self.perform(calls.publish_connection(key, published))
            self.perform(calls.report_started(key))
        self.perform(calls.report_started(root))

    def _request(self, title: str, url: str, region: str, **more: Any) -> PartitionKey:
        where = {"computer_guid": f"COMP-{region}"}
        wanted = InstanceRequest(title, url, allocation_filter=where, **more)
        key = self.perform(calls.request_instance(wanted)).key
        assert isinstance(key, PartitionKey)
        return key

    def _region_request(
        self, region: str, url: str, root: PartitionKey
    ) -> InstanceRequest:
        return InstanceRequest(
            region,
            url,
            parameters={"region": region},
            allocation_filter={"computer_guid": f"COMP-{region}"},
            requester=root,
        )

    def _look(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        """Do what agents and the profiles of the release do."""
        try:
            for region in REGIONS:
                await self._build(f"COMP-{region}")
            tree = await self._client.perform(calls.get_tree_report("cloud"))
            assert isinstance(tree, TreeReport)
            root, *regions = tree.instances
            for it in regions:
                await self._take_up(it)
            await self._roll(root, regions)
        except (MasterAway, NotFound):
            return

    async def _build(self, computer_id: str) -> None:
        report = await self._client.perform(calls.get_computer_report(computer_id))
        assert isinstance(report, ComputerReport)
        for it in report.installations:
            url = it.software_release_url
            if it.reported_state == "available":
                continue
            if url in self.broken:
                if it.reported_state != "error":
                    log = self.broken[url]
                    failed = calls.report_software_error(url, computer_id, log)
                    await self._client.perform(failed)
                continue
            count = self._looks[url, computer_id] = (
                self._looks.get((url, computer_id), 0) + 1
            )
            done = calls.report_available(url, computer_id)
            begun = calls.report_building(url, computer_id)
            is_done = count > BUILD_LOOKS
            await self._client.perform(done if is_done else begun)

    async def _take_up(self, region: InstanceReport) -> None:
        url, published = region.software_release_url, region.connection_parameters
        runs = published.get("release-url", FIRST)
        key = region.partition
        assert key is not None
        if runs == url or not await self._has(key.computer_id, url):
            return
        if region.title in self.held:
            held = calls.report_instance_error(key, self.held[region.title])
            await self._client.perform(held)
            return
        self.rolled.append((region.title, url))
        host = self.world.host(region.title)
        host.kill()
        host.boot()
        told = {**published, "release-url": url}
        await self._client.perform(calls.publish_connection(key, told))
        await self._client.perform(calls.report_started(key))

    async def _has(self, computer_id: str, url: str) -> bool:
        report = await self._client.perform(calls.get_computer_report(computer_id))
        assert isinstance(report, ComputerReport)
        return is_built(report, url)

    async def _roll(self, root: InstanceReport, regions: list[InstanceReport]) -> None:
        """Do what the root does: ask one region after the other."""
        key, url = root.partition, root.software_release_url
        assert key is not None
        if not await self._has(key.computer_id, url):
            return
        runs = {
            it.title: it.connection_parameters.get("release-url", FIRST)
            for it in regions
        }
        moving = [
            it.title for it in regions if runs[it.title] != it.software_release_url
        ]
        late = [it for it in regions if it.software_release_url != url]
        chosen = [it for it in late if it.title in moving] or (
            [] if moving else late[:1]
        )
        for it in chosen:
            wanted = self._region_request(it.title, url, key)
            await self._client.perform(calls.request_instance(wanted))
        if late or moving:
            told = "Promise 'regions' failed with output: a region is waited for"
            await self._client.perform(calls.report_instance_error(key, told))
        else:
            await self._client.perform(calls.report_started(key))
