"""Shell. Runs coroutines at the same time, and waits for all of them."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults

T = TypeVar("T")


async def all_of(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of all, in order; raise the first defect as it is.

    Whoever is cancelled here is told ``CancelledError``, as in any other place.
    """
    running = [Deferred.fromCoroutine(each) for each in coroutines]
    try:
        return list(await gatherResults(running, consumeErrors=True))
    except FirstError as error:
        error.subFailure.raiseException()
        raise
