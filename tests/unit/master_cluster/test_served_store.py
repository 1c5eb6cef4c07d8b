"""A store that another process serves: shared, lost and found again."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Event  # noqa: TID251 - holds the thread of the server

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import Logger
from ZEO.Exceptions import ClientDisconnected
from ZODB.Connection import TransactionMetaData
from ZODB.DB import DB

from master_cluster.errors import Misconfigured
from master_cluster.store import decisions
from master_cluster.store.announcing import AnnouncingStorage
from master_cluster.store.backup import back_up, restore
from master_cluster.store.cloud import Cloud
from master_cluster.store.outages import InDoubt
from master_cluster.store.storages import open_database
from master_cluster.store.store import Store
from master_cluster.store.zeo_client import Patience, ZeoStorage, parse_address
from master_cluster.store.zeo_server import StorageService
from runtime.ports import Runtime, TcpAddress, UnixAddress
from runtime.real import build_runtime
from slap.errors import Unavailable
from slap.model import RequestedInstance
from tests.builders import a_computer_definition, an_instance_request
from tests.programs import free_port
from tests.reactor import ReactorBench
from tests.unit.master_cluster.test_concurrency import Clients, meet, part
from tests.unit.master_cluster.test_store import fail_to_synchronise

FILE_STORAGE = import_module("ZODB.FileStorage.FileStorage")
"""The module; its package has a class of the same name."""

#: A server that waits for a busy disk is not silent: half a second was too hasty.
HASTE = Patience(start_seconds=2, reconnect_seconds=1, silence_seconds=2)


class Shared:
    """A file, its server, and stores of as many masters as are asked for."""

    def __init__(self, directory: Path, reactor_runtime: Callable[[], Runtime]) -> None:
        self._new_runtime = reactor_runtime
        # What a store says of refused commits is expected here.
        quiet = Logger(observer=lambda _: None)
        self.runtime = evolve(reactor_runtime(), log=quiet)
        self.address = TcpAddress("127.0.0.1", free_port())
        self._path = str(directory / "state.fs")
        self._stores: list[Store] = []
        self.start()

    def start(self) -> None:
        # A stopped pool of threads stays stopped: each life of a server has its own.
        self._server_runtime = self._new_runtime()
        self._server = StorageService(self._path, self.address, self._server_runtime)
        self._server.startService()

    async def stop(self) -> None:
        ended = self._server.stopService()
        if ended is not None:
            await ended
        await self._server_runtime.threads.stop()

    async def store(self) -> Store:
        database = DB(AnnouncingStorage(ZeoStorage(self.address, HASTE)))
        store = Store(database, self.runtime)
        self._stores.append(store)
        await store.prepare()
        return store

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Let the server do nothing, as a stopped process does."""
        is_over = Event()
        server = self._server._server  # noqa: SLF001 - no other way to silence it
        server.acceptor.event_loop.call_soon_threadsafe(is_over.wait, 30)
        try:
            yield
        finally:
            is_over.set()

    async def close(self) -> None:
        await self.runtime.threads.stop()
        for store in self._stores:
            store.close()
        await self.stop()


@pytest.fixture
def run_shared(
    run_real: ReactorBench, tmp_path: Path
) -> Callable[[Callable[[Shared], Awaitable[None]]], None]:
    """Run a coroutine with a served file, closed after it."""

    def run(scenario: Callable[[Shared], Awaitable[None]]) -> None:
        async def main() -> None:
            shared = Shared(tmp_path, lambda: build_runtime(run_real.reactor))
            try:
                await scenario(shared)
            finally:
                await shared.close()

        run_real(main())

    return run


Run = Callable[[Callable[[Shared], Awaitable[None]]], None]


@pytest.mark.parametrize("scenario", [meet, part])
def test_masters_that_share_a_store_keep_it_whole(
    run_shared: Run, scenario: Callable[[Clients], Awaitable[None]]
) -> None:
    async def run(shared: Shared) -> None:
        stores = [await shared.store() for _ in range(3)]
        await scenario(Clients(shared.runtime, 0, *stores))

    run_shared(run)


def test_what_one_master_acknowledged_every_other_one_knows(run_shared: Run) -> None:
    async def run(shared: Shared) -> None:
        clients = Clients(shared.runtime, 0, await shared.store(), await shared.store())
        await clients.format(40)
        for number in range(40):
            wanted = an_instance_request(title=f"root {number % 20}")
            first = await clients.send(wanted)
            assert isinstance(first, RequestedInstance)
            assert await clients.send(wanted) == first

    run_shared(run)


