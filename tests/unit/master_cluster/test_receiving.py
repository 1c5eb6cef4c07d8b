"""A master that has no state receives one, and begins to serve it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from ZODB.DB import DB
from ZODB.utils import u64

from labsim.world.world import World
from master_cluster.config import Config
from master_cluster.errors import Misconfigured
from master_cluster.pushed_releases import RELEASES_KEPT_MAX
from master_cluster.service import build_service
from master_cluster.store import backup
from master_cluster.store.announcing import AnnouncingStorage
from master_cluster.store.content import Content
from master_cluster.store.received import COUNT_FILE, ReceivedFile
from master_cluster.store.restoring import RootOf, look
from master_cluster.store.storages import MemoryStorage, database_on
from master_cluster.transferring import ReceivedCopy, place_piece
from runtime.http_client import HttpClient, HttpReply
from runtime.ports import TcpAddress
from slap import calls
from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.errors import BadRequest, Refusal, Unavailable
from slap.transfer import Piece, TransferReport
from tests.builders import COMPUTER_ID, an_instance_request
from tests.unit.master_cluster.benches import StoreBench
from tests.unit.master_cluster.faults import Away
from tests.unit.master_cluster.releases import a_release, push_by_calls
from tests.unit.master_cluster.test_transferring import freeze

POLL = f"getFullComputerInformation?computer_id={COMPUTER_ID}"
TITLES = tuple(f"root {number}" for number in range(12))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A frozen state."""
    path = tmp_path / "old.fs"
    bench = StoreBench(f"file:{path}")
    bench.format(20)
    for title in TITLES:
        bench.request(title)
    bench.decide(freeze)
    bench.store.close()
    return path


class SharedStorage(MemoryStorage):
    """What several masters stand on; it lasts.

    ``failing_at``: how many commits are left before one fails, for a while.
    """

    loses_ends = True
    failing_at = -1
    is_away = False

    def close(self) -> None:
        """Leave it open: others use it."""

    def sync(self) -> None:
        if self.is_away:
            raise Away("nobody there")

    def loadBefore(self, oid: bytes, tid: bytes) -> Any:
        self.sync()
        return super().loadBefore(oid, tid)

    def store(self, oid: bytes, *arguments: Any) -> None:
        super().store(oid, *arguments)
        # Memory forgets which ids it has not given out itself.
        self._oid = max(self._oid, u64(oid))

    def tpc_begin(self, transaction: Any, tid: Any = None, _: str = " ") -> None:
        super().tpc_begin(transaction, tid)
        self.failing_at -= 1
        if self.failing_at == 0:
            raise OSError("no room")


class SharedDatabase(DB):  # type: ignore[misc] # ZODB has no types
    """What all masters of a world serve."""

    def close(self) -> None:
        """Leave it open: others use it."""


