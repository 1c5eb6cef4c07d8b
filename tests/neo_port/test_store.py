"""Masters on one NEO store: what they share, and what they say when it is away."""

from __future__ import annotations

import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event  # noqa: TID251 - holds the thread that reconnects
from typing import Any

import pytest
from attrs import evolve
from neo.client.app import Application
from neo.lib.protocol import Packets
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from ZODB.DB import DB

from master_cluster.errors import Misconfigured
from master_cluster.store import decisions
from master_cluster.store.announcing import EVERYTHING, AnnouncingStorage
from master_cluster.store.attempt import Dated
from master_cluster.store.cloud import Cloud
from master_cluster.store.neo_client import NeoStorage
from master_cluster.store.neo_uri import NeoPlace, parse_neo_uri
from master_cluster.store.storages import database_on, open_database
from master_cluster.store.store import Store
from runtime.real import build_runtime
from slap.errors import Unavailable
from slap.model import RequestedInstance
from tests import programs
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.neo_port.test_cluster import NAME, SECONDS_MAX, NeoCluster
from tests.reactor import ReactorBench
from tests.unit.master_cluster.invariants import check_cloud
from tests.unit.master_cluster.test_concurrency import Clients, meet, part

BIN = Path(__file__).parents[2] / "bin"
WAIT_SECONDS = 1
REQUEST_COUNT = 30

# A client of NEO ends its thread by SystemExit, which Python passes over.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


class Masters:
    """Stores of as many masters as are asked for, on one neo_cluster."""

    def __init__(self, neo_cluster: NeoCluster, bench: ReactorBench) -> None:
        # What a store says of refused commits is expected here.
        quiet = Logger(observer=lambda _: None)
        self.runtime = evolve(build_runtime(bench.reactor), log=quiet)
        self.neo = neo_cluster
        masters = neo_cluster.master_nodes.replace(" ", ",")
        self.uri = f"neo:{NAME}@{masters}?wait={WAIT_SECONDS}"
        if neo_cluster.is_announced:
            translated = neo_cluster.translated.replace(" ", ",")
            self.uri += f"&translate={translated}"
        self._stores: list[Store] = []

    async def store(self, **options: object) -> Store:
        place = evolve(parse_neo_uri(self.uri), **options)
        database = DB(AnnouncingStorage(NeoStorage(place)), pool_size=16)
        store = Store(database, self.runtime)
        self._stores.append(store)
        await store.prepare()
        return store

    async def patiently(self, ask: Callable[[], Awaitable[object]]) -> object:
        """Ask again while the store is away, as every client does."""
        deadline = self.runtime.clock.seconds() + SECONDS_MAX
        while True:
            try:
                return await ask()
            except Unavailable:
                if self.runtime.clock.seconds() > deadline:
                    raise
            await deferLater(self.runtime.clock, 0.1)

    async def until_refused(self, clients: Clients) -> None:
        """Ask until the loss is noticed: the first calls may be faster."""
        for _ in range(1000):
            await clients.send(an_instance_request(title="refused"))

    async def close(self) -> None:
        await self.runtime.threads.stop()
        for store in self._stores:
            store.close()


Scenario = Callable[[Masters], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=["bound"])
def neo_cluster(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NeoCluster]:
    with ExitStack() as stack:
        yield NeoCluster(tmp_path, BIN, stack, request.param == "announced")


@pytest.fixture
def run(neo_cluster: NeoCluster, run_real: ReactorBench) -> Run:
    """Run a coroutine with masters on a neo_cluster, closed after it."""

    def run_now(scenario: Scenario) -> None:
        async def main() -> None:
            masters = Masters(neo_cluster, run_real)
            try:
                await scenario(masters)
            finally:
                await masters.close()

        run_real(main(), timeout_seconds=2 * SECONDS_MAX)

    return run_now


@pytest.mark.parametrize("neo_cluster", ["announced"], indirect=True)
def test_masters_that_share_a_store_keep_it_whole(run: Run) -> None:
    """Over addresses that lead elsewhere, reading from one storage node."""

    async def scenario(masters: Masters) -> None:
        near = masters.neo.addresses[:1]
        stores = [await masters.store(near=near) for _ in range(3)]
        await meet(Clients(masters.runtime, 0, *stores))

    run(scenario)


def test_masters_of_one_store_meet_and_part(run: Run) -> None:
    async def scenario(masters: Masters) -> None:
        stores = [await masters.store() for _ in range(2)]
        await part(Clients(masters.runtime, 0, *stores))

    run(scenario)


