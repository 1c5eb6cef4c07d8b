"""What a network does to HTTP exchanges, as one kind of error with a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
)
from twisted.python.failure import Failure
from twisted.web.client import (
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
)

from runtime.tls import BadCredentials


class ConnectionFailed(Exception):
    """No answer, or none that can be used; the sentence says why.

    Whether the server acted is unknown: ask again, here or elsewhere.
    """


class AnswerTooLarge(ConnectionFailed):
    """The body has more bytes than the caller takes."""


_WEATHER = (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    OSError,
    RequestGenerationFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    BadCredentials,
    ValueError,  # a URL that this client does not speak
)


@contextmanager
def spoken_weather() -> Iterator[None]:
    """What the network does to an exchange is one kind of error, with a sentence."""
    try:
        yield
    except _WEATHER as error:
        if _is_cancelled(error):
            raise CancelledError from error
        raise ConnectionFailed(_reason(error)) from error


def _innermost(error: BaseException) -> BaseException:
    """The reason inside the wrappers of ``twisted.web``."""
    reasons: list[Failure] = getattr(error, "reasons", [])
    while reasons and reasons[0].value is not None:
        error = reasons[0].value
        reasons = getattr(error, "reasons", [])
    return error


def _is_cancelled(error: BaseException) -> bool:
    return isinstance(_innermost(error), (CancelledError, ConnectingCancelledError))


def _reason(error: BaseException) -> str:
    inner = _innermost(error)
    return str(inner) or type(inner).__name__
