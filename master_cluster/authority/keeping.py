"""Shell. The certificate of a replica, renewed by the replica itself.

Beside the key of its region it signs for itself. Elsewhere, or when the certificate of
the region is over, it asks the other replicas that it knows of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from master_cluster.authority.region import RegionHome
from runtime.certificates import Described
from runtime.ports import Runtime
from runtime.renewing import RenewalLoop, renew_if_due
from slap.calls import Call, renew_certificate
from slap.errors import SlapError, Unavailable

AskReplicas: TypeAlias = Callable[[tuple[str, ...], Call], Awaitable[object]]
"""Has a call answered by the first of some replicas that can, in this one's name."""


class OwnRenewal(Service):
    """Looks at the certificate at its start and about every hour.

    What cannot be renewed is tried again; the log says why. Without a home there is
    nothing to look at. ``others`` are the addresses that are known now; who can ask
    none renews what it can sign itself.
    """

    def __init__(
        self,
        home: RegionHome | None,
        runtime: Runtime,
        others: Callable[[], tuple[str, ...]],
        ask: AskReplicas | None,
    ) -> None:
        self._home = home
        self._runtime = runtime
        self._others = others
        self._ask = ask
        self._running: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        if self._home is None:
            return
        loop = RenewalLoop(self._runtime, self._renew, "this replica", (SlapError,))
        # At once: what can be signed here is new before anybody is shown the old one.
        self._running = Deferred.fromCoroutine(loop.run(first_seconds_max=0))
        self._running.addErrback(_leave_if_cancelled)

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    async def _renew(self) -> Described | None:
        assert self._home is not None
        try:
            renewed = self._home.renew_own(self._runtime.calendar.now())
        except Unavailable:
            if self._ask is None:
                raise
        else:
            if renewed is not None or self._ask is None:
                return renewed
        if not self._home.directory.chain():
            return None
        return await renew_if_due(self._runtime, self._home.directory, self._certify)

    async def _certify(self, chain: str, certificate_request: str) -> str:
        assert self._ask is not None
        others = self._others()
        if not others:
            raise Unavailable("no other replica is known")
        asked = renew_certificate(chain, certificate_request)
        renewed = await self._ask(others, asked)
        assert isinstance(renewed, str)
        return renewed


def _leave_if_cancelled(failure: Failure) -> None:
    failure.trap(CancelledError)
