"""The one reactor of a program: epoll, with timers on the monotonic clock.

Twisted's own reactors take ``seconds()`` from the wall clock, so a step of it (NTP, an
operator) fires or starves every timer at once.
"""

from __future__ import annotations

import sys
import time

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor


class MonotonicReactor(EPollReactor):
    """An epoll reactor that a step of the wall clock leaves alone."""

    seconds = staticmethod(time.monotonic)  # noqa: TID251 - the port itself


def install_reactor() -> MonotonicReactor:
    """Make the monotonic reactor the global one, and give it.

    Call it before anything imports ``twisted.internet.reactor``: a reactor of another
    kind that stands already is an ``AssertionError``. A second call gives the same one.
    """
    installed = sys.modules.get("twisted.internet.reactor")
    if installed is None:
        reactor = MonotonicReactor()
        installReactor(reactor)
        return reactor
    assert isinstance(installed, MonotonicReactor), (
        f"{type(installed).__name__} was installed before install_reactor()"
    )
    return installed