def test_changes_that_do_not_concern_each_other_are_merged_by_the_server(
    run_shared: Run,
) -> None:
    """Eight computers, defined at once in one bucket, need no repetition."""

    async def run(shared: Shared) -> None:
        stores = [await shared.store(), await shared.store()]
        for store in stores:
            await store.ask(Cloud.computer_ids)
        attempts = []

        def define(number: int) -> Callable[[Cloud, int], None]:
            computer = a_computer_definition(0, computer_id=f"COMP-{number}")

            def decide(cloud: Cloud, attempt: int) -> None:
                attempts.append(attempt)
                decisions.define_computer(cloud, computer, 1.0)

            return decide

        await gatherResults(
            [
                Deferred.fromCoroutine(stores[number % 2].decide(define(number)))
                for number in range(8)
            ]
        )

        assert attempts == [0] * 8
        assert len(await stores[0].ask(Cloud.computer_ids)) == 8

    run_shared(run)


def test_changes_of_one_computer_are_merged_by_the_server_too(run_shared: Run) -> None:
    """All of them write its revision; the server has to know how these merge."""

    async def run(shared: Shared) -> None:
        stores = [await shared.store(), await shared.store()]
        clients = Clients(shared.runtime, 0, *stores)
        await clients.format(8)
        places = []
        for number in range(8):
            answer = await clients.send(an_instance_request(title=f"root {number}"))
            assert isinstance(answer, RequestedInstance)
            places.append(answer.key)
        for store in stores:
            await store.ask(Cloud.computer_ids)
        attempts = []

        def publish(number: int) -> Callable[[Cloud, int], None]:
            def decide(cloud: Cloud, attempt: int) -> None:
                attempts.append(attempt)
                decisions.publish_connection(
                    cloud, places[number], {"number": str(number)}, None, 2e9
                )

            return decide

        await gatherResults(
            [
                Deferred.fromCoroutine(stores[number % 2].decide(publish(number)))
                for number in range(8)
            ]
        )

        assert attempts == [0] * 8

    run_shared(run)


def test_a_commit_that_fails_at_the_server_is_refused_and_the_next_one_is_not(
    run_shared: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(shared: Shared) -> None:
        stores = [await shared.store(), await shared.store()]
        clients = Clients(shared.runtime, 0, *stores)
        await clients.format()
        kept = await clients.send(an_instance_request())

        with monkeypatch.context() as patch:
            patch.setattr(FILE_STORAGE, "fsync", fail_to_synchronise)
            for _ in range(2):
                with pytest.raises(Unavailable):
                    await clients.send(an_instance_request(title="refused"))

        wanted = an_instance_request(title="later")
        later = await patiently(shared, lambda: clients.send(wanted))
        assert isinstance(later, RequestedInstance)
        assert await patiently(shared, lambda: clients.send(wanted)) == later
        assert await clients.send(an_instance_request()) == kept
        assert len(await stores[1].ask(Cloud.roots)) == 2

    run_shared(run)


def test_a_server_that_is_away_is_said_at_once_and_found_when_it_is_back(
    run_shared: Run,
) -> None:
    async def run(shared: Shared) -> None:
        store = await shared.store()
        clients = Clients(shared.runtime, 0, store)
        await clients.format()
        wanted = an_instance_request()
        kept = await clients.send(wanted)

        await shared.stop()
        for _ in range(2):
            with pytest.raises(Unavailable, match="is away") as raised:
                await clients.send(wanted)
            assert raised.value.retry_after_seconds
        shared.start()

        assert await patiently(shared, lambda: clients.send(wanted)) == kept

    run_shared(run)


def test_a_server_that_comes_back_with_an_older_file_is_followed(
    run_shared: Run, tmp_path: Path
) -> None:
    async def run(shared: Shared) -> None:
        clients = Clients(shared.runtime, 0, await shared.store())
        await clients.format()
        wanted = an_instance_request()
        await clients.send(wanted)
        copy = tmp_path / "copy.fs"
        back_up(tmp_path / "state.fs", copy, lambda *_: None, is_forced=False)
        await clients.send(an_instance_request(title="later"))

        await shared.stop()
        restore(copy, tmp_path / "state.fs", lambda *_: None, is_forced=True)
        shared.start()

        await patiently(shared, lambda: clients.send(wanted))
        assert len(await clients.store.ask(Cloud.roots)) == 1

    run_shared(run)


def test_a_server_that_falls_silent_keeps_no_call_waiting(run_shared: Run) -> None:
    async def run(shared: Shared) -> None:
        store = await shared.store()
        clients = Clients(shared.runtime, 0, store)
        await clients.format()

        with shared.silence(), pytest.raises(Unavailable, match="is away"):
            await clients.send(an_instance_request())

        await patiently(shared, lambda: clients.send(an_instance_request()))

    run_shared(run)


def test_no_two_masters_give_an_object_the_same_id_after_a_restart(
    run_shared: Run,
) -> None:
    """A server gives ids in advance, and forgets which when it ends."""

    async def run(shared: Shared) -> None:
        storages = [ZeoStorage(shared.address, HASTE) for _ in range(2)]

        async def ids(storage: ZeoStorage, count: int) -> set[bytes]:
            def draw() -> set[bytes]:
                return {storage.new_oid() for _ in range(count)}

            drawn: set[bytes] = await shared.runtime.threads.call(lambda: draw)
            return drawn

        try:
            await ids(storages[0], 1)
            await shared.stop()
            shared.start()
            second = await patiently(shared, lambda: ids(storages[1], 150))
            first = await patiently(shared, lambda: ids(storages[0], 150))
            assert not first & second
        finally:
            for storage in storages:
                storage.close()

    run_shared(run)


def test_a_commit_that_the_server_does_not_know_is_not_acknowledged(
    run_shared: Run,
) -> None:
    """The server was started again between the vote and the end of a commit."""

    async def run(shared: Shared) -> None:
        storage = ZeoStorage(shared.address, HASTE)
        metadata = TransactionMetaData()
        try:
            storage.tpc_begin(metadata)
            storage._call("tpc_abort", id(metadata))  # noqa: SLF001 - to forget it
            with pytest.raises(InDoubt, match="lost the transaction"):
                storage.tpc_finish(metadata)
        finally:
            storage.close()

    run_shared(run)


def test_nobody_at_an_address_is_said_in_a_sentence() -> None:
    address = TcpAddress("127.0.0.1", free_port())

    with pytest.raises(Misconfigured, match="nobody serves a storage at"):
        ZeoStorage(address, Patience(start_seconds=0.1))


def test_a_listener_that_says_nothing_is_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = TcpAddress("127.0.0.1", listener.getsockname()[1])

        with pytest.raises(Misconfigured, match="nobody serves a storage at"):
            ZeoStorage(address, Patience(start_seconds=0.3))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8100", TcpAddress("127.0.0.1", 8100)),
        ("[::1]:8100", TcpAddress("::1", 8100)),
        ("/run/state.socket", UnixAddress("/run/state.socket")),
    ],
)
def test_an_address_is_numeric_or_a_path(text: str, address: object) -> None:
    assert parse_address(text) == address


