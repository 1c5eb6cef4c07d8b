"""A state that is frozen, thawed and moved: nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from labsim.stores import open_untold_memory
from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.service import build_service
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from master_cluster.store.storages import MemoryStorage, database_on, later_tid
from master_cluster.transferring import (
    KeptStanding,
    check_opened,
    decide_freeze,
    decide_move,
    decide_opening,
    decide_thaw,
    refusal_of_changes,
)
from runtime.http_client import HttpReply
from runtime.ports import TcpAddress
from slap import calls
from slap.errors import BadRequest, MasterAway, Refusal, SlapError, Unavailable
from slap.freshness import FRESHNESS_HEADER, UNSEEN
from slap.replicas import REPLICAS_HEADER, ListedReplica, Replicas, decode_replicas
from slap.transfer import Moved, Standing, TransferReport
from slapgrid.slap_client import SlapClient
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.unit.master_cluster.benches import StoreBench, WebBench

EU = ListedReplica("http://[2001:db8::1]:5000", "eu")
US = ListedReplica("http://[2001:db8::2]:5000", "us")
DIGEST = "5" * 64
POLL = f"getFullComputerInformation?computer_id={COMPUTER_ID}"

KEPT = {
    "open": KeptStanding(),
    "opened": KeptStanding(digest=DIGEST),
    "frozen": KeptStanding(Standing.FROZEN),
    "moved": KeptStanding(Standing.MOVED, (EU,)),
}
ASKED: dict[str, Callable[[KeptStanding], object]] = {
    "freeze": decide_freeze,
    "thaw": decide_thaw,
    "move to eu": lambda it: decide_move(it, (EU,)),
    "move to us": lambda it: decide_move(it, (US,)),
    "open": lambda it: check_opened(it, DIGEST),
    "open another": lambda it: check_opened(it, "6" * 64),
    "open a copy": lambda it: decide_opening(it, DIGEST),
}
#: What comes of it: the standing afterwards, or the error.
TABLE = """
                open     opened   frozen   moved
