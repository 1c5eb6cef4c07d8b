"""What a master answers while its store is away, and after a restart then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest
from attrs import evolve
from transaction.interfaces import TransientError
from twisted.internet.defer import Deferred
from ZODB.DB import DB

from labsim.world.threads import wait_for
from labsim.world.world import World
from master_cluster.bodies import build_document
from master_cluster.config import Config
from master_cluster.errors import Misconfigured
from master_cluster.kept_documents import FRONTIER_FILE, KeptDocuments
from master_cluster.polling import (
    Due,
    NotModified,
    Poll,
    Polling,
)
from master_cluster.service import build_service
from master_cluster.store.storages import MemoryStorage, database_on
from runtime.http_client import HttpClient, HttpReply
from runtime.ports import ICalendar, TcpAddress
from slap import calls
from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.errors import Unavailable
from slap.freshness import FRESHNESS_HEADER, STALE_HEADER
from slap.polling import Condition
from tests.builders import COMPUTER_ID, a_computer_definition, an_installation

POLL = f"getFullComputerInformation?computer_id={COMPUTER_ID}"
STALE, FRESHNESS = STALE_HEADER.lower(), FRESHNESS_HEADER.lower()
DIRECTORY = "/srv/documents"
OTHER = "COMP-2"


class Away(TransientError):
    """Nobody is reached."""


class AwayStorage(MemoryStorage):
    """Somebody else's memory, which may be away."""

    loses_ends = True
    is_away = False
    unlocked: Deferred[None] | None = None
    """What readers wait for, as those of NEO do for what is being committed."""

    def sync(self) -> None:
        if self.is_away:
            raise Away("nobody there")

    def loadBefore(self, oid: bytes, tid: bytes) -> Any:
        if self.unlocked is not None:
            wait_for(self.unlocked)
        return super().loadBefore(oid, tid)


class Bench:
    """A master that keeps documents, and a client of it on another host."""

    def __init__(self) -> None:
        self.world = World(1)
        self.host = self.world.host("master")
        self.storage: Any = None
        self._database: DB | None = None
        address = TcpAddress(self.host.address, 5000)
        self._config = Config(
            "memory:",
            address,
            is_loopback_only=False,
            documents_directory=DIRECTORY,
        )
        self._url = f"http://[{address.host}]:5000/"
        self._http = HttpClient(self.world.host("client").runtime)
        self.boot()
        self.perform(calls.define_computer(a_computer_definition(2)))

    def build(self) -> Any:
        return build_service(self._config, self.host.runtime, self._open)

    def boot(self) -> None:
        self.host.boot(partial(build_service, self._config, opening=self._open))
        self.world.run_for(1)

    def restart(self) -> None:
        self.host.kill()
        self.host.boot()
        self.world.run_for(1)

    def send(
        self,
        path: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        verb: str = "GET",
        body: bytes = b"",
    ) -> HttpReply:
        return self.world.result(self.begin(path, headers, verb, body), 100)

    def begin(
        self,
        path: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        verb: str = "GET",
        body: bytes = b"",
    ) -> Deferred[HttpReply]:
        return Deferred.fromCoroutine(
            self._http.send(verb, self._url + path, headers, body, timeout_seconds=90)
        )

    def perform(self, call: Call) -> object:
        wanted = encode_call(call)
        told = self.send(wanted.path, wanted.headers, wanted.verb, wanted.body)
        return decode_answer(call, HttpAnswer(told.status, told.headers, told.body))

    def close(self) -> None:
        self.storage.is_away = False
        self.unlock()
        self.world.result(self._http.close())
        self.world.result(self.host.stop_services())
        self.world.finish()

    def _open(self, _: str, calendar: ICalendar) -> DB:
        if self.storage is None:
            self.storage = AwayStorage(calendar)
        if self.storage.is_away:
            raise Misconfigured("no store is reached")
        self._database = database_on(self.storage)
        return self._database

    def lock(self) -> None:
        """Let nothing be read from the store, which is there all the same."""
        assert self._database is not None
        self._database.cacheMinimize()
        self.storage.unlocked = Deferred()

    def unlock(self) -> None:
        unlocked, self.storage.unlocked = self.storage.unlocked, None
        if unlocked is not None:
            unlocked.callback(None)


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.close()


