"""Shell. Lets time pass on a clock."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


async def pause(clock: IReactorTime, delay_seconds: float) -> None:
    """Wait; a cancelled wait leaves nothing on the clock."""
    due: Deferred[None] = Deferred()
    delayed = clock.callLater(delay_seconds, due.callback, None)
    try:
        await due
    finally:
        if delayed.active():
            delayed.cancel()
