"""Shell. Masters as systemd keeps them: one that could not start is started again."""

from __future__ import annotations

from collections.abc import Callable

from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure
from ZODB.POSException import POSError  # type: ignore[import-untyped]

from labsim.models.neo.neo_cluster import StartedSuspendable
from master_cluster.errors import Misconfigured
from master_cluster.store.outages import InDoubt
from runtime.ports import Runtime
from slapcluster.service_unit import RESTART_SECONDS

AWAY = (Misconfigured, TransientError, POSError, InDoubt)
"""With what a master ends whose store is not there, or goes while it starts."""


class Restarted(Service):
    """The program of a master, in one life of its host."""

    def __init__(self, build: Callable[[], IService], runtime: Runtime) -> None:
        self._build = build
        self._runtime = runtime
        self._program: IService | None = None
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        self._begin()

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._program is None:
            return maybeDeferred(lambda: None)
        return maybeDeferred(self._program.stopService)

    def _begin(self) -> None:
        self._program = StartedSuspendable(self._build())
        self._program.startService().addErrback(self._ended)

    def _ended(self, failure: Failure) -> None:
        error = failure.trap(*AWAY)
        self._runtime.log.warn("it ended: {error}", error=error)  # noqa: G010 - Twisted's name
        self._program = None
        if self.running:
            self._timer = self._runtime.clock.callLater(RESTART_SECONDS, self._begin)
