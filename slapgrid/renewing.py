"""The certificate of a computer, renewed by its agent at any replica of the master."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import frozen

from runtime.certificates import Described
from runtime.identity_directory import IdentityDirectory
from runtime.ports import Runtime
from runtime.renewing import Certify, RenewalLoop, renew_if_due
from slap import calls
from slap.errors import SlapError
from slapgrid.config import Config
from slapgrid.slap_client import SlapClient


def certify_by(client: SlapClient) -> Certify:
    """Return how the masters of a client are asked for the next certificate."""

    async def certify(chain: str, certificate_request: str) -> str:
        asked = calls.renew_certificate(chain, certificate_request)
        renewed = await client.perform(asked)
        assert isinstance(renewed, str)
        return renewed

    return certify


@frozen
class Renewal:
    """What the agent does for its certificate, if it has an identity directory."""

    config: Config
    runtime: Runtime
    client: SlapClient

    @property
    def loops(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """What a service runs beside its other loops, each without end."""
        loop = RenewalLoop(self.runtime, self.renew, "this computer", (SlapError,))
        return (loop.run,) if self.config.identity_directory else ()

    async def renew(self) -> Described | None:
        """Get the next certificate if it is due; ``None`` when it is not."""
        tree = self.runtime.file_tree(self.config.identity_directory)
        certify = certify_by(self.client)
        return await renew_if_due(self.runtime, IdentityDirectory(tree), certify)
