"""Shell. The instances of the release of the master on one computer, without buildout.

The root asks for an instance in each region and publishes what these want signed. The
one of a region makes its key, publishes the request for its certificate, and when that
is signed begins a replica, whose address it publishes some time later. Keys are on the
disk of the computer, in directories of production; stunnel, NEO and the programs of
supervisord are left out. What each of them promises is told by the agent.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from runtime.certificates import render_request
from runtime.holdings import Holding
from runtime.identity_directory import IdentityDirectory, paths_below
from runtime.ports import Runtime
from slap import calls
from slap.errors import NotReady, SlapError
from slap.model import (
    InstanceRequest,
    PartitionInstance,
    PartitionKey,
    RequestedInstance,
)
from slap.polling import Polled
from slap.replicas import Replicas
from slapgrid.config import Config
from slapgrid.kept_memory import KeptFreshness
from slapgrid.slap_client import SlapClient
from slapgrid.trusting import trust_masters

LOOK_SECONDS = 5.0
"""Between two looks, while something is not as it is wanted: passes of an agent."""

DIRECTORY = "/srv/hosted"

BeginReplica = Callable[[str], str]
"""Given a region, has its replica run, and says where it will be."""


@define(eq=False)
class HostedMaster(Service):
    """Those instances of one computer, in one life of it."""

    runtime: Runtime
    config: Config
    identity_directory: str
    release_url: str
    version: Callable[[], str]
    """Names the document that the agent has: another one makes it look again."""

    begin_replica: BeginReplica
    _looked_at: str = ""
    _is_settled: bool = False
    _settled: dict[PartitionKey, PartitionInstance] = field(factory=dict)
    _published: dict[PartitionKey, Mapping[str, str]] = field(factory=dict)
    _pause: Deferred[None] | None = None
    _client: SlapClient = field(init=False)
    _ended: Deferred[None] = field(init=False)

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        self._ended = Deferred.fromCoroutine(self._look_on())

    async def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        if self._pause is not None:
            self._pause.cancel()
        await self._ended

    async def _look_on(self) -> None:
        while self.running:
            version = self.version()
            if not self._is_settled or version != self._looked_at:
                await self._try_to_look()
                self._looked_at = version
            if not self.running:
                break
            self._pause = deferLater(self.runtime.clock, LOOK_SECONDS)
            try:
                await self._pause
            except CancelledError:
                break

    async def _try_to_look(self) -> None:
        self._client = self._build_client()
        try:
            self._is_settled = await self._look()
        except SlapError as error:
            self._is_settled = False
            self.runtime.log.info("{error}", error=error)
        finally:
            await self._client.close()

    def _build_client(self) -> SlapClient:
        """Ask where the agent would; a recipe goes nowhere because an answer says so.

        That is what the trust is for: the others that are listed speak no TLS.
        """
        urls = self.config.master_urls
        tree = self.runtime.file_tree(self.config.instance_root)
        known = KeptFreshness(self.runtime, tree, urls).recall()
        listed = tuple(it.url for it in known.listed)
        return SlapClient(
            self.runtime,
            Replicas(tuple(dict.fromkeys((*listed, *urls)))),
            trust=trust_masters(self.runtime, paths_below(self.identity_directory)),
        )

    async def _look(self) -> bool:
        """Configure what is not as it is wanted; whether all is."""
        polled = await self._client.poll(self.config.computer_id)
        assert isinstance(polled, Polled)
        is_settled = True
        for partition in polled.computer.partitions:
            instance = partition.instance
            if instance is None or instance.software_release_url != self.release_url:
                continue
            if self._settled.get(partition.key) == instance:
                continue
            configure = (
                self._configure_region
                if instance.software_type == "region"
                else self._configure_root
            )
            if await configure(partition.key, instance):
                self._settled[partition.key] = instance
            else:
                is_settled = False
        return is_settled

    async def _configure_root(
        self, key: PartitionKey, instance: PartitionInstance
    ) -> bool:
        """Ask for each region; whether all is published that there is to publish."""
        requests, urls = {}, {}
        authority = json.loads(instance.parameters.get("authority", "{}"))
        names = instance.parameters["regions"].split()
        for name in names:
            published = await self._ask_for(key, name, authority.get(name, ""))
            requests[name] = published.get("certificate-request", "")
            urls[name] = published.get("replica-url", "")
        told = {"certificate-requests": json.dumps(requests, sort_keys=True)}
        await self._publish(key, told)
        return all(requests.values()) and (not authority or all(urls.values()))

    async def _ask_for(
        self, key: PartitionKey, name: str, certificate: str
    ) -> Mapping[str, str]:
        parameters = {"region": name}
        if certificate:
            parameters["authority"] = certificate
        wanted = InstanceRequest(
            name,
            self.release_url,
            "region",
            parameters,
            {"region": name},
            requester=key,
        )
        try:
            answer = await self._client.perform(calls.request_instance(wanted))
        except NotReady:
            return {}
        assert isinstance(answer, RequestedInstance)
        return answer.connection_parameters

    async def _configure_region(
        self, key: PartitionKey, instance: PartitionInstance
    ) -> bool:
        name = instance.parameters["region"]
        home = f"{DIRECTORY}/{key.partition_id}/{instance.instance_guid}"
        tree = self.runtime.file_tree(home)
        tree.make_directory("", 0o700)
        directory = IdentityDirectory(tree)
        made = directory.make_key(self.runtime.keys.new_private_key, Holding.REGION)
        told = {"region": name}
        if tree.status("request") is None:
            tree.write("request", render_request(made, name).encode())
        told["certificate-request"] = tree.read("request").decode()
        if instance.parameters.get("authority"):
            told["replica-url"] = self.begin_replica(name)
        await self._publish(key, told)
        return "replica-url" in told

    async def _publish(self, key: PartitionKey, told: Mapping[str, str]) -> None:
        if self._published.get(key) != told:
            await self._client.perform(calls.publish_connection(key, told))
            self._published[key] = dict(told)
