"""Shell. The composition of a master: reading it shows everything it stands on."""

from __future__ import annotations

from functools import partial
from typing import Any

from attrs import frozen
from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.web.resource import Resource
from zope.interface import implementer

from master_cluster.answering.answers import Answers
from master_cluster.answering.desk import Desk
from master_cluster.answering.forwarder import Forwarder
from master_cluster.authority.keeping import OwnRenewal
from master_cluster.authority.region import RegionHome
from master_cluster.config import Config
from master_cluster.errors import Misconfigured
from master_cluster.measuring import Measures
from master_cluster.remembering import AnswerMemory
from master_cluster.store.storages import Opening, decisions_max_of, open_database
from master_cluster.store.store import Store
from master_cluster.web.access import Access
from master_cluster.web.channel import LimitedSite
from master_cluster.web.description import Description
from master_cluster.web.guarding import Guard
from master_cluster.web.hateoas import publish_hateoas
from master_cluster.web.operations import (
    HealthPage,
    MetricsPage,
    Readiness,
    ReadyPage,
    watch_process,
)
from master_cluster.web.panel.panel import Panel
from master_cluster.web.panel.resource import PanelResource, WayToPanel
from master_cluster.web.polling import POLL_METHODS, PollPage, Polls
from master_cluster.web.release import ReleaseFiles
from master_cluster.web.repeating import Remembered
from master_cluster.web.replying import pass_all, report_incident
from master_cluster.web.site import Gate
from runtime.identity_directory import paths_below
from runtime.identity_files import CredentialFiles
from runtime.network import url_of
from runtime.ports import Runtime
from runtime.tls import serve_tls


def build_service(
    config: Config, runtime: Runtime, opening: Opening = open_database
) -> MasterService:
    """Build a master; nothing is opened before it starts, the store by ``opening``."""
    return MasterService(config, runtime, opening)


@implementer(IService)
class MasterService(Service):
    """A master that runs from ``startService`` to ``stopService``.

    Both return a Deferred. Starting fails with ``Misconfigured`` when the store or the
    port is not there; being stopped or cancelled meanwhile is no such failure, and
    leaves nothing. Stopping answers the calls that run, and closes the store.
    """

    def __init__(self, config: Config, runtime: Runtime, opening: Opening) -> None:
        self._config = config
        self._runtime = runtime
        self._open_database = opening
        self._home = _home_of(config, runtime)
        self._renewal = OwnRenewal(self._home, runtime)
        self._running: _Running | None = None

    @property
    def port(self) -> int:
        """Where it listens, known once it has started."""
        assert self._running is not None
        return self._running.port

    def startService(self) -> Deferred[None]:
        super().startService()  # type: ignore[no-untyped-call]
        # Before it shows the certificate to anybody.
        self._renewal.startService()
        return Deferred.fromCoroutine(self._start())

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]
        self._renewal.stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        config, runtime = self._config, self._runtime
        measures = Measures()
        database = self._open_database(config.store_uri, runtime.calendar)
        decisions_max = decisions_max_of(config.store_uri)
        store = Store(database, runtime, measures, decisions_max)
        readiness = Readiness(store, runtime.clock)
        desk = Desk(store, runtime, config.default_computer_id, self._home)
        masters = config.masters.answering_at(url_of(config.listen))
        forwarder = Forwarder(desk, runtime, masters, measures)
        try:
            await store.prepare()
            await forwarder.start()
            answers = Answers(desk, forwarder, config.products)
            memory: AnswerMemory[Remembered] = AnswerMemory()
            store.listen(memory.forget)
            guard = Guard(runtime, config.path_prefix) if config.has_tls else None
            gate = Gate(
                answers,
                runtime,
                memory,
                pass_all if guard is None else partial(guard.check, desk),
                is_loopback_only=config.is_loopback_only and not config.has_tls,
            )
            publish_hateoas(
                gate,
                desk,
                runtime,
                gate.run,
                has_trusted_proxy=config.has_trusted_proxy,
            )
            _serve_below(gate, config.path_prefix)
            polls = Polls(desk, runtime, lambda: report_incident(runtime))
            for name in POLL_METHODS:
                answering = gate.children[name]
                gate.putChild(name, PollPage(polls, answering))
            if config.release_directory is not None:
                gate.putChild(b"release", ReleaseFiles(config.release_directory))
            gate.putChild(b"openapi.json", Description())
            gate.putChild(b"healthz", HealthPage())
            gate.putChild(b"readyz", ReadyPage(readiness))
            gate.putChild(b"metrics", MetricsPage(measures))
            if config.is_loopback_only or config.has_tls:
                # Else nobody knows who asks.
                gate.putChild(b"", WayToPanel())
                panel = Panel(desk, runtime, forwarder)
                gate.putChild(b"panel", PanelResource(panel, gate.run))
            site = LimitedSite(
                gate,
                runtime,
                Access(runtime, measures, config.access_log, gate.children),
                config.connections_max,
                guard.refusal if guard is not None else None,
            )
            watch_process(measures, runtime.threads, site.connected)
            measures.watch(
                "slapcluster_polls_waiting",
                "Polls that wait for a change now.",
                lambda: polls.polling.waiting_count,
            )
            endpoint = runtime.network.server_endpoint(config.listen)
            listening = await endpoint.listen(_spoken(site, config, runtime))
        except Exception as error:
            self._renewal.stopService()
            await forwarder.stop()
            store.close()
            if isinstance(error, CancelledError):
                raise
            if not self.running:
                return
            where = f"{config.listen.host} port {config.listen.port}"
            raise Misconfigured(f"cannot serve on {where}: {error}") from error
        self._running = _Running(
            readiness, listening, site, polls, forwarder, gate, store
        )
        if not self.running:
            await self._stop()
            return
        runtime.log.info("serving on {host}", host=listening.getHost())

    async def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running.stop()


@frozen(eq=False)
class _Running:
    """What has to be stopped, in this order."""

    readiness: Readiness
    listening: IListeningPort
    site: LimitedSite
    polls: Polls
    forwarder: Forwarder
    gate: Gate
    store: Store

    @property
    def port(self) -> int:
        host: Any = self.listening.getHost()  # an IPv4Address or IPv6Address
        port: int = host.port
        return port

    async def stop(self) -> None:
        self.readiness.stop()
        await _maybe(self.listening.stopListening())
        self.site.close_idle()
        self.polls.stop()
        await self.forwarder.stop()
        await self.gate.settle()
        await self.polls.settle()
        self.site.disconnect()
        self.store.close()


def _spoken(site: LimitedSite, config: Config, runtime: Runtime) -> IProtocolFactory:
    """Return a site in the language of its port."""
    if not config.has_tls:
        return site
    assert config.identity_directory is not None
    ask = CredentialFiles(
        runtime, paths_below(config.identity_directory), is_server=True
    )
    ask()  # What is wrong is said now.
    return serve_tls(site, runtime, ask)


def _home_of(config: Config, runtime: Runtime) -> RegionHome | None:
    if config.identity_directory is None:
        return None
    return RegionHome(runtime.file_tree(config.identity_directory))


def _serve_below(gate: Gate, path_prefix: str) -> None:
    """Serve everything below a prefix too, such as ``erp5/portal_slap``."""
    names = [it.encode("ascii") for it in path_prefix.split("/") if it]
    if not names:
        return
    folder: Resource = gate
    for name in names[:-1]:
        inner = Resource()
        folder.putChild(name, inner)
        folder = inner
    folder.putChild(names[-1], gate)


async def _maybe(stopping: Deferred[None] | None) -> None:
    if stopping is not None:
        await stopping
