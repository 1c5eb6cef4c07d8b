"""The second half of a bootstrap: the state moves to replicas that come and go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from attrs import define

from labsim.world.world import World
from runtime.ports import Runtime
from slap.errors import Refusal, Unreachable
from slap.transfer import Piece, Standing, TransferReport
from slapcluster.bootstrap.home import Home
from slapcluster.bootstrap.logbook import Logbook
from slapcluster.bootstrap.mini_master import MiniMaster
from slapcluster.bootstrap.moving import Moving
from slapcluster.bootstrap.wanted_cloud import WantedCloud
from slapcluster.bootstrap.work import Work
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause

STATE = bytes(range(256)) * 5_000
DIGEST = "d" * 64
URLS = {"paris": "https://[::1]:1", "lyon": "https://[::1]:2"}


@define(eq=False)
class Replica:
    """Answers as a receiving replica does, and as a ``Master`` of commands asks it."""

    runtime: Runtime
    is_away: bool = False
    fills: bool = True
    standing: Standing = Standing.RECEIVING
    digest: str = ""
    content: bytes = b""

    async def transfer(self) -> TransferReport:
        is_whole = self.fills and len(self.content) == len(STATE)
        is_whole = is_whole or self.standing is Standing.OPEN
        count = len(self.content)
        return TransferReport(self.standing, count, "words", self.digest, is_whole)

    async def receive(self, piece: Piece) -> None:
        assert piece.offset == len(self.content)
        self.digest, self.content = piece.digest, self.content + piece.content

    async def open_received(self, digest: str) -> None:
        if self.digest != digest:
            raise Refusal(f"no copy with the digest {digest} was received here")
        self.standing = Standing.OPEN

    def seconds(self) -> float:
        return self.runtime.clock.seconds()

    async def pause(self, delay_seconds: float) -> None:
        await pause(self.runtime.clock, delay_seconds)


class Copy:
    """A mini-master that has ended long ago, but for its copy."""

    def copy_byte_count(self) -> int:
        return len(STATE)

    def read_copy(self, offset: int, byte_count: int) -> bytes:
        return STATE[offset : offset + byte_count]


class Desk:
    """A bootstrap that has frozen and copied, and two replicas."""

    def __init__(self) -> None:
        self.world = World(seed=1)
        self.runtime = self.world.host("desk").runtime
        self.replicas = {url: Replica(self.runtime) for url in URLS.values()}
        home = Home(self.runtime, "/srv/bootstrap")
        home.tree.make_directory("")
        logbook = Logbook({}, digest=DIGEST, replica_urls=URLS)
        wanted = WantedCloud("cloud", "::1", 5443, ())
        mini_master = cast("MiniMaster", Copy())
        self.work = Asking(
            *(home, wanted, logbook, mini_master),
            *(lambda _: None, lambda _: None, 20.0),
        )
        self.work.replicas = self.replicas
        self.moving = Moving(self.work)

    def __getitem__(self, region: str) -> Replica:
        return self.replicas[URLS[region]]

    def do(self, step: Callable[[], Awaitable[None]]) -> None:
        self.world.result(cast("Any", step()))


class Asking(Work):
    replicas: dict[str, Replica]

    async def ask(self, question: Any, *urls: str) -> Any:
        (url,) = urls[:1]
        if self.replicas[url].is_away:
            raise Unreachable(f"no answer from {url}")
        return await question(self.replicas[url])

    async def wait(self, look: Any, activity: Any, *urls: str) -> Any:
        while activity(found := await look(self.replicas[urls[0]])):
            await pause(self.home.runtime.clock, 1)
        return found


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_state_of_several_pieces_comes_to_one_replica_alone(desk: Desk) -> None:
    desk.do(desk.moving.receive)

    assert desk["paris"].content == STATE
    assert desk["lyon"].content == b""


def test_whoever_received_it_may_be_away_when_it_is_opened(desk: Desk) -> None:
    desk.do(desk.moving.receive)
    desk["paris"].is_away = True
    desk["lyon"].fills = True
    opened = desk.moving._with_any(desk.moving._open)  # noqa: SLF001 - without a wait
    desk.world.result(cast("Any", opened))

    assert desk["lyon"].content == STATE
    assert desk["lyon"].standing is Standing.OPEN


def test_that_it_may_have_opened_is_written_before(desk: Desk) -> None:
    desk["paris"].is_away = desk["lyon"].is_away = True
    with pytest.raises(Unreachable):
        desk.do(desk.moving.open)

    known = desk.work.home.read()
    assert known is not None
    assert known.has_begun_moving


def test_what_was_opened_is_not_sent_again(desk: Desk) -> None:
    for region in URLS:
        desk[region].standing, desk[region].digest = Standing.OPEN, DIGEST
    desk.do(desk.moving.receive)
    desk.do(desk.moving.open)

    assert desk["paris"].content == b""


def test_a_master_that_has_another_state_is_left_alone(desk: Desk) -> None:
    desk["paris"].standing, desk["paris"].digest = Standing.OPEN, "e" * 64
    with pytest.raises(CommandFailed, match="another state already"):
        desk.do(desk.moving.receive)


def test_a_store_that_is_never_filled_ends_in_a_sentence(desk: Desk) -> None:
    desk["paris"].fills = False
    with pytest.raises(CommandFailed, match=r"Not there after 20 s: words\."):
        desk.do(desk.moving.receive)


def test_a_first_copy_that_was_begun_is_finished(desk: Desk) -> None:
    desk.do(desk.moving.copy_ahead)

    assert desk["paris"].digest == DIGEST
