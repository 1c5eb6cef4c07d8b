"""Shell. For whom the store is asked: what they have seen, and whether they wait still.

A call is one context (``contextvars``), from its first line to its answer; whoever is
asked on the way finds the caller there. What is begun in a call and is not for it alone
enters a caller of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from attrs import define

from slap.freshness import UNSEEN


@define(eq=False)
class Caller:
    """Who waits for an answer, and what the answer knows by now.

    ``seen`` is what they knew before; ``is_claiming`` when what they ask for is written
    though it is so already. A call that has written is completed, whoever is gone; one
    that has not is not begun for nobody.
    """

    seen: bytes = UNSEEN
    is_claiming: bool = False
    known: bytes = UNSEEN
    is_gone: bool = False
    has_written: bool = False

    @property
    def is_served_in_vain(self) -> bool:
        return self.is_gone and not self.has_written

    def learn(self, tid: bytes) -> None:
        """Let the answer stand on this, too."""
        self.known = max(self.known, tid)


_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)


def enter(caller: Caller) -> None:
    """Do the rest of this context for ``caller``."""
    _CALLER.set(caller)


@contextmanager
def on_own_account() -> Iterator[None]:
    """Do something for the present caller whatever they have seen, here or not.

    It is for what ends that a call has begun, and knows by itself who was later.
    """
    caller = present_caller()
    completing = Caller(has_written=True)
    token = _CALLER.set(completing)
    try:
        yield
    finally:
        _CALLER.reset(token)
        caller.learn(completing.known)


def present_caller() -> Caller:
    """Who waits for what is done here; somebody who knows nothing, if nobody does."""
    return _CALLER.get() or Caller()
