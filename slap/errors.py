"""Core. What can go wrong with a SLAP call, grouped by what the receiver should do.

- ``Refusal``: the call is at fault; the same call gets the same answer everywhere.
- ``NotReady``: nothing is at fault; the same call succeeds later.
- ``Overtaken``: the caller has not seen what it would change; seen now, ask again.
- ``MasterAway``: this replica cannot answer; try another one, else the same one later.

``STATUS`` is the one table between these classes and HTTP, in both directions: what the
master raises reappears as the same class in whoever called.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

RETRY_AFTER_SECONDS = 5
"""What a replica that does not know better asks of its callers."""

RETRY_AFTER_SECONDS_MAX = 3600
"""What a caller believes at most: a mistaken replica must not silence it for good."""


class SlapError(Exception):
    """Root of the errors of SLAP; ``sentence`` says what happened, for a person."""

    status: ClassVar[int] = 500

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class Refusal(SlapError):
    """The call is at fault: do not repeat it unchanged."""

    status = 400


class BadRequest(Refusal):
    """The call is not understood."""

    status = 400


class MalformedDocument(BadRequest):
    """A document is not understood.

    ``position`` is the offset of the byte at fault, ``None`` when it reads well and
    says nothing sensible.
    """

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason if position is None else f"{reason} (byte {position})")
        self.reason = reason
        self.position = position


class Forbidden(Refusal):
    """The caller may not do this."""

    status = 403


class NotFound(Refusal):
    """A thing named by the call does not exist, or nothing can ever fit it."""

    status = 404


class MethodNotAllowed(Refusal):
    """The method exists and is called with another verb than ``allowed``."""

    status = 405

    def __init__(self, sentence: str, allowed: str = "") -> None:
        super().__init__(sentence)
        self.allowed = allowed


class TooLarge(Refusal):
    """The call is longer than the receiver reads."""

    status = 413


class NotReady(SlapError):
    """What was asked for is accepted and not there yet: ask again later."""

    status = 408


class Overtaken(SlapError):
    """Somebody changed the same thing, which the caller had not seen when it asked."""

    status = 412


class MasterAway(SlapError):
    """This replica cannot answer: try another one, else the same one later."""

    status = 503


class ServerError(MasterAway):
    """The replica failed, or gave an answer that is not understood."""

    status = 500


class Unavailable(MasterAway):
    """The replica cannot answer now, and says when it is worth asking again."""

    status = 503

    def __init__(
        self, sentence: str, retry_after_seconds: int = RETRY_AFTER_SECONDS
    ) -> None:
        super().__init__(sentence)
        self.retry_after_seconds = retry_after_seconds


class OtherMasterAway(MasterAway):
    """The replica needs the answer of another master, and gets none."""

    status = 523


class Unreachable(MasterAway):
    """No connection to the replica; raised by clients, never sent."""

    status = 503


#: What each status means. A class is sent as its own ``status``, always a key here.
STATUS: Mapping[int, type[SlapError]] = MappingProxyType(
    {
        400: BadRequest,
        401: Forbidden,
        403: Forbidden,
        404: NotFound,
        405: MethodNotAllowed,
        408: NotReady,
        412: Overtaken,
        413: TooLarge,
        429: Unavailable,
        500: ServerError,
        502: ServerError,
        503: Unavailable,
        504: ServerError,
        523: OtherMasterAway,
    }
)


def error_class(status: int) -> type[SlapError]:
    """Return what an HTTP status other than 200 means to whoever called."""
    if status in STATUS:
        return STATUS[status]
    return BadRequest if 400 <= status < 500 else ServerError  # noqa: PLR2004 - 4xx
