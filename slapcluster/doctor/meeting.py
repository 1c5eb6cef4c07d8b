"""Shell. One side of an encounter: listens for visitors, or visits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from hmac import compare_digest

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.defer import TimeoutError as WaitTimedOut
from twisted.internet.error import (
    CannotListenError,
    ConnectError,
    ConnectingCancelledError,
    ConnectionRefusedError,  # noqa: A004 - Twisted's own
    NoRouteError,
)
from twisted.internet.error import TimeoutError as ConnectTimedOut
from twisted.internet.interfaces import IListeningPort, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from runtime.ports import Runtime, TcpAddress
from slapcluster.doctor.encounters import (
    LINE_BYTES,
    Outcome,
    Visit,
    Visited,
    answer,
    question,
)

VISIT_SECONDS_MAX = 5.0
"""For a connection and for the proof: two lost packets, or twice around the earth."""

LISTENING = "listening"
"""What the visited says when visitors may come."""


@frozen
class Received:
    """What the visited saw: how many came, and at which ports it could not listen."""

    visit_count: int
    failures: dict[int, str]


async def receive_visits(
    runtime: Runtime,
    visited: Visited,
    nonce: str,
    say: Callable[[str], None],
    *,
    count: int,
    seconds: float,
) -> Received:
    """Listen until so many visitors have come, or the time is over."""
    done: Deferred[None] = Deferred()
    hall = _Hall(count, done)
    failures: dict[int, str] = {}
    opened: list[IListeningPort] = []
    try:
        for port in visited.ports:
            endpoint = runtime.network.server_endpoint(TcpAddress(visited.host, port))
            door = partial(_Door, hall, nonce, _place(visited.host, port))
            factory = Factory.forProtocol(door)
            try:
                opened.append(await endpoint.listen(factory))
            except CannotListenError as error:
                reason = error.socketError
                failures[port] = getattr(reason, "strerror", None) or str(reason)
        say(LISTENING)
        if opened and count:
            done.addTimeout(seconds, runtime.clock)
            with suppress(WaitTimedOut):
                await done
    finally:
        for each in opened:
            stopping = each.stopListening()
            if stopping is not None:
                await stopping
        hall.close()
    return Received(hall.visit_count, failures)


async def make_visits(
    runtime: Runtime, visits: Iterable[Visit], nonce: str
) -> tuple[Outcome, ...]:
    """Visit all of them at once."""
    going = [Deferred.fromCoroutine(_visit(runtime, it, nonce)) for it in visits]
    return tuple(await gatherResults(going, consumeErrors=True))


async def _visit(runtime: Runtime, visit: Visit, nonce: str) -> Outcome:
    clock = runtime.clock
    endpoint = runtime.network.client_endpoint(TcpAddress(visit.host, visit.port))
    begun = clock.seconds()
    told: Deferred[bytes] = Deferred()
    visitor = _Visitor(told)
    connecting = endpoint.connect(Factory.forProtocol(lambda: visitor))
    connecting.addTimeout(VISIT_SECONDS_MAX, clock)
    try:
        await connecting
    except CancelledError:
        raise
    except Exception as error:  # noqa: BLE001 - told, whichever it is
        return Outcome(visit.title, visit.host, visit.port, failure=_reason(error))
    place = _place(visit.host, visit.port)
    assert visitor.transport is not None
    try:
        visitor.transport.write(question(nonce, place))
        told.addTimeout(VISIT_SECONDS_MAX, clock)
        heard = await told
    except WaitTimedOut:
        heard = b""
    finally:
        visitor.transport.loseConnection()
    if not compare_digest(heard, answer(nonce, place)):
        return Outcome(visit.title, visit.host, visit.port, is_stranger=True)
    return Outcome(visit.title, visit.host, visit.port, clock.seconds() - begun)


class _Hall:
    """Who is here: connections are closed when the time is over."""

    def __init__(self, count: int, done: Deferred[None]) -> None:
        self._count = count
        self._done = done
        self.visit_count = 0
        self.present: set[ITransport] = set()

    def count_visit(self) -> None:
        self.visit_count += 1
        if self.visit_count == self._count and not self._done.called:
            self._done.callback(None)

    def close(self) -> None:
        for each in tuple(self.present):
            each.loseConnection()


class _Door(Protocol):
    """A visitor is heard, and answered if it knows the nonce."""

    def __init__(self, hall: _Hall, nonce: str, place: str) -> None:
        self._hall = hall
        self._nonce = nonce
        self._place = place
        self._heard = b""
        self._is_done = False

    def connectionMade(self) -> None:
        assert self.transport is not None
        self._hall.present.add(self.transport)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self._heard += data
        if self._is_done or len(self._heard) < LINE_BYTES:
            return
        self._is_done = True
        if compare_digest(self._heard, question(self._nonce, self._place)):
            self.transport.write(answer(self._nonce, self._place))
            self._hall.count_visit()
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002 - Twisted's
        assert self.transport is not None
        self._hall.present.discard(self.transport)


class _Visitor(Protocol):
    """Keeps what it is told, up to the length of a proof."""

    def __init__(self, told: Deferred[bytes]) -> None:
        self._told = told
        self._heard = b""

    def dataReceived(self, data: bytes) -> None:
        self._heard += data
        if len(self._heard) >= LINE_BYTES:
            self._tell()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002 - Twisted's
        self._tell()

    def _tell(self) -> None:
        if not self._told.called:
            self._told.callback(self._heard)


def _place(host: str, port: int) -> str:
    return f"{host},{port}"


def _reason(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused: nobody listens, or a firewall says no"
    if isinstance(error, NoRouteError):
        return "there is no route"
    if isinstance(error, WaitTimedOut | ConnectingCancelledError | ConnectTimedOut):
        return f"no answer within {VISIT_SECONDS_MAX:g} s"
    return str(error).rstrip(". ") if isinstance(error, ConnectError) else repr(error)