freeze          frozen   frozen   frozen   Moved
thaw            open     open     open     Moved
move to eu      Refusal  Refusal  moved    moved
move to us      Refusal  Refusal  moved    Refusal
open            Refusal  None     Refusal  Moved
open another    Refusal  Refusal  Refusal  Moved
open a copy     open     open     open     Refusal
"""


def rows() -> Iterator[tuple[str, str, str]]:
    head, *lines = TABLE.strip("\n").splitlines()
    for line in lines:
        name, cells = line[:16].strip(), line[16:].split()
        yield from (
            (name, kept, it) for kept, it in zip(head.split(), cells, strict=True)
        )


@pytest.mark.parametrize(("asked", "kept", "expected"), list(rows()))
def test_what_becomes_of_a_standing_is_a_table(
    asked: str, kept: str, expected: str
) -> None:
    assert outcome_of(ASKED[asked], KEPT[kept]) == expected


def outcome_of(ask: Callable[[KeptStanding], object], kept: KeptStanding) -> str:
    try:
        outcome = ask(kept)
    except SlapError as error:
        return type(error).__name__
    return str(outcome.standing if isinstance(outcome, KeptStanding) else outcome)


def test_the_table_has_every_cell() -> None:
    assert {it[:2] for it in rows()} == set(product(ASKED, KEPT))


@given(st.lists(st.sampled_from(sorted(ASKED)), max_size=8))
def test_what_is_asked_twice_is_done_once_and_moved_is_for_good(
    asked: list[str],
) -> None:
    kept = KeptStanding()
    for name in asked:
        if name.startswith("open"):
            continue
        try:
            after = ASKED[name](kept)
        except SlapError:
            continue
        assert isinstance(after, KeptStanding)
        assert ASKED[name](after) == after
        assert kept.standing is not Standing.MOVED or after == kept
        kept = after
    assert isinstance(refusal_of_changes(kept), Moved) == bool(kept.replicas)


# In a store


def freeze(cloud: Cloud, _: int = 0) -> None:
    cloud.standing.write(decide_freeze(cloud.standing.read()))


def thaw(cloud: Cloud, _: int = 0) -> None:
    cloud.standing.write(decide_thaw(cloud.standing.read()))


class MarkedStorage(MemoryStorage):
    """One whose commits have marks, as those of NEO."""

    loses_ends = True

    def sync(self) -> None:
        """Be there."""


def build_bench(storage: type[MemoryStorage], seed: int = 0) -> StoreBench:
    return StoreBench(
        seed=seed, opening=lambda _, calendar: database_on(storage(calendar))
    )


STORAGES = pytest.mark.parametrize("storage", [MemoryStorage, MarkedStorage])


@STORAGES
def test_a_frozen_state_is_read_and_not_changed(storage: type[MemoryStorage]) -> None:
    """What changes nothing is answered; thawed, everything goes on."""
    bench = build_bench(storage)
    bench.format(2)
    known = bench.request("root")
    bench.decide(freeze)
    last = bench.store._database.storage.lastTransaction()  # noqa: SLF001

    assert bench.request("root").key == known.key
    with pytest.raises(Unavailable, match="being moved") as raised:
        bench.request("another")
    assert raised.value.retry_after_seconds
    bench.decide(freeze)
    bench.world.result(bench.store.prepare())
    assert bench.store._database.storage.lastTransaction() == last  # noqa: SLF001

    bench.decide(thaw)
    assert bench.request("another").key != known.key
    bench.close()


@STORAGES
@pytest.mark.parametrize("seed", range(8))
def test_what_races_with_a_freeze_ends_before_it_or_is_refused(
    storage: type[MemoryStorage], seed: int
) -> None:
    """Whatever was acknowledged, ever, is in the state as it was frozen; no more is."""
    bench = build_bench(storage, seed)
    bench.format(20)
    before = [begin_request(bench, f"before {it}") for it in range(4)]
    freezing = Deferred.fromCoroutine(bench.store.decide_dated(freeze))
    after = [begin_request(bench, f"after {it}") for it in range(4)]
    frozen = bench.world.result(freezing)

    acknowledged = set()
    for title, asked in (*before, *after):
        try:
            bench.world.result(asked)
        except Unavailable:
            continue
        acknowledged.add(title)
    assert bench.ask(lambda it: {root.title for root in it.roots()}) == acknowledged
    last = bench.store._database.storage.lastTransaction()  # noqa: SLF001
    assert last == frozen.tid
    bench.decide(thaw)
    bench.close()


def begin_request(bench: StoreBench, title: str) -> tuple[str, Deferred[object]]:
    guid = f"SOFTINST-{bench.runtime.entropy.getrandbits(96):024x}"
    asked = bench.store.decide(
        lambda it, attempt: decisions.request_instance(
            it,
            an_instance_request(title=title),
            instance_guid=guid,
            default_computer_id=None,
            now=bench.now(),
            attempt=attempt,
        )
    )
    return title, Deferred.fromCoroutine(asked)


def test_a_store_that_is_behind_is_not_proven_while_it_is_frozen() -> None:
    """It has a last transaction; who has seen more asks elsewhere."""
    bench = WebBench()
    bench.perform(calls.define_computer(a_computer_definition(1)))
    bench.perform(calls.freeze())
    later = later_tid(bench.host.runtime.calendar.now() + 5, UNSEEN)
    seen = {FRESHNESS_HEADER: later.hex()}

    refused = bench.send("GET", POLL, seen)
    bench.perform(calls.thaw())
    bench.world.run_for(6)

    assert (refused.status, b"behind" in refused.body) == (503, True)
    assert bench.send("GET", POLL, seen).status == 200
    bench.close()


# At a master


@pytest.fixture
def web():
    bench = WebBench()
    bench.perform(calls.define_computer(a_computer_definition(2)))
    yield bench
    bench.close()


def begin_poll(web: WebBench, etag: str) -> Deferred[HttpReply]:
    url = f"http://127.0.0.1:5000/{POLL}"
    headers = {"If-None-Match": etag, "Prefer": "wait=80"}
    asked = web._client.send("GET", url, headers, timeout_seconds=90)  # noqa: SLF001
    return Deferred.fromCoroutine(asked)


def standing_of(web: WebBench) -> str:
    report = web.perform(calls.get_transfer())
    assert isinstance(report, TransferReport)
    return report.standing


def test_polls_go_on_while_nothing_is_changed(web: WebBench) -> None:
    """Waiting ones too; and the standing is that of the store after a restart."""
    etag = web.send("GET", POLL).headers["etag"]
    waiting = begin_poll(web, etag)
    web.perform(calls.freeze())
    web.world.run_for(10)

    with pytest.raises(Unavailable, match="ask again"):
        web.perform(calls.request_instance(an_instance_request()))
    assert not waiting.called
    assert (web.world.result(waiting, 90).status, standing_of(web)) == (304, "frozen")
    assert web.send("GET", "readyz").status == 200
    web.perform(calls.thaw())
    web.perform(calls.request_instance(an_instance_request()))


def test_a_moved_master_tells_everybody_who_took_over(web: WebBench) -> None:
    """Those who wait at once; it says so to who moved it, as often as they ask."""
    etag = web.send("GET", POLL).headers["etag"]
    with pytest.raises(Refusal, match="freeze"):
        web.perform(calls.move((EU,)))
    web.perform(calls.freeze())
    waiting = begin_poll(web, etag)
    web.world.run_for(1)
    for _ in range(2):
        report = web.perform(calls.move((EU, US)))
        assert report == TransferReport(
            "moved", sentence=Moved((EU, US)).sentence, replicas=(EU, US)
        )

    told = [web.world.result(waiting)]
    told += [
        web.send("GET", it) for it in (POLL, "", "readyz", "panel", "erp5/nothing")
    ]
    told.append(web.send("POST", "slapcluster.v0.freeze", body=b"{}"))
    for it in told:
        assert (it.status, it.headers["retry-after"]) == (503, "1")
        assert decode_replicas(it.headers[REPLICAS_HEADER.lower()]) == (EU, US)
    assert (web.send("GET", "healthz").status, standing_of(web)) == (200, "moved")
    with pytest.raises(Refusal, match="has moved"):
        web.perform(calls.move((EU,)))


def test_who_has_a_state_receives_none(web: WebBench) -> None:
    with pytest.raises(Refusal, match="another state"):
        web.perform(calls.open_received(DIGEST))
    with pytest.raises(BadRequest, match="distinct addresses"):
        web.perform(calls.move(()))


class Masters:
    """An old master, a new one with the same state, and a client of the old one."""

    def __init__(self) -> None:
        self.world = World(0)
        self.urls = tuple(self.boot(it) for it in ("old", "new"))
        definition = calls.define_computer(a_computer_definition(1))
        self.world.result(self.build_client().perform(definition))

    def boot(self, name: str) -> str:
        host = self.world.host(name)
        address = TcpAddress(host.address, 5000)
        config = Config("memory:", address, is_loopback_only=False)
        host.boot(partial(build_service, config, opening=open_untold_memory()))
        self.world.run_for(1)
        return f"http://[{address.host}]:5000"

    def build_client(self) -> SlapClient:
        runtime = self.world.host("computer").runtime
        return SlapClient(runtime, Replicas(self.urls[:1]))


def test_a_client_goes_to_who_took_over_within_the_same_call() -> None:
    masters = Masters()
    client = masters.build_client()
    new = ListedReplica(masters.urls[1], "eu")
    for call in (calls.freeze(), calls.move((new,))):
        masters.world.result(client.perform(call))

    masters.world.result(
        client.perform(calls.define_computer(a_computer_definition(1)))
    )

    assert client.listed == (new,)
    polled = masters.world.result(client.poll(COMPUTER_ID))
    assert client._polled_url == new.url, polled  # noqa: SLF001 - no other way to see
    masters.world.host("new").kill()
    with pytest.raises(MasterAway):
        masters.world.result(client.poll(COMPUTER_ID))
    masters.world.result(client.close())
