"""Shell. A storage that another process serves, so that several masters share it.

The server is ``zeo_server``, or ``runzeo`` of ZEO. What is promised of this side:

1. Nothing waits without end. While the server is away, a call waits for it until
   some seconds after it was lost (``Patience``), and calls after that fail at once. A
   server that is connected and says nothing is asked for a sign of life, and left when
   it gives none; what waited for its answer fails then.
2. The connection comes back by itself.
3. Each transaction begins with a question to the server, so that it sees what any
   other master acknowledged before.
4. A commit whose answer is lost fails as ``InDoubt``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import frozen
from ZEO.asyncio.client import ClientThread  # type: ignore[import-untyped]
from ZEO.ClientStorage import ClientStorage  # type: ignore[import-untyped]
from ZEO.Exceptions import ClientDisconnected  # type: ignore[import-untyped]

from master_cluster.errors import Misconfigured
from master_cluster.store.outages import InDoubt
from runtime.ports import Address, TcpAddress, UnixAddress

CACHE_BYTES_MAX = 20 * 1024 * 1024
"""Records kept on this side, in a file without a name, besides the live objects."""

PORT_MAX = 65535


@frozen
class Patience:
    """How long who waits for what.

    ``start_seconds``: a master for a server that is started beside it.
    ``reconnect_seconds``: a call for a server that was lost; one that is started again
    listens within two, and a client has more patience than four.
    ``silence_seconds``: how often a sign of life is asked for, which has to come before
    the next one is due. A server that waits for a slow disk says nothing for seconds.
    """

    start_seconds: float = 10.0
    reconnect_seconds: float = 4.0
    silence_seconds: float = 10.0


PATIENCE = Patience()


def parse_address(text: str) -> Address:
    """Read ``127.0.0.1:8100``, ``[::1]:8100`` or the path of a socket.

    ``Misconfigured`` says what is wrong.
    """
    if text.startswith("/"):
        return UnixAddress(text)
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        host = ""
    if not host or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        raise Misconfigured(
            f"{text!r} is not where a storage is served: write a numeric address and"
            " a port, such as 127.0.0.1:8100 or [::1]:8100, or the path of a socket"
        )
    return TcpAddress(host, int(port))


def place_of(address: Address) -> tuple[str, int] | str:
    """Return an address as ZEO takes it."""
    if isinstance(address, UnixAddress):
        return address.path
    return (address.host, address.port)


class ZeoStorage(ClientStorage):  # type: ignore[misc] # ZEO has no types
    """A storage at an address; ``Misconfigured`` when nobody serves it there."""

    loses_ends = True

    def __init__(self, address: Address, patience: Patience = PATIENCE) -> None:
        self._uri = f"zeo:{place_of(address)}"
        super().__init__(
            place_of(address),
            cache_size=CACHE_BYTES_MAX,
            name=self._uri,
            wait=False,
            server_sync=True,
            _client_factory=partial(WatchedClient, patience),
        )
        try:
            self._server.wait(patience.start_seconds)
        except ClientDisconnected as error:
            self.close()
            raise Misconfigured(
                f"nobody serves a storage at {place_of(address)}, not within"
                f" {patience.start_seconds:.0f} s; start `slapcluster storage serve`"
            ) from error

    def set_server_addr(self, addr: object) -> None:  # noqa: ARG002 - as ZEO calls it
        """Name the server as it was configured; ZEO would ask a name server here."""
        self._server_addr = self._uri

    def notify_disconnected(self) -> None:
        """Forget everything: the server may come back with an older file.

        A commit that it announced may have failed, or a backup be restored; ZEO would
        refuse for ever to connect to a server that is behind what was read here. Nor
        does a server that was started again know which object ids it gave in advance:
        it gives those that were not committed to somebody else.
        """
        self._server.note_loss()
        self._oids: list[bytes] = []
        super().notify_disconnected()
        self._cache.clear()

    def tpc_finish(
        self, txn: object, f: Callable[[bytes], None] = lambda _: None
    ) -> bytes:
        """Commit; a server that answers without an id does not know the transaction.

        It was started again between the vote and this, and reconnected to in time.
        """

        def finish(tid: bytes | None) -> None:
            if tid is None:
                raise ClientDisconnected("the server lost the transaction")
            f(tid)

        try:
            tid: bytes = super().tpc_finish(txn, finish)
        except ClientDisconnected as error:
            raise InDoubt(f"the server of the store went: {error}") from error
        return tid


class WatchedClient(ClientThread):  # type: ignore[misc] # ZEO has no types
    """The thread of a connection, with a bound on every wait."""

    def __init__(self, patience: Patience, *arguments: Any, **options: Any) -> None:
        self._patience = patience
        self._lost_at: float | None = None
        self._asked: tuple[Any, Any] | None = None
        """The connection that was asked for a sign of life, and its answer to come."""
        super().__init__(*arguments, **options)

    def setup_delegation(self, loop: Any) -> None:
        super().setup_delegation(loop)
        loop.call_later(self._patience.silence_seconds, self._watch)

    @property
    def timeout(self) -> float:
        """How long a call may still wait for the server to come back."""
        if self._lost_at is None:
            return self._patience.reconnect_seconds
        elapsed: float = self.loop.time() - self._lost_at
        return max(0.0, self._patience.reconnect_seconds - elapsed)

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        """ZEO sets its own default here; ours depends on when the server was lost."""

    def note_loss(self) -> None:
        self._lost_at = self.loop.time()

    def _watch(self) -> None:
        """Leave a server that is silent, and ask for the next sign of life."""
        client = self.client
        if client.closed:
            return
        asked, self._asked = self._asked, None
        protocol = client.protocol
        if not client.operational:
            # Connected perhaps, but to a process that does not say who it is.
            _leave(client, "the server does not introduce itself")
        elif asked is not None and asked[0] is protocol and not asked[1].done():
            _leave(client, "no sign of life")
        else:
            answer = protocol.call_sync("ping", ())
            answer.add_done_callback(_ignore_outcome)
            self._asked = (protocol, answer)
        self.loop.call_later(self._patience.silence_seconds, self._watch)


def _leave(client: Any, reason: str) -> None:
    """Close a connection and make a new one; what waits for it fails."""
    protocol = client.protocol
    if protocol is not None:
        protocol.close(reason)
    client.disconnected(protocol)


def _ignore_outcome(answer: Any) -> None:
    """A lost connection fails the sign of life too; nobody waits for it."""
    if not answer.cancelled():
        answer.exception()
