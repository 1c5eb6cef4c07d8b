"""A log observer that is a function."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen
from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer


@implementer(ILogObserver)
@frozen(eq=False)
class Observer:
    """Gives each event of a log to ``react``."""

    react: Callable[[LogEvent], None]

    def __call__(self, event: LogEvent) -> None:
        self.react(event)
