"""A planted bug."""

from __future__ import annotations

from labsim.history import Outcome
from labsim.workloads.client import Client
from labsim.workloads.operation import Operation


class Forgetful(Client):
    """Takes no answer for a yes, as a caller does that swallows a timeout."""

    async def ask(self, operation: Operation) -> tuple[Outcome, str]:
        outcome, answer = await super().ask(operation)
        if outcome is Outcome.UNKNOWN:
            return Outcome.ACKNOWLEDGED, ""
        return outcome, answer
