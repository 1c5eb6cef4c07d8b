"""What programs notice of two stunnels between them, simulated or of real processes.

A scenario is a coroutine of a bench: programs near and far, a stunnel beside each.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, Protocol, Self

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater

from labsim.models.stunnel import Timeouts
from runtime.ports import Runtime, TcpAddress
from tests.contract.ears import Ear, Ears, HalfEar

SHORT_SECONDS = 2.0
"""Of a timeout that a scenario waits for; stunnel counts whole seconds."""

EARLY_SECONDS = 0.5
"""It begins when the stunnel does something, before a program knows of that."""

LATE_SECONDS = 1.5
"""How much later than that it may come on a busy machine."""

STILL_SECONDS = 0.5
"""As long as what must not come is waited for."""

MUCH = bytes(range(256)) * 4096
"""A megabyte: more than fits between two programs of a simulated world."""

PINNED = {"near": "far", "far": "near"}
"""Whose certificate each stunnel accepts."""

STRANGER = "stranger"
"""Whose certificate nobody accepts."""


class End(Enum):
    NEAR = "near"
    FAR = "far"


class StunnelBench(Protocol):
    """Two stunnels that are started by scenarios; programs are of the bench's runtimes.

    Near programs dial ``entry``; the far one listens at ``exit``; ``wire`` is where the
    far stunnel takes TLS.
    """

    near: Runtime
    far: Runtime
    entry: TcpAddress
    exit: TcpAddress
    wire: TcpAddress

    def start(
        self, end: End, timeouts: Timeouts = ..., certificate: str | None = None
    ) -> None:
        """Start the stunnel of an end; with its own certificate, or another's."""

    def kill(self, end: End) -> None:
        """End it without a word."""

    def stop(self, end: End) -> None:
        """Let its process stand still; its kernel goes on."""

    def resume(self, end: End) -> None:
        """Undo that."""

    def fall_silent(self) -> None:
        """Have nobody answer where the far stunnel would be, before it is started."""


class Far:
    """The far program: an ear for each connection."""

    def __init__(self, bench: StunnelBench, kind: type[Ear] = Ear) -> None:
        self._bench = bench
        self.ears = Ears(kind)
        self._port: IListeningPort | None = None

    async def __aenter__(self) -> Self:
        endpoint = self._bench.far.network.server_endpoint(self._bench.exit)
        self._port = await endpoint.listen(self.ears)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._port is not None
        await self._port.stopListening()


async def dialled(
    bench: StunnelBench, address: TcpAddress | None = None, kind: type[Ear] = Ear
) -> Ear:
    """A connection of a near program."""
    endpoint = bench.near.network.client_endpoint(address or bench.entry)
    ear: Ear = await connectProtocol(endpoint, kind())
    return ear


async def through(
    bench: StunnelBench, far: Far, kind: type[Ear] = Ear
) -> tuple[Ear, Ear]:
    """Both ends of a connection that has carried a byte."""
    # Counted before: stunnel dials on as soon as it accepts.
    count = 1 + len(far.ears.ears)
    one = await dialled(bench, kind=kind)
    one.transport.write(b"!")
    other = await newest(bench, far, count)
    await other.has_heard(1)
    return one, other


async def newest(bench: StunnelBench, far: Far, count: int) -> Ear:
    """The ear that the far program has when it has so many."""
    while len(far.ears.ears) < count:
        await rest(bench, 0.02)
    ear: Ear = far.ears.ears[-1]
    return ear


async def rest(bench: StunnelBench, seconds: float = STILL_SECONDS) -> None:
    await deferLater(bench.near.clock, seconds)


async def takes_a_short_timeout(bench: StunnelBench, awaited: Deferred[Any]) -> bool:
    begun = bench.near.clock.seconds()
    await awaited
    seconds: float = bench.near.clock.seconds() - begun
    return SHORT_SECONDS - EARLY_SECONDS < seconds < SHORT_SECONDS + LATE_SECONDS


async def is_reset_in_time(bench: StunnelBench, ear: Ear) -> bool:
    """Whether a connection is reset after a short timeout."""
    reasons: list[object] = []
    ear.lost.addCallback(reasons.append)
    is_timely = await takes_a_short_timeout(bench, ear.lost)
    return is_timely and reasons == [ConnectionLost]


async def closed(*ears: Ear) -> None:
    for ear in ears:
        ear.transport.loseConnection()
    for ear in ears:
        await ear.lost


async def what_is_written_comes_out(bench: StunnelBench) -> None:
    """A megabyte, before anybody reads it."""
    bench.start(End.FAR)
    bench.start(End.NEAR)
    async with Far(bench) as far:
        one, other = await through(bench, far)
        other.transport.pauseProducing()
        one.transport.write(MUCH)
        await rest(bench)
        other.transport.resumeProducing()
        assert await other.has_heard(1 + len(MUCH)) == b"!" + MUCH
        other.transport.write(b"thanks")
        assert await one.has_heard(6) == b"thanks"
        one.transport.loseConnection()
        assert await other.lost is ConnectionDone
        await one.lost


async def what_was_written_last_comes_before_the_end(bench: StunnelBench) -> None:
    bench.start(End.FAR)
    bench.start(End.NEAR)
    async with Far(bench) as far:
        one, other = await through(bench, far)
        other.transport.write(b"bye")
        other.transport.loseConnection()
        assert await one.lost is ConnectionDone
        assert one.heard == b"bye"
        await other.lost


