"""TLS over the streams of a runtime: a factory around a factory.

Both ends have *credentials*: the chain of a certificate, its key, and the roots that
are believed. Who is at the other end is told as a ``Peer``, whose alternative names say
what it is; host names are nobody's business. A client refuses a server that has none, a
server takes a client without one, who is nobody.

Credentials are asked for at each connection. So new ones need no restart, and leave
the connections alone that stand.

The standard library's OpenSSL does the work. It is told to ignore dates: those of the
chain are compared with the calendar of the runtime, by ``Peer.refusal``, and again
whenever somebody who has been there for long does something.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import cast

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from runtime.ports import Runtime
from runtime.tls_peers import Peer
from runtime.tls_streams import (
    HANDSHAKES_MAX,
    ClientTls,
    Refusal,
    TlsClientFactory,
    TlsFailed,
    TlsServerFactory,
    TlsStream,
)

__all__ = [
    "HANDSHAKES_MAX",
    "Ask",
    "BadCredentials",
    "Credentials",
    "Peer",
    "ServerTrust",
    "TlsClientEndpoint",
    "TlsFailed",
    "check_credentials",
    "peer_of",
    "serve_tls",
]

CREDENTIALS_KEPT = 8
"""Contexts that are kept. A program has one or two, and the ones that they replace."""

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which ``ssl`` has no name for."""

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, the ones that TLS 1.3 has too; keys are agreed by X25519 or P-256, which
OpenSSL offers first."""


class BadCredentials(Exception):
    """Credentials that cannot be used; the sentence says why."""


@frozen
class Credentials:
    """What one shows and believes; texts of PEM.

    ``chain`` has the own certificate first, then those between it and a root; a client
    may have none, and then no key.
    """

    chain: str
    key: str = field(repr=False)
    roots: str


Ask = Callable[[], Credentials]
"""Gives the credentials of now; soon, for it is called at each connection. One that
cannot be had is ``BadCredentials``."""


@frozen
class ServerTrust:
    """How a client shows itself, and which servers it takes.

    ``refusal`` says why a server whose chain and dates are good is none of ours. One
    that ``is_blind`` takes every server, for a question whose answer proves itself: who
    comes in asks for the roots so, whose digest it was told.
    """

    ask: Ask
    refusal: Refusal
    is_blind: bool = False


def check_credentials(credentials: Credentials, *, is_server: bool) -> None:
    """``BadCredentials`` for what no connection can be made with."""
    _context(credentials, is_server)


def serve_tls(
    factory: IProtocolFactory,
    runtime: Runtime,
    ask: Ask,
    handshakes_max: int = HANDSHAKES_MAX,
) -> IProtocolFactory:
    """Have a factory of a server speak TLS; its protocols begin after the handshake.

    ``peer_of`` tells who is at the other end.
    """

    def give_context() -> ssl.SSLContext | None:
        try:
            return _context(ask(), is_server=True)
        except BadCredentials:
            runtime.log.failure("nobody is let in")
            return None

    return TlsServerFactory(factory, runtime, give_context, handshakes_max)


def peer_of(transport: object) -> Peer | None:
    """Return who is at the other end; ``None`` without TLS or without a certificate."""
    return transport.peer if isinstance(transport, TlsStream) else None


@implementer(IStreamClientEndpoint)
@frozen
class TlsClientEndpoint:
    """Connects to a server by TLS; fails with ``TlsFailed`` when it is not trusted."""

    endpoint: IStreamClientEndpoint
    runtime: Runtime
    trust: ServerTrust

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        try:
            context = _context(
                self.trust.ask(), is_server=False, is_blind=self.trust.is_blind
            )
        except BadCredentials as error:
            raise TlsFailed(str(error)) from error
        connecting = TlsClientFactory(
            factory, self.runtime, context, self.trust.refusal
        )
        protocol = cast("ClientTls", await self.endpoint.connect(connecting))
        return await protocol.opened


@lru_cache(CREDENTIALS_KEPT)
def _context(
    credentials: Credentials, is_server: bool, is_blind: bool = False
) -> ssl.SSLContext:
    kind = ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(kind)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    # A session that is taken up again would not have its chain verified.
    context.options |= (
        ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    )
    if is_server:
        context.num_tickets = 0
    context.check_hostname = False
    context.verify_mode = ssl.CERT_OPTIONAL if is_server else ssl.CERT_REQUIRED
    context.verify_flags |= _NO_CHECK_TIME
    if is_blind:
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        context.load_verify_locations(cadata=credentials.roots)
    except (ssl.SSLError, ValueError) as error:
        raise BadCredentials("the root certificates are none, in PEM") from error
    if credentials.chain or credentials.key:
        _load_own(context, credentials)
    elif is_server:
        raise BadCredentials("a server needs a certificate")
    return context


def _load_own(context: ssl.SSLContext, credentials: Credentials) -> None:
    # The library reads files alone; this one is in memory, and gone at once.
    descriptor = os.memfd_create("credentials")
    with os.fdopen(descriptor, "wb") as file:
        file.write(f"{credentials.key}\n{credentials.chain}".encode())
        file.flush()
        try:
            # Without a password it would ask for that of a locked key.
            context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
        except (ssl.SSLError, ValueError) as error:
            raise BadCredentials(
                "the certificate and its key are not a pair, or not PEM without a"
                " password"
            ) from error
