"""The certificate of a computer, renewed by its agent when two thirds of it are over.

The key stays, and the chain is replaced as a whole: connections that stand go on, and
the next one shows the new certificate. While no master can certify, it is tried again;
a third of a life is left for that.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

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
from slap import calls
from slap.errors import SlapError
from slapgrid.config import Config
from slapgrid.convergence.retrying import Backoff
from slapgrid.slap_client import SlapClient

#: Between two looks: computers that came in together do not renew together (+-50 %).
LOOK_SECONDS = 3600.0
LOOK_JITTER = 0.5
#: The first look, somewhere within: a cloud may have been off for long.
FIRST_SECONDS_MAX = 60.0
#: While nobody certifies.
RENEWAL = Backoff(60, 3600)


async def renew_if_due(
    runtime: Runtime, directory: str, client: SlapClient
) -> Described | None:
    """Get the next certificate of a directory; ``None`` when it is not due.

    Raises ``BadCertificate``, ``OSError`` and what the master raises.
    """
    found = IdentityDirectory(runtime.file_tree(directory))
    held = found.held(runtime.calendar.now())
    if not held.described.is_due(runtime.calendar.now()):
        return None
    asked = render_request(held.key, held.described.name)
    renewed = await client.perform(calls.renew_certificate(held.chain, asked))
    assert isinstance(renewed, str)
    now = runtime.calendar.now()
    if check_chain(renewed, held.roots, now).uris != held.described.uris:
        raise BadCertificate("the master certified somebody else")
    return found.keep_chain(renewed, now)


@frozen
class Renewal:
    """What the agent does for its certificate, if it has an identity directory."""

    config: Config
    runtime: Runtime
    client: SlapClient

    @property
    def loops(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """What a service runs beside its other loops, each without end."""
        return (self._keep_renewing,) if self.config.identity_directory else ()

    async def renew(self) -> Described | None:
        """Get the next certificate if it is due; ``None`` when it is not."""
        directory = self.config.identity_directory
        return await renew_if_due(self.runtime, directory, self.client)

    async def _keep_renewing(self) -> None:
        entropy, clock = self.runtime.entropy, self.runtime.clock
        delay, failure_count = entropy.uniform(0, FIRST_SECONDS_MAX), 0
        while True:
            await deferLater(clock, delay)
            jitter = entropy.uniform(1 - LOOK_JITTER, 1 + LOOK_JITTER)
            try:
                renewed = await self.renew()
            except (SlapError, BadCertificate, OSError) as error:
                failure_count += 1
                delay = RENEWAL.delay_seconds(failure_count) * jitter
                self.runtime.log.warn(  # noqa: G010 - Twisted's name
                    "the certificate of this computer is not renewed: {error}",
                    error=error,
                )
                continue
            failure_count, delay = 0, LOOK_SECONDS * jitter
            if renewed is not None:
                self.runtime.log.info(
                    "the certificate of this computer is renewed: {serial}",
                    serial=renewed.serial,
                )
