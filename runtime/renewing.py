"""Shell. The certificate of an identity directory, renewed when two thirds are over.

The key stays, and the chain is replaced as a whole: connections that stand go on, and
the next one shows the new certificate. While nobody can certify it is tried again; a
third of a life is left for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from attrs import frozen
from twisted.internet.task import deferLater

from runtime.certificates import (
    BadCertificate,
    Described,
    check_chain,
    render_request,
)
from runtime.identity_directory import IdentityDirectory
from runtime.ports import Runtime

LOOK_SECONDS = 3600.0
"""Between two looks: often enough for days."""

LOOK_JITTER = 0.5
"""Who came in together does not renew together."""

FIRST_SECONDS_MAX = 60.0
"""The first look, somewhere within: a cloud may have been off for long."""

RETRY_SECONDS = 60.0
"""After the first failure; twice as long each time, up to ``LOOK_SECONDS``."""

DOUBLINGS_MAX = 32
"""Far above the bound, so that a delay never overflows."""

Certify: TypeAlias = Callable[[str, str], Awaitable[str]]
"""Asks who signs for the next chain, with the one of now and a request of its key."""


async def renew_if_due(
    runtime: Runtime, directory: IdentityDirectory, certify: Certify
) -> Described | None:
    """Get the next certificate of a directory; ``None`` when it is not due.

    Raises ``BadCertificate``, ``OSError`` and what ``certify`` raises.
    """
    held = directory.held(runtime.calendar.now())
    if not held.described.is_due(runtime.calendar.now()):
        return None
    asked = render_request(held.key, held.described.name)
    renewed = await certify(held.chain, asked)
    now = runtime.calendar.now()
    if check_chain(renewed, held.roots, now).uris != held.described.uris:
        raise BadCertificate("the master certified somebody else")
    return directory.keep_chain(renewed, now)


@frozen
class RenewalLoop:
    """Has a certificate renewed again and again; the log names ``whose`` it is.

    ``renew`` gives ``None`` when nothing is due. It may raise ``BadCertificate``,
    ``OSError`` and what is in ``weather``.
    """

    runtime: Runtime
    renew: Callable[[], Awaitable[Described | None]]
    whose: str
    weather: tuple[type[Exception], ...]

    async def run(self, first_seconds_max: float = FIRST_SECONDS_MAX) -> None:
        """Look without end, for the first time somewhere within a time."""
        entropy, clock = self.runtime.entropy, self.runtime.clock
        if first_seconds_max:
            await deferLater(clock, entropy.uniform(0, first_seconds_max))
        failure_count = 0
        while True:
            jitter = entropy.uniform(1 - LOOK_JITTER, 1 + LOOK_JITTER)
            is_done = await self._look()
            failure_count = 0 if is_done else failure_count + 1
            await deferLater(clock, delay_seconds(failure_count) * jitter)

    async def _look(self) -> bool:
        log = self.runtime.log
        expected: tuple[type[Exception], ...] = (BadCertificate, OSError, *self.weather)
        try:
            renewed = await self.renew()
        except expected as error:
            log.warn(  # noqa: G010 - Twisted's name
                "the certificate of {whose} is not renewed: {error}",
                whose=self.whose,
                error=error,
            )
            return False
        if renewed is not None:
            log.info(
                "the certificate of {whose} is renewed: {serial}",
                whose=self.whose,
                serial=renewed.serial,
            )
        return True


def delay_seconds(failure_count: int) -> float:
    """Return how long to wait after so many failures in a row, in the mean."""
    if failure_count == 0:
        return LOOK_SECONDS
    doublings = min(failure_count - 1, DOUBLINGS_MAX)
    return min(RETRY_SECONDS * 2.0**doublings, LOOK_SECONDS)
