"""Shell. The certificate of a replica, renewed where the key of its region is."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

from master_cluster.authority.region import RegionHome
from runtime.ports import Runtime
from slap.errors import SlapError

LOOK_SECONDS = 3600.0
"""Often enough for days, and a new certificate of the region is noticed as soon."""


class OwnRenewal(Service):
    """Looks at the certificate at its start and every hour.

    What cannot be renewed is tried again; the log says why. Without a home there is
    nothing to look at.
    """

    def __init__(self, home: RegionHome | None, runtime: Runtime) -> None:
        self._home = home
        self._runtime = runtime
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call] # Twisted's
        if self._home is not None:
            self._look(self._home)

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call] # Twisted's
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _look(self, home: RegionHome) -> None:
        self._timer = self._runtime.clock.callLater(LOOK_SECONDS, self._look, home)
        log = self._runtime.log
        try:
            renewed = home.renew_own(self._runtime.calendar.now())
        except (SlapError, OSError) as error:
            log.warn(  # noqa: G010 - Twisted's name
                "the certificate of this replica is not renewed: {error}", error=error
            )
        else:
            if renewed is not None:
                log.info(
                    "the certificate of {name} is renewed, until {expires_at:.0f}",
                    name=renewed.name,
                    expires_at=renewed.expires_at,
                )
