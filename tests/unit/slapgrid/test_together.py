"""Coroutines that run at the same time, and who stops them."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed

from slapgrid.together import all_of


async def wait_for(awaited):
    return await awaited


def test_results_come_in_the_order_of_the_coroutines():
    late: Deferred[str] = Deferred()
    found = Deferred.fromCoroutine(all_of([wait_for(late), wait_for(succeed("b"))]))

    late.callback("a")

    assert found.result == ["a", "b"]


def test_who_is_cancelled_is_told_so_and_nothing_goes_on():
    """An agent that ends while it looks at promises is not met with a defect."""
    waiting: list[Deferred[None]] = [Deferred(), Deferred()]
    found = Deferred.fromCoroutine(all_of(wait_for(it) for it in waiting))

    found.cancel()

    assert found.result.check(CancelledError)
    found.addErrback(lambda _: None)
    assert all(it.called for it in waiting)


def test_a_defect_is_raised_as_it_is():
    broken: Deferred[None] = Deferred()
    found = Deferred.fromCoroutine(all_of([wait_for(broken), wait_for(succeed(1))]))

    broken.errback(KeyError("x"))

    with pytest.raises(KeyError):
        found.result.raiseException()
    found.addErrback(lambda _: None)