async def half_an_end_is_carried(bench: StunnelBench) -> None:
    """The other half has to follow within a timeout."""
    bench.start(End.FAR)
    bench.start(End.NEAR, Timeouts(close_seconds=SHORT_SECONDS))
    async with Far(bench, HalfEar) as far:
        one, other = await through(bench, far, HalfEar)
        one.transport.loseWriteConnection()
        await other.silenced
        other.transport.write(b"one more word")
        assert await one.has_heard(13) == b"one more word"
        assert await takes_a_short_timeout(bench, one.silenced)
        await closed(one, other)


async def a_reset_arrives_as_an_end(bench: StunnelBench) -> None:
    bench.start(End.FAR)
    bench.start(End.NEAR)
    async with Far(bench) as far:
        for aborting in (0, 1):
            ends = await through(bench, far)
            ends[aborting].transport.abortConnection()
            assert await ends[1 - aborting].lost is ConnectionDone
            await ends[aborting].lost


async def who_is_accepted_learns_that_nobody_is_there(bench: StunnelBench) -> None:
    bench.start(End.NEAR)
    try:
        one = await dialled(bench)
    except ConnectError as error:
        # The reset was there before the reactor looked at the connection.
        if error.osError != errno.ECONNRESET:
            raise
        return
    one.transport.write(b"is lost")
    assert await one.lost is ConnectionLost


async def who_is_accepted_learns_that_nobody_answers(bench: StunnelBench) -> None:
    bench.fall_silent()
    bench.start(End.NEAR, Timeouts(connect_seconds=SHORT_SECONDS))
    one = await dialled(bench)
    assert await is_reset_in_time(bench, one)


async def a_far_program_that_is_away_is_an_end(bench: StunnelBench) -> None:
    bench.start(End.FAR)
    bench.start(End.NEAR)
    one = await dialled(bench)
    assert await one.lost is ConnectionDone
    assert one.heard == b""


async def a_silent_connection_ends(bench: StunnelBench) -> None:
    bench.start(End.FAR)
    bench.start(End.NEAR, Timeouts(idle_seconds=SHORT_SECONDS))
    async with Far(bench) as far:
        one, other = await through(bench, far)
        await rest(bench)
        other.transport.write(b"?")
        await one.has_heard(1)
        assert await is_reset_in_time(bench, one)
        assert await other.lost is ConnectionDone


async def a_stopped_one_keeps_what_is_written(bench: StunnelBench) -> None:
    """Of old connections, and of those that its kernel accepts meanwhile."""
    bench.start(End.FAR)
    bench.start(End.NEAR)
    async with Far(bench) as far:
        one, other = await through(bench, far)
        bench.stop(End.NEAR)
        one.transport.write(b"later")
        two = await dialled(bench)
        two.transport.write(b"this too")
        await rest(bench)
        assert other.heard == b"!"
        assert len(far.ears.ears) == 1
        bench.resume(End.NEAR)
        assert await other.has_heard(6) == b"!later"
        another = await newest(bench, far, 2)
        assert await another.has_heard(8) == b"this too"
        await closed(one, other, two, another)


async def nobody_waits_for_ever_for_a_stopped_one(bench: StunnelBench) -> None:
    """A handshake that is not answered has its own timeout."""
    bench.start(End.FAR)
    bench.start(End.NEAR, Timeouts(busy_seconds=SHORT_SECONDS))
    async with Far(bench) as far:
        bench.stop(End.FAR)
        one = await dialled(bench)
        assert await is_reset_in_time(bench, one)
        bench.resume(End.FAR)
        await rest(bench)
        assert far.ears.ears == []


async def a_killed_one_ends_what_it_carried(bench: StunnelBench) -> None:
    """Both programs see an end; the next connection goes through its next life."""
    for end in End:
        bench.start(end)
    async with Far(bench) as far:
        for end in End:
            one, other = await through(bench, far)
            bench.kill(end)
            assert await one.lost is ConnectionDone
            assert await other.lost is ConnectionDone
            bench.start(end)
        await closed(*await through(bench, far))


async def a_wrong_certificate_is_refused(bench: StunnelBench) -> None:
    """Of either end: the far program hears of nobody."""
    for end in End:
        for each in End:
            bench.start(each, certificate=STRANGER if each is end else None)
        async with Far(bench) as far:
            one = await dialled(bench)
            one.transport.write(b"a secret")
            assert await one.lost is ConnectionLost
            await rest(bench)
            assert far.ears.ears == []
        for each in End:
            bench.kill(each)


async def who_speaks_no_tls_is_refused(bench: StunnelBench) -> None:
    bench.start(End.FAR)
    async with Far(bench) as far:
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"P\x00\x00\x00\x01x"):
            one = await dialled(bench, bench.wire)
            one.transport.write(said)
            assert await one.lost is ConnectionLost
        assert far.ears.ears == []


SCENARIOS: Mapping[str, Callable[[StunnelBench], Awaitable[None]]] = {
    scenario.__name__: scenario
    for scenario in (
        what_is_written_comes_out,
        what_was_written_last_comes_before_the_end,
        half_an_end_is_carried,
        a_reset_arrives_as_an_end,
        who_is_accepted_learns_that_nobody_is_there,
        who_is_accepted_learns_that_nobody_answers,
        a_far_program_that_is_away_is_an_end,
        a_silent_connection_ends,
        a_stopped_one_keeps_what_is_written,
        nobody_waits_for_ever_for_a_stopped_one,
        a_killed_one_ends_what_it_carried,
        a_wrong_certificate_is_refused,
        who_speaks_no_tls_is_refused,
    )
}