def test_what_one_master_acknowledged_every_other_one_knows(run: Run) -> None:
    """And each answer says which transaction it knows; those of NEO grow."""

    async def scenario(masters: Masters) -> None:
        one, other = await masters.store(), await masters.store()
        clients = Clients(masters.runtime, 0, one, other)
        await clients.format()
        last = b""
        for number in range(20):
            wanted = an_instance_request(title=f"root {number}")
            first = await clients.send(wanted)
            assert isinstance(first, RequestedInstance)
            definition = a_computer_definition(40 + number)
            decided = await one.decide_dated(
                lambda it, _, new=definition: decisions.define_computer(it, new, 1.0)
            )
            told = await other.ask_dated(Cloud.roots)
            assert len(told.answer) == number + 1
            assert last < decided.tid <= told.tid
            last = told.tid

    run(scenario)


def test_what_one_master_commits_is_told_to_the_others(run: Run) -> None:
    """And a question that is asked after that sees it."""

    async def scenario(masters: Masters) -> None:
        one, other = await masters.store(), await masters.store()
        definition = a_computer_definition(3)
        await one.decide(lambda it, _: decisions.define_computer(it, definition, 1.0))
        oid = await other.ask(lambda it: it.revision_oid(definition.computer_id))
        told = listened(other, lambda oids: oids is not None and oid in oids)

        more = a_computer_definition(5)
        await one.decide(lambda it, _: decisions.define_computer(it, more, 2.0))
        await told.addTimeout(10, masters.runtime.clock)

        partitions = await other.ask(lambda it: it.partition_ids(more.computer_id))
        assert len(partitions) == 5

    run(scenario)


@pytest.mark.parametrize("victim", ["storage node", "primary"])
def test_a_kill_among_decisions_loses_nothing_that_was_acknowledged(
    run: Run, victim: str
) -> None:
    async def scenario(masters: Masters) -> None:
        stores = [await masters.store(), await masters.store()]
        clients = Clients(masters.runtime, 0, *stores)
        await clients.format()
        kept = {}
        for number in range(REQUEST_COUNT):
            wanted = an_instance_request(title=f"root {number}")
            sending = Deferred.fromCoroutine(
                masters.patiently(lambda new=wanted: clients.send(new))
            )
            if number == REQUEST_COUNT // 2:
                # While the decision runs.
                kill(masters.neo, victim)
            kept[number] = await sending
            assert isinstance(kept[number], RequestedInstance)

        for store in stores:
            await masters.patiently(lambda it=store: it.ask(check_cloud))
            roots = await store.ask(Cloud.roots)
            assert len(roots) == REQUEST_COUNT
        for number, answer in kept.items():
            wanted = an_instance_request(title=f"root {number}")
            assert await clients.send(wanted) == answer

    run(scenario)


@pytest.mark.parametrize("victim", ["storage node", "primary"])
def test_what_is_counted_is_counted_once_when_something_is_killed(
    run: Run, victim: str
) -> None:
    """Nothing but its mark tells such a commit from one that was not made."""

    def count(cloud: Cloud, _: int) -> int:
        stored = cloud._stored  # noqa: SLF001 - to count
        stored.counted = getattr(stored, "counted", 0) + 1
        counted: int = stored.counted
        return counted

    async def scenario(masters: Masters) -> None:
        store = await masters.store(wait_seconds=SECONDS_MAX)
        answers = []
        for number in range(REQUEST_COUNT):
            counting = Deferred.fromCoroutine(store.decide(count))
            if number == REQUEST_COUNT // 2:
                kill(masters.neo, victim)
            answers.append(await counting)

        assert answers == list(range(1, REQUEST_COUNT + 1))

    run(scenario)


def lose_all(masters: Masters, _: Any) -> None:
    for neo_master in masters.neo.neo_masters.values():
        neo_master.send_signal(signal.SIGKILL)
        neo_master.wait()


def lose_primary(masters: Masters, _: Any) -> None:
    primary = masters.neo.primary()
    primary.send_signal(signal.SIGKILL)
    primary.wait()


def lose_answer(_: Masters, app: Any) -> None:
    def close(conn: Any, *_: object, **__: object) -> None:
        del app.notifications_handler.answerTransactionFinished
        conn.close()

    app.notifications_handler.answerTransactionFinished = close


def lose_answer_and_all(masters: Masters, app: Any) -> None:
    """All neo_masters go when the transaction has its end, and nobody hears of it."""

    def close(conn: Any, *_: object, **__: object) -> None:
        del app.notifications_handler.answerTransactionFinished
        lose_all(masters, app)
        conn.close()

    app.notifications_handler.answerTransactionFinished = close


