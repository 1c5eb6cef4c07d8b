"""Shell. The composition of a master: reading it shows everything it stands on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from attrs import define, frozen
from twisted.application.service import IService, Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.task import deferLater
from twisted.web.resource import Resource
from zope.interface import implementer

from master_cluster.answering.answers import Answers
from master_cluster.answering.desk import Desk
from master_cluster.answering.forwarder import Forwarder
from master_cluster.answering.pushes import build_pushes
from master_cluster.answering.replicas import ReplicaList
from master_cluster.answering.transfer import StandingWatch
from master_cluster.authority.keeping import AskReplicas, OwnRenewal
from master_cluster.authority.region import RegionHome
from master_cluster.config import Config
from master_cluster.errors import Misconfigured
from master_cluster.kept_documents import KeptDocuments
from master_cluster.measuring import Measures
from master_cluster.receiving import Receiver
from master_cluster.remembering import AnswerMemory
from master_cluster.store.storages import (
    Database,
    Opening,
    OpeningStorage,
    decisions_max_of,
    load_driver,
    open_database,
    open_storage,
)
from master_cluster.store.store import Store
from master_cluster.transferring import KeptStanding, refusal_of_changes
from master_cluster.vigil import Vigil
from master_cluster.web.access import Access
from master_cluster.web.channel import LimitedSite
from master_cluster.web.description import Description
from master_cluster.web.guarding import Guard
from master_cluster.web.hateoas import publish_hateoas
from master_cluster.web.moving import MovedGate
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
from master_cluster.web.receiving import ReceivingGate
from master_cluster.web.release import publish_releases
from master_cluster.web.repeating import Remembered
from master_cluster.web.replying import pass_all, report_incident
from master_cluster.web.site import Gate
from master_cluster.web.waiting import WaitingGate
from runtime.certificates import describe_first
from runtime.identity_directory import paths_below
from runtime.identity_files import CredentialFiles
from runtime.network import url_of
from runtime.ports import Runtime
from runtime.tls import serve_tls
from slap.identities import refusal_of_master
from slap.transfer import Moved

RECEIVED_DIRECTORY = "received"
"""Below the one of documents: where a copy is kept until its state is open."""

OPENING_PAUSE_SECONDS = 2.0
"""Before a store is tried again that is not there; a try waits for it some seconds."""


def build_service(
    config: Config,
    runtime: Runtime,
    opening: Opening = open_database,
    ask_replicas: AskReplicas | None = None,
    *,
    opening_storage: OpeningStorage = open_storage,
) -> MasterService:
    """Build a master; nothing is opened before it starts.

    Its store is opened by ``opening``; by ``opening_storage`` while it has no state.
    ``ask_replicas`` is how others are asked to renew the certificate of this one.
    """
    return MasterService(
        config, runtime, opening, ask_replicas, opening_storage=opening_storage
    )


@implementer(IService)
class MasterService(Service):
    """A master that runs from ``startService`` to ``stopService``.

    Both return a Deferred. Starting fails with ``Misconfigured`` when the store or the
    port is not there; a master that has kept documents of an earlier life waits for its
    store instead, and answers polls with them. One that receives waits for its store,
    and for a state in it. Being stopped or cancelled meanwhile is
    no such failure, and leaves nothing. Stopping answers the calls that run, and closes
    the store.
    """

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        opening: Opening,
        ask_replicas: AskReplicas | None,
        *,
        opening_storage: OpeningStorage,
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._open_database = opening
        self._open_storage = opening_storage
        self._home = _home_of(config, runtime)
        self._pushes = build_pushes(config, runtime)
        self._replicas: ReplicaList | None = None
        self._renewal = OwnRenewal(self._home, runtime, self._find_others, ask_replicas)
        self._running: _Running | None = None
        self._early: _Early | None = None
        self._guard = Guard(runtime, config.path_prefix) if config.has_tls else None

    @property
    def port(self) -> int:
        """Where it listens, known once it has started."""
        found = self._running or self._early
        assert found is not None
        return port_of(found.listening)

    def _find_others(self) -> tuple[str, ...]:
        """Return where the other replicas are, as far as this one knows now."""
        own = self._config.announced
        listed = self._replicas.listed if self._replicas is not None else ()
        return tuple(it.url for it in listed if it != own)

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
        kept = None
        if self._config.documents_directory is not None:
            kept = KeptDocuments(self._runtime, self._config.documents_directory)
        if kept is None or not (kept.is_known or self._config.receives):
            database = self._open_database(
                self._config.store_uri, self._runtime.calendar
            )
            await self._serve(database, kept)
            return
        early = await self._answer_early(kept)
        if not self.running:
            await early.stop()
            return
        self._early = early
        early.opening = Deferred.fromCoroutine(self._open_late(early, kept))

    async def _answer_early(self, kept: KeptDocuments) -> _Early:
        """Answer with what is on disk, before the store is there."""
        config, runtime = self._config, self._runtime
        is_loopback_only = config.is_loopback_only and not config.has_tls
        gate = WaitingGate(kept, runtime, is_loopback_only=is_loopback_only)
        site = self._build_site(gate)
        endpoint = runtime.network.server_endpoint(config.listen)
        try:
            listening = await endpoint.listen(_spoken(site, config, runtime))
        except Exception as error:
            self._renewal.stopService()
            raise _refusal(config, error) from error
        runtime.log.info("serving on {host}", host=listening.getHost())
        return _Early(listening, site, gate, kept)

    def _build_site(self, gate: Resource) -> LimitedSite:
        refuse = self._guard.refusal if self._guard is not None else None
        connections_max = self._config.connections_max
        return LimitedSite(gate, self._runtime, None, connections_max, refuse)

    async def _open_late(self, early: _Early, kept: KeptDocuments) -> None:
        """Open the store when it is there, and go on with what is answered then."""
        runtime, uri = self._runtime, self._config.store_uri
        load_driver(uri)

        def begin() -> Callable[[], Database]:
            database = self._open_database(uri, runtime.calendar)
            return lambda: database

        while self.running:
            try:
                if self._config.receives and not await self._receive(early):
                    return
                # It waits for its server, and nobody else may.
                await self._serve(await runtime.threads.call(begin), kept, early)
            except CancelledError:
                return
            except Exception as error:  # noqa: BLE001 - whatever it is, it may end
                if early.gate.reason != str(error):
                    early.gate.reason = str(error)
                    runtime.log.failure("the store is not there")
            else:
                return
            if self.running:
                await early.rest(runtime.clock)

    async def _receive(self, early: _Early) -> bool:
        """Return whether the state is open; wait for one while it is not."""
        config, runtime = self._config, self._runtime
        assert config.documents_directory is not None

        def begin() -> Callable[[], Any]:
            storage = self._open_storage(config.store_uri, runtime.calendar)
            return lambda: storage

        storage = await runtime.threads.call(begin)
        directory = Path(config.documents_directory) / RECEIVED_DIRECTORY
        receiver = early.receiver = Receiver(storage, directory, runtime)
        is_loopback_only = config.is_loopback_only and not config.has_tls
        gate = ReceivingGate(
            *(receiver, self._home, runtime),
            is_loopback_only=is_loopback_only,
            pushes=self._pushes,
        )
        # Files, which somebody builds from who is to make the state move.
        publish_releases(gate, config.release_directory, config.pushed_directory)

        def wait() -> None:
            early.site.resource = gate
            runtime.log.info("there is no open state: it is received")

        try:
            if not self.running:
                return False
            return await receiver.run(wait)
        finally:
            early.site.resource = early.gate
            await gate.settle()
            await receiver.close()
            early.receiver = None

    async def _serve(
        self,
        database: Database,
        kept: KeptDocuments | None,
        early: _Early | None = None,
    ) -> None:
        config, runtime = self._config, self._runtime
        measures = Measures()
        decisions_max = decisions_max_of(config.store_uri)
        store = Store(database, runtime, measures, decisions_max)
        readiness = Readiness(store, runtime.clock)
        desk = Desk(store, runtime, config.default_computer_id, self._home)
        masters = config.masters.answering_at(url_of(config.listen))
        forwarder = Forwarder(desk, runtime, masters, measures)
        try:
            await store.prepare()
            await forwarder.start()
            watch = await StandingWatch(desk).start()
            answers = Answers(*(desk, forwarder, config.products, watch, self._pushes))
            memory: AnswerMemory[Remembered] = AnswerMemory()
            store.listen(memory.forget)
            gate = Gate(
                answers,
                runtime,
                memory,
                partial(self._guard.check, desk) if self._guard else pass_all,
                is_loopback_only=config.is_loopback_only and not config.has_tls,
            )
            self._replicas = replicas = await ReplicaList(desk).start(config.announced)
            polls = Polls(
                desk,
                runtime,
                lambda: report_incident(runtime),
                kept=kept,
                replicas_header=lambda: replicas.header,
            )
            _publish(gate, config, runtime, desk, polls)
            _publish_watched(gate, readiness, measures)
            _publish_panel(gate, config, Panel(desk, runtime, forwarder))
            access = Access(runtime, measures, config.access_log, gate.children)
            site = early.site if early else self._build_site(gate)
            site.access = access
            watch_process(measures, runtime.threads, site.connected, polls.polling)
            watch.listen(partial(_show, site, gate, polls))
            if early is None:
                endpoint = runtime.network.server_endpoint(config.listen)
                listening = await endpoint.listen(_spoken(site, config, runtime))
            else:
                listening = early.listening
        except Exception as error:
            if early is None:
                self._renewal.stopService()
            await forwarder.stop()
            store.close()
            if isinstance(error, CancelledError):
                raise
            if not self.running:
                return
            raise _refusal(config, error) from error
        vigil = Vigil(
            store,
            runtime.clock,
            polls.prove,
            lose=polls.lose,
            give_up=store.lose,
            pass_second=polls.pass_second,
            find=(store.find, polls.find),
        )
        self._running = _Running(
            readiness, listening, site, polls, forwarder, gate, store, vigil, kept
        )
        if not self.running:
            await self._stop()
            return
        vigil.start()
        if early is None:
            runtime.log.info("serving on {host}", host=listening.getHost())
        else:
            self._early = None
            runtime.log.info("the store is there")

    async def _stop(self) -> None:
        running, self._running = self._running, None
        early, self._early = self._early, None
        if early is not None:
            await early.stop()
        if running is not None:
            await running.stop()


@define(eq=False)
class _Early:
    """A master that waits for its store, and answers polls from its disk meanwhile."""

    listening: IListeningPort
    site: LimitedSite
    gate: WaitingGate
    kept: KeptDocuments
    opening: Deferred[None] | None = None
    receiver: Receiver | None = None
    _pause: Deferred[None] | None = None

    async def rest(self, clock: IReactorTime) -> None:
        """Wait before the store is tried again; ``stop`` ends it."""
        self._pause = deferLater(clock, OPENING_PAUSE_SECONDS)
        try:
            await self._pause
        except CancelledError:
            pass
        finally:
            self._pause = None

    async def stop(self) -> None:
        await _maybe(self.listening.stopListening())
        self.site.close_idle()
        if self._pause is not None:
            self._pause.cancel()
        if self.receiver is not None:
            await self.receiver.stop()
        if self.opening is not None:
            await self.opening
        self.site.disconnect()
        await self.kept.stop()


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
    vigil: Vigil
    kept: KeptDocuments | None

    async def stop(self) -> None:
        self.readiness.stop()
        await _maybe(self.listening.stopListening())
        self.site.close_idle()
        self.polls.stop()
        await self.forwarder.stop()
        await self.gate.settle()
        await self.polls.settle()
        await self.vigil.stop()
        if self.kept is not None:
            await self.kept.stop()
        self.site.disconnect()
        await self.store.settle()
        self.store.close()


def _spoken(site: LimitedSite, config: Config, runtime: Runtime) -> IProtocolFactory:
    """Return a site in the language of its port."""
    if not config.has_tls:
        return site
    assert config.identity_directory is not None
    ask = CredentialFiles(
        runtime, paths_below(config.identity_directory), is_server=True
    )
    # What is wrong is said now.
    refusal = refusal_of_master(describe_first(ask().chain).uris)
    if refusal is not None:
        raise Misconfigured(f"{config.identity_directory}: {refusal}")
    return serve_tls(site, runtime, ask)


def _home_of(config: Config, runtime: Runtime) -> RegionHome | None:
    if config.identity_directory is None:
        return None
    return RegionHome(runtime.file_tree(config.identity_directory))


def port_of(listening: IListeningPort) -> int:
    """Return where it listens."""
    host: Any = listening.getHost()  # an IPv4Address or IPv6Address
    port: int = host.port
    return port


def _refusal(config: Config, error: Exception) -> Misconfigured:
    where = f"{config.listen.host} port {config.listen.port}"
    return Misconfigured(f"cannot serve on {where}: {error}")


def _show(site: LimitedSite, gate: Gate, polls: Polls, kept: KeptStanding) -> None:
    """Answer as the standing of the state has it."""
    refusal = refusal_of_changes(kept)
    if isinstance(refusal, Moved):
        site.resource = MovedGate(refusal, gate)
        polls.refuse(refusal)
    else:
        site.resource = gate


def _publish(
    gate: Gate, config: Config, runtime: Runtime, desk: Desk, polls: Polls
) -> None:
    """Serve what is no method of a form."""
    publish_hateoas(
        gate, desk, runtime, gate.run, has_trusted_proxy=config.has_trusted_proxy
    )
    _serve_below(gate, config.path_prefix)
    for name in POLL_METHODS:
        gate.putChild(name, PollPage(polls, gate.children[name]))
    publish_releases(gate, config.release_directory, config.pushed_directory)
    gate.putChild(b"openapi.json", Description())
    gate.putChild(b"healthz", HealthPage())


def _publish_watched(gate: Gate, readiness: Readiness, measures: Measures) -> None:
    gate.putChild(b"readyz", ReadyPage(readiness))
    gate.putChild(b"metrics", MetricsPage(measures))


def _publish_panel(gate: Gate, config: Config, panel: Panel) -> None:
    if not config.is_loopback_only and not config.has_tls:
        # Nobody knows who asks.
        return
    gate.putChild(b"", WayToPanel())
    gate.putChild(b"panel", PanelResource(panel, gate.run))


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