def test_a_master_whose_store_is_away_answers_as_of_before(bench: Bench) -> None:
    """And says since when; one that is there again says nothing of it."""
    first = bench.send(POLL)
    assert STALE not in first.headers
    bench.storage.is_away = True
    bench.world.run_for(10)

    stale = bench.send(POLL)
    known = bench.send(POLL, {"If-None-Match": first.headers["etag"]})
    bench.storage.is_away = False
    bench.world.run_for(2)
    current = bench.send(POLL)

    assert (stale.status, stale.body) == (200, first.body)
    assert 9 <= int(stale.headers[STALE]) <= 13
    assert (known.status, known.headers[STALE]) == (304, stale.headers[STALE])
    assert STALE not in current.headers


@pytest.mark.parametrize("is_silent", [False, True])
def test_who_waits_is_told_within_five_seconds_that_the_store_is_lost(
    bench: Bench, is_silent: bool
) -> None:
    """Also when it says nothing at all; whoever comes then does not wait."""
    etag = bench.send(POLL).headers["etag"]
    wanted = {"If-None-Match": etag, "Prefer": "wait=80"}
    waiting = bench.begin(POLL, wanted)
    bench.world.run_for(20)
    assert not waiting.called
    begun = bench.world.clock.seconds()
    threads = bench.host.runtime.threads
    if is_silent:
        threads.pause()
    else:
        bench.storage.is_away = True

    answer = bench.world.result(waiting)
    again = bench.send(POLL, wanted)

    assert bench.world.clock.seconds() - begun < 5
    assert (answer.status, again.status) == (304, 304)
    assert int(answer.headers[STALE]) <= int(again.headers[STALE]) <= 5
    if is_silent:
        threads.resume()
        bench.world.run_for(2)
        assert STALE not in bench.send(POLL).headers


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_change_is_refused_within_five_seconds_while_the_store_is_lost(
    bench: Bench, is_silent: bool
) -> None:
    """Whenever it comes; what was begun may be done, and its caller is told so."""
    bench.world.run_for(10)
    threads = bench.host.runtime.threads
    if is_silent:
        threads.pause()
    else:
        bench.storage.is_away = True
    supply = encode_call(calls.supply(an_installation()))
    told = []
    for _ in range(8):
        begun = bench.world.clock.seconds()
        reply = bench.send(supply.path, supply.headers, supply.verb, supply.body)
        told.append((reply.status, reply.headers["retry-after"]))
        assert bench.world.clock.seconds() - begun < 5
        bench.world.run_for(1)

    assert set(told) == {(503, "2")}
    bench.storage.is_away = False
    threads.resume()
    bench.world.run_for(3)
    bench.perform(calls.supply(an_installation()))


def test_a_document_that_cannot_be_read_for_long_is_answered_as_of_before(
    bench: Bench,
) -> None:
    """The store is there, but holds what it needs, as NEO does when a commit hangs."""
    first = bench.send(POLL)
    bench.world.run_for(5)
    bench.perform(calls.supply(an_installation()))
    bench.lock()
    begun = bench.world.clock.seconds()

    stale = bench.send(POLL)
    lasted = bench.world.clock.seconds() - begun
    again = bench.send(POLL, {"If-None-Match": first.headers["etag"]})
    lasted_again = bench.world.clock.seconds() - begun - lasted
    bench.unlock()
    bench.world.run_for(1)
    current = bench.send(POLL)

    assert lasted < 4
    assert lasted_again < 0.5
    assert (stale.status, stale.body) == (200, first.body)
    assert 2 <= int(stale.headers[STALE]) <= 5
    assert (again.status, int(again.headers[STALE]) <= 5) == (304, True)
    assert (current.status, STALE in current.headers) == (200, False)
    assert current.body != first.body


def test_who_has_seen_more_than_what_cannot_be_read_is_sent_on(bench: Bench) -> None:
    """Another replica may know it; waiting here helps nobody."""
    bench.send(POLL)
    supply = encode_call(calls.supply(an_installation()))
    told = bench.send(supply.path, supply.headers, supply.verb, supply.body)
    bench.lock()
    begun = bench.world.clock.seconds()

    refused = bench.send(POLL, {FRESHNESS_HEADER: told.headers[FRESHNESS]})

    assert bench.world.clock.seconds() - begun < 4
    assert (refused.status, b"behind" in refused.body) == (503, True)


def test_a_document_that_was_never_computed_is_waited_for(bench: Bench) -> None:
    """Busy is not dead: whoever begins has no other answer to be given."""
    bench.lock()

    waiting = bench.begin(POLL)
    bench.world.run_for(30)
    assert not waiting.called
    bench.unlock()

    assert bench.world.result(waiting).status == 200