def at_the_end(app: Any, do: Callable[[], None]) -> None:
    """Do something when the next transaction is to be finished."""
    ask = app._askPrimary  # noqa: SLF001 - to hold it at its end

    def do_and_ask(packet: Any, *conn: Any, **options: Any) -> Any:
        if type(packet) is Packets.AskFinishTransaction:
            del app._askPrimary  # noqa: SLF001
            do()
        return ask(packet, *conn, **options)

    app._askPrimary = do_and_ask  # noqa: SLF001


@pytest.mark.parametrize(
    ("lose", "decided_count"),
    [(lose_all, 2), (lose_primary, 2), (lose_answer, 1), (lose_answer_and_all, 1)],
)
def test_a_commit_whose_end_is_lost_is_looked_for(
    run: Run, lose: Callable[[Masters, Any], None], decided_count: int
) -> None:
    """Found, or done again: also when nobody can say before the client gives up."""

    async def scenario(masters: Masters) -> None:
        store, other = await masters.store(), await masters.store()
        app, ran = app_of(store), []
        at_the_end(app, lambda: lose(masters, app))

        def decide(cloud: Cloud, attempt: int) -> None:
            ran.append(attempt)
            decisions.define_computer(cloud, a_computer_definition(1), 1.0)

        deciding = Deferred.fromCoroutine(store.decide_dated(decide))
        if lose in (lose_all, lose_answer_and_all):
            # Longer than any call waits for them.
            await deferLater(masters.runtime.clock, 2 * WAIT_SECONDS)
            masters.neo.start_neo_masters()
        decided = await deciding
        told = await masters.patiently(lambda: other.ask_dated(Cloud.computer_ids))
        assert told == Dated((COMPUTER_ID,), decided.tid)
        assert len(ran) == decided_count

    run(scenario)


def test_a_commit_that_ends_after_its_client_gave_up_is_found(run: Run) -> None:
    """By the connection too that wrote it, and that was told of no end."""

    async def scenario(masters: Masters) -> None:
        store = await masters.store(wait_seconds=SECONDS_MAX)
        other = await masters.store(wait_seconds=SECONDS_MAX)
        app, primary = app_of(store), masters.neo.primary()
        assert await store.ask(Cloud.computer_ids) == ()
        at_the_end(app, lambda: primary.send_signal(signal.SIGSTOP))
        patience, app.patience = app.patience, 0.2
        settle, ran = store._settle, []  # noqa: SLF001 - to know when it is in doubt

        async def settle_later(*arguments: Any) -> Any:
            app.patience = patience
            primary.send_signal(signal.SIGCONT)
            return await settle(*arguments)

        def decide(cloud: Cloud, attempt: int) -> None:
            ran.append(attempt)
            decisions.define_computer(cloud, a_computer_definition(1), 1.0)

        store._settle = settle_later  # type: ignore[method-assign] # noqa: SLF001
        await store.decide(decide)

        assert ran == [0]
        for each in (store, other):
            assert await each.ask(Cloud.computer_ids) == (COMPUTER_ID,)

    run(scenario)


def test_a_neo_cluster_that_is_away_is_said_within_the_bound_and_found_again(
    run: Run,
) -> None:
    """A master that asks nothing finds it again too, and is told of what comes."""

    async def scenario(masters: Masters) -> None:
        one, other = await masters.store(), await masters.store()
        clients = Clients(masters.runtime, 0, one)
        await clients.format()
        wanted = an_instance_request()
        kept = await clients.send(wanted)
        told = listened(other, lambda _: True)

        for neo_master in masters.neo.neo_masters.values():
            neo_master.send_signal(signal.SIGKILL)
            neo_master.wait()
        clock = masters.runtime.clock
        began = clock.seconds()
        for within_seconds in (WAIT_SECONDS + 2, WAIT_SECONDS + 3):
            with pytest.raises(Unavailable, match="is away") as raised:
                await clients.send(an_instance_request(title="refused"))
            assert raised.value.retry_after_seconds
            assert clock.seconds() - began < within_seconds
        masters.neo.start_neo_masters()

        assert await masters.patiently(lambda: clients.send(wanted)) == kept
        await clients.send(an_instance_request(title="another"))
        await told.addTimeout(10, clock)
        assert len(await other.ask(Cloud.roots)) == 2

    run(scenario)


