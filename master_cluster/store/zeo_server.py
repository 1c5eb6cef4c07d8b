"""Shell. Serves a store to masters of other processes, by the protocol of ZEO.

One thread does everything to the file: it reads and commits between two events of its
loop, so a stop between two events interrupts no commit. The server merges changes of
BTrees and of our own classes itself, while it holds the commit lock; this is why it is
a program of ours rather than ``runzeo``, which need not find our classes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from ZEO.asyncio.server import Acceptor  # type: ignore[import-untyped]
from ZEO.StorageServer import StorageServer  # type: ignore[import-untyped]
from zope.interface import implementer

from master_cluster.errors import Misconfigured
from master_cluster.store.storages import open_file
from master_cluster.store.zeo_client import place_of
from runtime.ports import Address, Runtime, TcpAddress

COMMIT_SECONDS_MAX = 30.0
"""A master that holds the commit lock and says nothing is disconnected after this."""

REMEMBERED_TRANSACTIONS = 10_000
"""A master that was away for less than these keeps what it has in memory."""


@implementer(IService)
class StorageService(Service):
    """The server of one file, from ``startService`` to ``stopService``.

    It asks nobody who they are, so it listens on loopback or a socket of the file
    system only; ``Misconfigured`` for any other address. Starting fails with
    ``Misconfigured`` when the file or the address cannot be used.
    """

    def __init__(self, path: str, listen: Address, runtime: Runtime) -> None:
        if isinstance(listen, TcpAddress) and not _is_loopback(listen.host):
            raise Misconfigured(
                f"a storage is served without authentication, on loopback only: not on"
                f" {listen.host}, but on 127.0.0.1, ::1 or the path of a socket"
            )
        self._path = path
        self._listen = listen
        self._runtime = runtime
        self._server: StorageServer | None = None
        self._ended: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        storage = open_file(self._path, self._runtime.calendar)
        place = place_of(self._listen)
        try:
            self._server = StorageServer(
                place,
                {"1": storage},
                transaction_timeout=COMMIT_SECONDS_MAX,
                invalidation_queue_size=REMEMBERED_TRANSACTIONS,
                Acceptor=_Door,
            )
        except OSError as error:
            storage.close()
            raise Misconfigured(f"cannot serve at {place}: {error}") from error
        self._ended = self._runtime.threads.call(lambda: self._run(self._server))
        self._runtime.log.info(
            "serving {path} at {place}", path=self._path, place=place
        )

    def stopService(self) -> Deferred[None] | None:
        super().stopService()  # type: ignore[no-untyped-call]
        if self._server is not None:
            # In the thread of the loop: then no commit is in progress.
            loop = self._server.acceptor.event_loop
            loop.call_soon_threadsafe(self._server.close)
        return self._ended

    @staticmethod
    def _run(server: StorageServer) -> Callable[[], None]:
        server.loop()
        return lambda: None


class _Door(Acceptor):  # type: ignore[misc] # ZEO has no types
    """Where masters connect; leaves nothing open when the address is in use."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        try:
            super().__init__(*arguments, **options)
        except OSError:
            self.event_loop.close()
            raise


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback
