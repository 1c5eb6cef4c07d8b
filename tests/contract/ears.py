"""Protocols of tests that keep what they hear."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer


class Ear(Protocol):
    """Keeps what it hears; ``lost`` gives the reason of the end."""

    def __init__(self):
        self.heard = b""
        self.lost = Deferred()
        self.made = Deferred()
        self._waiting = []

    def connectionMade(self):
        self.made.callback(self)

    def dataReceived(self, data):
        self.heard += data
        for waiting in list(self._waiting):
            if len(self.heard) >= waiting[0]:
                self._waiting.remove(waiting)
                waiting[1].callback(self.heard)

    def connectionLost(self, reason):
        self.lost.callback(type(reason.value))

    def has_heard(self, byte_count):
        waiting = (byte_count, Deferred())
        self._waiting.append(waiting)
        self.dataReceived(b"")
        return waiting[1]


@implementer(IHalfCloseableProtocol)
class HalfEar(Ear):
    """Goes on when its peer sends nothing more; ``silenced`` tells."""

    def __init__(self):
        super().__init__()
        self.silenced = Deferred()

    def readConnectionLost(self):
        self.silenced.callback(None)

    def writeConnectionLost(self):
        """It knows."""


class Ears(Factory):
    """Makes an ear for each connection."""

    def __init__(self, kind=Ear):
        self.ears = []
        self.is_started = False
        self._kind = kind

    def doStart(self):
        self.is_started = True

    def doStop(self):
        self.is_started = False

    def buildProtocol(self, _):
        self.ears.append(self._kind())
        return self.ears[-1]