def test_a_change_that_was_heard_and_not_read_is_not_hidden(bench: Bench) -> None:
    """The document is as of the last proof before it changed, and marked so."""
    first = bench.send(POLL)
    bench.world.run_for(5)
    bench.perform(calls.supply(an_installation()))
    bench.storage.is_away = True
    bench.world.run_for(30)

    stale = bench.send(POLL)

    assert stale.body == first.body
    assert int(stale.headers[STALE]) >= 30


def test_who_has_seen_more_is_not_answered_as_of_before(bench: Bench) -> None:
    etag = bench.send(POLL).headers["etag"]
    changed = bench.begin(
        encode_call(calls.supply(an_installation())).path,
        verb="POST",
        headers=encode_call(calls.supply(an_installation())).headers,
        body=encode_call(calls.supply(an_installation())).body,
    )
    seen = bench.world.result(changed).headers[FRESHNESS]
    bench.storage.is_away = True
    bench.world.run_for(5)

    refused = bench.send(POLL, {"If-None-Match": etag, FRESHNESS_HEADER: seen})

    assert (refused.status, b"behind" in refused.body) == (503, True)
    assert refused.headers["retry-after"]


def test_a_document_is_good_up_to_what_was_heard(bench: Bench) -> None:
    """A change of another computer leaves it current: nobody has it computed anew."""
    first = bench.send(POLL)
    bench.perform(calls.define_computer(evolve_id(OTHER)))
    seen = bench.send(POLL.replace(COMPUTER_ID, OTHER)).headers[FRESHNESS]
    assert seen > first.headers[FRESHNESS]
    bench.world.run_for(3)
    bench.storage.is_away = True
    bench.world.run_for(5)

    answer = bench.send(POLL, {FRESHNESS_HEADER: seen})

    assert (answer.status, answer.body) == (200, first.body)
    assert answer.headers[FRESHNESS] == seen


def test_a_master_that_is_started_without_its_store_answers_from_disk(
    bench: Bench,
) -> None:
    """As of the last proof; it is not ready, and goes on when the store is there."""
    first = bench.send(POLL)
    bench.perform(calls.define_computer(evolve_id(OTHER)))
    seen = bench.send(POLL.replace(COMPUTER_ID, OTHER)).headers[FRESHNESS]
    bench.world.run_for(20)
    bench.storage.is_away = True
    bench.world.run_for(20)
    bench.restart()

    stale = bench.send(POLL, {FRESHNESS_HEADER: seen})
    known = bench.send(POLL, {"If-None-Match": first.headers["etag"]})
    behind = bench.send(POLL, {FRESHNESS_HEADER: "1" * 16})
    unknown = bench.send(POLL.replace(COMPUTER_ID, "COMP-9"))
    ready = bench.send("readyz")
    with pytest.raises(Unavailable) as raised:
        bench.perform(calls.supply(an_installation()))
    assert bench.send("healthz").status == 200

    assert (stale.status, stale.body) == (200, first.body)
    assert 20 <= int(stale.headers[STALE]) <= 35
    assert (known.status, behind.status, unknown.status) == (304, 503, 503)
    assert (ready.status, raised.value.retry_after_seconds) == (503, 5)
    bench.storage.is_away = False
    bench.world.run_for(10)
    assert bench.send("readyz").status == 200
    current = bench.send(POLL, {FRESHNESS_HEADER: seen})
    assert (current.status, STALE in current.headers) == (200, False)


def test_a_master_that_never_had_its_store_does_not_start(bench: Bench) -> None:
    """It has nothing to answer with, and its operator is told what is wrong."""
    bench.host.kill()
    bench.host.runtime.file_tree(DIRECTORY).remove(FRONTIER_FILE)
    bench.storage.is_away = True

    with pytest.raises(Misconfigured):
        bench.world.result(bench.build().startService())


def evolve_id(computer_id: str) -> Any:
    return evolve(a_computer_definition(1), computer_id=computer_id)


class Disk:
    """Kept documents of one life after the other."""

    def __init__(self) -> None:
        self.world = World(1)
        self.host = self.world.host("master")

    def life(self, bytes_max: int = 1_000_000) -> KeptDocuments:
        return KeptDocuments(self.host.runtime, DIRECTORY, bytes_max)

    def rest(self) -> None:
        self.world.run_for(1)


def a_document(text: str, tid: int) -> Any:
    return evolve(build_document(text.encode()), tid=tid.to_bytes(8))


def is_any(_: str, __: str) -> bool:
    return True


