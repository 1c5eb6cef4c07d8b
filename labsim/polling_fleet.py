"""Shell. A fleet of pollers with masters of production, faults and updates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import cast

from twisted.internet.defer import Deferred

from labsim.faults import table as fault_table
from labsim.faults.package import FaultProfile
from labsim.injector import Injector
from labsim.pollers import Counts, Kept, MasterPlace, Poller
from labsim.schedule import TimedFault
from labsim.stores import open_untold_memory
from labsim.topology import Topology
from labsim.world.world import World
from master_cluster import config as master_config
from master_cluster.service import build_service as build_master
from master_cluster.store.storages import Opening
from runtime.http_client import HttpClient
from runtime.ports import ICalendar, Runtime, TcpAddress
from slap import calls
from slap.errors import SlapError
from slap.model import Computer, InstanceRequest
from slap.packing import ACCEPTED
from slap.polling import encode_poll
from slap.replicas import Replicas
from slapgrid.slap_client import SlapClient

PORT = 5000
STARTING_SECONDS = 1.0
"""A master has opened its store and its port by then."""

STORE = "memory:"

Fill = Callable[[Opening, ICalendar], tuple[InstanceRequest, ...]]
"""Fills a store; gives what was requested, for somebody to change it later."""


class PollingFleet:
    """Everything that runs: ``start`` it, then let the world's time pass.

    Polls are of bytes over HTTP, or a packet each way. ``fill`` must know the computers
    of the topology.
    """

    def __init__(
        self,
        seed: int,
        topology: Topology,
        fill: Fill,
        *,
        period_seconds: float = 60.0,
        has_http: bool = False,
    ) -> None:
        self.world = World(seed)
        self.counts = Counts()
        self._topology = topology
        self._period_seconds = period_seconds
        self._has_http = has_http
        for region in topology.regions:
            for name in region.hosts:
                self.world.host(name, region.name)
        self._open = open_untold_memory()
        self._injector = Injector(self.world, topology, self._storm)
        self._requests = fill(self._open, self.world.host("observer").calendar)
        self._pollers: dict[str, Poller] = {}
        self._kept: dict[str, Kept] = {}
        self._has_updates = False
        self._draw = self.world.entropy("updates")
        self._update_count = 0
        places = {name: self._place(name) for name in topology.masters}
        self._places = places
        self._client = SlapClient(
            self.world.host("observer").runtime,
            Replicas(tuple(it.url for it in places.values())),
        )
        for name in topology.masters:
            self._boot_master(name, places[name])
        for region in topology.regions:
            near = tuple(places[name] for name in region.masters)
            masters = tuple(dict.fromkeys((*near, *places.values())))
            for name in region.computers:
                self._boot_poller(name, masters)

    def warm(self) -> None:
        """Have every master make every document once, as in a long life."""
        self.world.run_for(STARTING_SECONDS)
        http = HttpClient(self.world.host("observer").runtime)
        for place in self._places.values():
            for name in self._topology.computers:
                wanted = encode_poll(name)
                url = f"{place.url}/{wanted.path}"
                headers = {**wanted.headers, "Accept-Encoding": ACCEPTED}
                self.world.result(
                    http.send(wanted.verb, url, headers, timeout_seconds=60.0)
                )
        self.world.result(http.close())

    def begin_faults(self, profile: FaultProfile, seconds: float) -> int:
        """Draw and play a schedule of so long from now on; of how many is told."""
        begin = self.world.clock.now
        entropy = self.world.entropy("faults", begin)
        faults = fault_table.generate(entropy, profile, self._topology, 0.0, seconds)
        for number, fault in enumerate(faults):
            assert fault.until is not None, "a schedule is settled"
            self.world.clock.call_at(begin + fault.at, self._begin, number, fault)
            self.world.clock.call_at(begin + fault.until, self._end, number, fault)
        return len(faults)

    def begin_updates(self, per_minute: float) -> None:
        """Have somebody change an instance so often."""
        self._has_updates = True
        self._update_later(per_minute)

    def end_updates(self) -> None:
        self._has_updates = False

    def unsettled(self) -> tuple[str, ...]:
        """The partitions that are not as the master wants them now."""
        wanted = self.world.result(self._ask_wanted())
        return tuple(
            str(it.key)
            for computer in wanted
            for it in computer.partitions
            if it.instance is not None
            and not self._kept[computer.computer_id].is_processed(it)
        )

    async def _ask_wanted(self) -> list[Computer]:
        return [
            cast("Computer", await self._client.perform(calls.get_computer(name)))
            for name in self._topology.computers
        ]

    def _update_later(self, per_minute: float) -> None:
        pause_seconds = self._draw.expovariate(per_minute / 60)
        instant = self.world.clock.now + pause_seconds
        self.world.clock.call_at(instant, self._update, per_minute)

    def _begin(self, number: int, fault: TimedFault) -> None:
        self._injector.begin(number, fault)

    def _end(self, number: int, fault: TimedFault) -> None:
        self._injector.end(number, fault)

    def _place(self, name: str) -> MasterPlace:
        address = TcpAddress(self.world.host(name).address, PORT)
        return MasterPlace(f"http://[{address.host}]:{PORT}", name, address)

    def _boot_master(self, name: str, place: MasterPlace) -> None:
        config = master_config.Config(STORE, place.address, is_loopback_only=False)
        self.world.host(name).boot(
            lambda runtime: build_master(config, runtime, self._open)
        )

    def _boot_poller(self, name: str, masters: tuple[MasterPlace, ...]) -> None:
        kept = self._kept[name] = Kept(self.counts)

        def build(runtime: Runtime) -> Poller:
            poller = self._pollers[name] = Poller(
                runtime,
                name,
                kept,
                masters,
                self._period_seconds,
                has_http=self._has_http,
            )
            return poller

        self.world.host(name).boot(build)

    def _storm(self, name: str) -> None:
        if self.world.host(name).is_up:
            self._pollers[name].poll_now()

    def _update(self, per_minute: float) -> None:
        if not self._has_updates:
            return
        self._update_count += 1
        wanted = self._draw.choice(self._requests)
        Deferred.fromCoroutine(self._change(wanted, str(self._update_count)))
        self._update_later(per_minute)

    async def _change(self, wanted: InstanceRequest, value: str) -> None:
        changed = InstanceRequest(
            wanted.title,
            wanted.software_release_url,
            parameters={**wanted.parameters, "greeting": value},
            allocation_filter=wanted.allocation_filter,
        )
        with suppress(SlapError):  # nobody waits for it
            await self._client.perform(calls.request_instance(changed))