class Bench:
    """Masters that receive, over one storage, and the file of a state."""

    def __init__(self, path: Path, tmp_path: Path) -> None:
        self.world = World(1)
        self._directory = tmp_path
        self.storage: Any = None
        self._database: DB | None = None
        self.path = path
        self.copy = tmp_path / "copy.fs"
        self.content: Content = backup.back_up(
            path, self.copy, lambda *_: None, is_forced=False
        )
        self._client = HttpClient(self.world.host("person").runtime)

    def boot(self, name: str = "new") -> None:
        host = self.world.host(name)
        config = Config(
            "memory:",
            TcpAddress(host.address, 5000),
            is_loopback_only=False,
            documents_directory=str(self._directory / name),
            release_directory=str(self._directory),
            pushed_directory=str(self._directory / "depot"),
            receives=True,
        )

        def build(runtime: Any) -> Any:
            return build_service(
                config, runtime, self._open_database, opening_storage=self._open
            )

        host.boot(build)
        self.world.run_for(2)

    def _open_database(self, *_: Any) -> DB:
        if self._database is None:
            self._database = SharedDatabase(AnnouncingStorage(self.storage))
        return self._database

    def _open(self, _: str, calendar: Any) -> Any:
        if self.storage is None:
            self.storage = SharedStorage(calendar)
        return self.storage

    def restart(self, name: str = "new") -> None:
        self.world.host(name).kill()
        self.world.run_for(1)
        self.world.host(name).boot()
        self.world.run_for(2)

    def send(
        self, path: str, name: str = "new", verb: str = "GET", **options: Any
    ) -> HttpReply:
        url = f"http://[{self.world.host(name).address}]:5000/{path}"
        asked = self._client.send(verb, url, timeout_seconds=60, **options)
        return self.world.result(asked)

    def perform(self, call: Call, name: str = "new") -> Any:
        it = encode_call(call)
        told = self.send(it.path, name, it.verb, headers=it.headers, body=it.body)
        return decode_answer(call, HttpAnswer(told.status, told.headers, told.body))

    def report(self, name: str = "new") -> TransferReport:
        report = self.perform(calls.get_transfer(), name)
        assert isinstance(report, TransferReport)
        return report

    def pieces(self, byte_count: int = 5_000) -> list[Piece]:
        whole = self.copy.read_bytes()
        return [
            Piece(
                self.content.digest,
                len(whole),
                offset,
                whole[offset : offset + byte_count],
            )
            for offset in range(0, len(whole), byte_count)
        ]

    def send_all(self, name: str = "new") -> None:
        for piece in self.pieces():
            self.perform(calls.receive(piece), name)

    def wait_until_whole(self, name: str = "new") -> None:
        self.world.run_until(lambda: self.report(name).is_whole, 100)

    def open(self, name: str = "new") -> TransferReport:
        report = self.perform(calls.open_received(self.content.digest), name)
        assert isinstance(report, TransferReport)
        self.world.run_for(5)
        return report

    def assert_serves(self, name: str = "new") -> None:
        assert self.send("readyz", name).status == 200
        assert self.send(POLL, name).status == 200
        report = self.perform(calls.get_cloud_report(), name)
        assert {it.title for it in report.trees} >= set(TITLES)

    def close(self) -> None:
        self.world.result(self._client.close())
        for name in ("new", "second", "third"):
            self.world.result(self.world.host(name).stop_services())
        self.world.finish()