def test_a_storage_is_served_on_loopback_only(run_real: ReactorBench) -> None:
    with pytest.raises(Misconfigured, match="on loopback only"):
        StorageService(
            "state.fs", TcpAddress("10.0.0.1", 8100), build_runtime(run_real.reactor)
        )


def test_a_socket_of_the_file_system_serves_too(
    run_real: ReactorBench, tmp_path: Path
) -> None:
    async def run() -> None:
        runtime = build_runtime(run_real.reactor)
        path = f"{tmp_path}/zeo.socket"
        service = StorageService(f"{tmp_path}/state.fs", UnixAddress(path), runtime)
        service.startService()
        try:
            open_database(f"zeo:{path}", runtime.calendar).close()
        finally:
            ended = service.stopService()
            assert ended is not None
            await ended
            await runtime.threads.stop()

    run_real(run())


def test_a_file_in_use_and_a_port_in_use_are_said_in_a_sentence(
    run_shared: Run, tmp_path: Path
) -> None:
    async def run(shared: Shared) -> None:
        for path, sentence in (
            (f"{tmp_path}/state.fs", "another process uses"),
            (f"{tmp_path}/other.fs", "cannot serve at"),
        ):
            with pytest.raises(Misconfigured, match=sentence):
                StorageService(path, shared.address, shared.runtime).startService()

    run_shared(run)


async def patiently(shared: Shared, send: Callable[[], Awaitable[object]]) -> object:
    """Ask again while the store is away, as every client does."""
    for _ in range(50):
        try:
            return await send()
        except (Unavailable, ClientDisconnected):
            await deferLater(shared.runtime.clock, 0.1)
    return await send()


def test_what_one_master_commits_is_told_to_the_others(run_shared) -> None:
    """And a question that is asked after that sees it."""

    async def scenario(shared: Shared) -> None:
        one, other = await shared.store(), await shared.store()
        definition = a_computer_definition(3)
        await one.decide(lambda it, _: decisions.define_computer(it, definition, 1.0))
        oid = await other.ask(lambda it: it.revision_oid(definition.computer_id))
        told: Deferred[None] = Deferred()

        def listen(oids: Collection[bytes] | None) -> None:
            if oids is not None and oid in oids and not told.called:
                told.callback(None)

        other.listen(listen)
        more = a_computer_definition(5)
        await one.decide(lambda it, _: decisions.define_computer(it, more, 2.0))
        await told.addTimeout(10, shared.runtime.clock)

        partitions = await other.ask(lambda it: it.partition_ids(more.computer_id))
        assert len(partitions) == 5

    run_shared(scenario)