def test_a_frontier_is_for_what_was_written_before_it_and_is_current() -> None:
    disk = Disk()
    kept = disk.life()
    for number in (1, 2):
        kept.keep(f"COMP-{number}", a_document("a", number))
    disk.rest()
    kept.advance((7).to_bytes(8), 0.0, lambda it, _: it == "COMP-1", is_now=True)
    disk.rest()
    kept.keep("COMP-3", a_document("a", 3))
    disk.rest()

    again = disk.life()

    recalled = {it: again.recall(it) for it in ("COMP-1", "COMP-2", "COMP-3")}
    assert {name: it and it.good_to[-1] for name, it in recalled.items()} == {
        "COMP-1": 7,
        "COMP-2": 2,
        "COMP-3": 3,
    }
    assert again.recall("COMP-4") is None


def test_a_frontier_of_an_earlier_life_says_nothing_of_what_this_one_wrote() -> None:
    disk = Disk()
    kept = disk.life()
    kept.advance((7).to_bytes(8), 0.0, is_any, is_now=True)
    disk.rest()
    later = disk.life()
    later.keep("COMP-1", a_document("a", 3))
    disk.rest()

    recalled = disk.life().recall("COMP-1")

    assert recalled is not None
    assert recalled.good_to[-1] == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda it: it[:-1],
        lambda it: it.replace(b"COMP-1", b"COMP-2"),
        lambda it: it.partition(b"\n")[0],
        lambda _: b"",
        lambda _: b"[]\n",
        lambda _: b"{}\nx",
        lambda _: b"\xff\xff",
    ],
)
def test_a_damaged_document_is_none(damage: Callable[[bytes], bytes]) -> None:
    disk = Disk()
    kept = disk.life()
    kept.keep("COMP-1", a_document("a", 1))
    disk.rest()
    tree = disk.host.runtime.file_tree(DIRECTORY)
    (name,) = tree.list()
    tree.write(name, damage(tree.read(name)))

    assert disk.life().recall("COMP-1") is None


@pytest.mark.parametrize("content", [b"", b"{}", b'{"frontier": []}', b"\xff"])
def test_a_damaged_frontier_is_none(content: bytes) -> None:
    disk = Disk()
    disk.life().advance((7).to_bytes(8), 0.0, is_any, is_now=True)
    disk.rest()
    tree = disk.host.runtime.file_tree(DIRECTORY)
    tree.write(FRONTIER_FILE, content)

    assert not disk.life().is_known


def test_documents_stay_within_their_bound_those_written_last() -> None:
    disk = Disk()
    kept = disk.life(bytes_max=800)
    for number in range(5):
        kept.keep(f"COMP-{number}", a_document("a", number))
        disk.rest()

    left = [it for it in range(5) if disk.life().recall(f"COMP-{it}") is not None]
    assert left[-1] == 4
    assert 0 < len(left) < 5


def test_what_is_known_to_be_current_is_told_no_later_than_it_is_asked_for() -> None:
    """So whoever has seen it is answered by those, too, who heard less."""
    polling, tids = Polling(), [it.to_bytes(8) for it in range(10)]
    polling.learn("COMP-1", b"1" * 8)
    polling.begin(Poll("COMP-1"))
    document = a_document("a", 2)
    polling.finish("COMP-1", document)
    polling.prove(5.0, tids[7])
    condition = Condition({document.etag})

    def answer(seen: int) -> object:
        due = polling.begin(Poll("COMP-1", condition, seen=tids[seen]))
        return due.answers[0][1] if due.answers else due

    assert answer(1) == NotModified(document.etag, tid=tids[2])
    assert answer(6) == NotModified(document.etag, tid=tids[6])
    assert answer(8) == Due(computing=("COMP-1",))


def test_what_was_heard_before_a_change_is_not_known_after_it() -> None:
    polling, tids = Polling(), [it.to_bytes(8) for it in range(10)]
    polling.learn("COMP-1", b"1" * 8)
    polling.begin(Poll("COMP-1"))
    document = a_document("a", 2)
    polling.finish("COMP-1", document)
    polling.prove(5.0, tids[5])
    polling.hear({b"1" * 8})
    polling.prove(9.0, tids[8])
    polling.lose()

    def answer(seen: int) -> object:
        ((_, answer),) = polling.begin(Poll("COMP-1", seen=tids[seen])).answers
        return answer

    assert answer(5) == evolve(document, tid=tids[5], current_at=5.0)
    assert answer(0) == evolve(document, tid=tids[2], current_at=5.0)
    assert isinstance(answer(6), Unavailable)