def test_a_master_that_missed_something_is_told_that_it_may_be_anything(
    run: Run,
) -> None:
    """And finds what the others wrote when it asks then."""

    async def scenario(masters: Masters) -> None:
        one, other = await masters.store(), await masters.store()
        clients = Clients(masters.runtime, 0, one)
        await clients.format()
        await other.ask(Cloud.roots)
        told = listened(other, lambda oids: oids is EVERYTHING)
        app = app_of(other)
        connect, may_connect = app._connectToPrimaryNode, Event()  # noqa: SLF001

        def connect_later() -> object:
            assert may_connect.wait(SECONDS_MAX)
            return connect()

        app._connectToPrimaryNode = connect_later  # noqa: SLF001
        app.master_conn.close()
        await clients.send(an_instance_request())
        may_connect.set()
        await told.addTimeout(10, masters.runtime.clock)

        assert len(await other.ask(Cloud.roots)) == 1

    run(scenario)


def test_a_neo_cluster_that_does_not_run_is_away(run: Run) -> None:
    """Its masters are there, and say that they wait for storage nodes."""

    async def scenario(masters: Masters) -> None:
        clients = Clients(masters.runtime, 0, await masters.store())
        await clients.format()
        kept = await clients.send(an_instance_request())

        for storage_node in masters.neo.storages:
            storage_node.send_signal(signal.SIGKILL)
            storage_node.wait()
        with pytest.raises(Unavailable):
            await masters.until_refused(clients)
        for number in range(2):
            masters.neo.start_storage(number)

        send = clients.send
        assert await masters.patiently(lambda: send(an_instance_request())) == kept

    run(scenario)


def test_what_is_no_neo_cluster_is_said_in_a_sentence(neo_cluster: NeoCluster) -> None:
    masters = tuple(neo_cluster.master_nodes.split())
    nobody = (f"127.0.0.1:{programs.free_port()}",)

    for place, sentence in (
        (
            NeoPlace("other", masters),
            "no NEO cluster other runs.* invalid cluster name",
        ),
        (
            NeoPlace(NAME, nobody, wait_seconds=0),
            f"no NEO cluster {NAME} runs at {nobody[0]}, not",
        ),
    ):
        with pytest.raises(Misconfigured, match=sentence):
            NeoStorage(place, start_seconds=0.5)


def test_a_neo_master_that_says_nothing_is_left(neo_cluster: NeoCluster) -> None:
    """It accepts connections, as a stopped process does, and another one is asked."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        host, port = mute.getsockname()
        neo_masters = f"{host}:{port} {neo_cluster.master_nodes}"
        app = Application(neo_masters, NAME, wait=SECONDS_MAX, silence=1)
        app.primary_master_node = app.nm.getByAddress((host, port))
        try:
            app.sync()
            assert app.primary_master_node.getAddress() != (host, port)
            mute.settimeout(0)
            mute.accept()[0].close()
        finally:
            app.close()


def test_masters_may_begin_at_once_on_an_empty_store(
    neo_cluster: NeoCluster, run_real: ReactorBench
) -> None:
    """Each finds no root, and one makes it."""
    runtime = build_runtime(run_real.reactor)
    masters = neo_cluster.master_nodes.replace(" ", ",")
    uri = f"neo:{NAME}@{masters}"
    opened = []

    class LateStorage(NeoStorage):
        """Another master is faster, once."""

        def tpc_begin(self, *arguments: Any) -> None:
            if not opened:
                opened.append(open_database(uri, runtime.calendar))
            super().tpc_begin(*arguments)

    late = database_on(LateStorage(parse_neo_uri(uri)))

    assert late.storage.lastTransaction() == opened[0].storage.lastTransaction()
    for database in (late, *opened):
        database.close()


def test_a_uri_opens_a_store(neo_cluster: NeoCluster, run_real: ReactorBench) -> None:
    masters = neo_cluster.master_nodes.replace(" ", ",")
    runtime = build_runtime(run_real.reactor)
    database = open_database(f"neo:{NAME}@{masters}", runtime.calendar)

    assert database.storage.lastTransaction()
    database.close()


def listened(
    store: Store, is_wanted: Callable[[Collection[bytes] | None], bool]
) -> Deferred[None]:
    """Fires at the first announcement that is wanted."""
    told: Deferred[None] = Deferred()

    def listen(oids: Collection[bytes] | None) -> None:
        if is_wanted(oids) and not told.called:
            told.callback(None)

    store.listen(listen)
    return told


def app_of(store: Store) -> Any:
    """NEO's own side of a store: what is cut and held there."""
    return store._database.storage._storage.app  # noqa: SLF001 - no other way


def kill(neo_cluster: NeoCluster, victim: str) -> None:
    chosen = neo_cluster.primary() if victim == "primary" else neo_cluster.storages[1]
    chosen.send_signal(signal.SIGKILL)