@pytest.fixture
def bench(path: Path, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(path, tmp_path)
    yield bench
    bench.close()


def test_a_state_is_received_and_opened(bench: Bench) -> None:
    """Everything is there, and is changed from then on."""
    bench.boot()
    assert bench.send("readyz").body == b"receiving: it waits for a state"
    assert bench.send("healthz").status == 200
    assert bench.send("release/old.fs").body == bench.path.read_bytes()
    for path in (POLL, "", "panel", "slapcluster.v0.freeze", "metrics"):
        refused = bench.send(path)
        assert (refused.status, refused.headers["retry-after"]) == (503, "2")

    first, *rest = bench.pieces()
    report = bench.perform(calls.receive(first))
    assert report.received_byte_count == len(first.content)
    with pytest.raises(Unavailable, match="receiving: 7 % of a copy"):
        bench.open()
    for piece in rest:
        bench.perform(calls.receive(piece))
    bench.wait_until_whole()
    report = bench.report()
    assert (report.standing, report.digest) == ("receiving", bench.content.digest)
    assert bench.send(POLL).status == 503

    for _ in range(2):
        report = bench.open()
        assert (report.standing, report.digest) == ("open", bench.content.digest)
    bench.assert_serves()
    bench.perform(calls.request_instance(an_instance_request(title="later")))
    with pytest.raises(Refusal, match="has a state"):
        bench.perform(calls.receive(first))
    with pytest.raises(Refusal, match="another state"):
        bench.perform(calls.open_received("0" * 64))


def test_pieces_are_taken_once_and_without_gaps(bench: Bench) -> None:
    bench.boot()
    first, second, third, *_ = bench.pieces()
    bench.perform(calls.receive(first))

    with pytest.raises(Refusal, match=f"go on with the one at offset {first.end}"):
        bench.perform(calls.receive(third))
    overlapping = evolve(
        second, offset=first.offset, content=first.content + second.content
    )
    for piece in (first, overlapping, second, first):
        report = bench.perform(calls.receive(piece))
    assert report.received_byte_count == second.end
    other = evolve(first, digest="0" * 64)
    report = bench.perform(calls.receive(other))
    assert (report.received_byte_count, report.digest) == (first.end, "0" * 64)
    with pytest.raises(Refusal, match=bench.content.digest):
        bench.open()


def test_a_replica_that_is_killed_goes_on(bench: Bench) -> None:
    """After any piece, and while it fills its store."""
    bench.boot()
    pieces = bench.pieces()
    for piece in pieces[: len(pieces) // 2]:
        bench.perform(calls.receive(piece))
    bench.restart()
    assert bench.report().received_byte_count == piece.end
    bench.storage.failing_at = 8
    for piece in pieces[len(pieces) // 2 :]:
        bench.perform(calls.receive(piece))
    bench.world.run_until(lambda: "no room" in bench.report().sentence, 10)
    assert look(bench.storage).of is RootOf.COPY
    bench.restart()

    assert b"receiving" in bench.send("readyz").body
    bench.wait_until_whole()
    bench.restart()
    bench.wait_until_whole()
    bench.open()
    bench.assert_serves()


def test_the_other_replicas_of_a_store_begin_by_themselves(bench: Bench) -> None:
    """Each is killed once more; none takes what is being filled for a state."""
    for name in ("new", "second", "third"):
        bench.boot(name)
    bench.storage.failing_at = 8
    bench.send_all("second")
    bench.restart("new")
    assert b"receiving" in bench.send("readyz").body
    bench.wait_until_whole("second")
    bench.restart("third")
    assert bench.report("third").received_byte_count == 0
    with pytest.raises(Refusal, match="was received here"):
        bench.open("third")

    bench.open("second")

    for name in ("new", "second", "third"):
        bench.assert_serves(name)
        bench.restart(name)
        bench.assert_serves(name)


def test_two_replicas_that_receive_the_same_open_it_once(bench: Bench) -> None:
    for name in ("new", "second"):
        bench.boot(name)
        bench.send_all(name)
    for name in ("new", "second"):
        bench.wait_until_whole(name)
    bench.perform(calls.open_received(bench.content.digest), "new")
    bench.perform(calls.open_received(bench.content.digest), "second")
    bench.world.run_for(5)
    bench.perform(calls.freeze(), "new")
    assert bench.report("second").standing == "frozen"


def test_what_is_no_state_is_received_again(bench: Bench) -> None:
    bench.boot()
    bench.copy.write_bytes(bench.copy.read_bytes()[:-1])
    bench.send_all()
    bench.world.run_until(lambda: "send it again" in bench.report().sentence, 10)
    assert bench.report().received_byte_count == 0

    bench.copy.write_bytes(bench.path.read_bytes())
    bench.send_all()
    bench.wait_until_whole()


def test_a_piece_that_cannot_be_written_is_sent_again(bench: Bench) -> None:
    """Somebody makes room; until then the sentence says what is wrong."""
    in_the_way = bench.copy.with_name("new") / "received"
    in_the_way.parent.mkdir()
    in_the_way.touch()
    bench.boot()
    with pytest.raises(Unavailable, match="receiving: a piece is not written"):
        bench.send_all()
    in_the_way.unlink()

    bench.send_all()
    bench.wait_until_whole()


def test_a_store_that_goes_before_it_is_opened_is_opened_later(bench: Bench) -> None:
    bench.boot()
    bench.send_all()
    bench.wait_until_whole()
    bench.storage.is_away = True
    with pytest.raises(Unavailable, match="away"):
        bench.open()
    bench.world.run_for(3)
    bench.storage.is_away = False

    bench.open()
    bench.assert_serves()


def test_what_lives_in_a_store_is_not_replaced(bench: Bench) -> None:
    """A state that was never received is open, and served at once."""
    bench.storage = SharedStorage(bench.world.host("new").runtime.calendar)
    database_on(bench.storage)
    # What cannot be removed is in nobody's way.
    bench.copy.with_name("new").mkdir()
    (bench.copy.with_name("new") / "received").touch()

    bench.boot()

    assert bench.report().standing == "open"
    assert bench.send("readyz").status == 200


def test_a_store_that_serves_is_not_asked_for_a_state(path: Path) -> None:
    """A file that was made by a master without all this."""
    bench = StoreBench(f"file:{path}")
    assert look(bench.store._database.storage._storage).of is RootOf.MASTER  # noqa: SLF001
    bench.store.close()


def test_a_master_that_stops_while_it_receives_leaves_nothing(bench: Bench) -> None:
    bench.boot()
    bench.perform(calls.receive(bench.pieces()[0]))
    bench.world.result(bench.world.host("new").stop_services())


def test_who_receives_needs_a_directory() -> None:
    with pytest.raises(Misconfigured, match="directory"):
        Config("memory:", receives=True)


# Pieces


@given(st.data())
def test_pieces_in_any_order_end_in_the_whole(data: st.DataObject) -> None:
    """Whoever asks where to go on, and goes on there, gets to the end."""
    whole = data.draw(st.binary(min_size=1, max_size=40))
    present: ReceivedCopy | None = None
    written = b""
    for _ in range(100):
        start = data.draw(st.integers(0, len(whole) - 1))
        if present is not None and data.draw(st.booleans()):
            start = min(present.received_byte_count, len(whole) - 1)
        end = data.draw(st.integers(start + 1, len(whole)))
        piece = Piece("0" * 64, len(whole), start, whole[start:end])
        try:
            present, known_count = place_piece(present, piece)
        except Refusal:
            assert start > len(written)
            continue
        assert known_count == len(written)
        written += piece.content[known_count - start :] if end > known_count else b""
        assert present.received_byte_count == len(written)
        assert whole.startswith(written)
        if present.is_whole:
            break


@pytest.mark.parametrize("damage", ["", "[]", "{}", "[1, 2]", '["a", "b", "c"]', "\0"])
def test_a_damaged_count_is_none(tmp_path: Path, damage: str) -> None:
    file = ReceivedFile(tmp_path / "received")
    assert file.read() is None
    file.take(Piece("0" * 64, 4, 0, b"ab"))
    assert file.read() == ReceivedCopy("0" * 64, 4, 2)
    (tmp_path / "received" / COUNT_FILE).write_text(damage)

    assert file.read() is None
    assert file.take(Piece("0" * 64, 4, 0, b"abcd")).is_whole
    assert file.path.read_bytes() == b"abcd"
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.remove()
    file.remove()
    assert file.read() is None


def test_what_was_written_and_not_counted_does_not_count(tmp_path: Path) -> None:
    file = ReceivedFile(tmp_path / "received")
    file.take(Piece("0" * 64, 6, 0, b"ab"))
    with file.path.open("ab") as torn:
        torn.write(b"\0\0\0")

    file.take(Piece("0" * 64, 6, 2, b"cdef"))

    assert file.path.read_bytes() == b"abcdef"
    file.path.write_bytes(b"a")
    assert file.read() is None


@pytest.mark.parametrize(
    "changed",
    [
        {"digest": "5" * 63},
        {"digest": "G" * 64},
        {"byte_count": 0},
        {"byte_count": 2**41},
        {"offset": 1},
        {"offset": -1},
        {"content": b""},
    ],
)
def test_an_odd_piece_is_refused(changed: dict[str, Any]) -> None:
    fields = {"digest": "5" * 64, "byte_count": 4, "offset": 0, "content": b"abcd"}

    with pytest.raises(BadRequest):
        Piece(**{**fields, **changed})


def test_a_replica_without_a_state_takes_releases(bench: Bench) -> None:
    """Files need no store. What has to go is known from the state alone."""
    bench.boot()

    for number in range(RELEASES_KEPT_MAX):
        release = a_release(str(number))
        assert push_by_calls(bench.perform, release).is_whole
        reply = bench.send(f"release/{release.name}/versions.cfg")
        assert reply.body == release.files["versions.cfg"]

    with pytest.raises(Unavailable, match="which are supplied"):
        bench.perform(calls.offer_release(a_release().offer))
