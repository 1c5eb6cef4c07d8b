"""Shell. What is noted of each HTTP exchange: its id, its measures, its log line.

The id is the client's, when it sends a sane one in ``X-Request-Id``, so that a trail
through several programs has one name; else it is drawn. The answer carries it.

Nothing of what was sent or answered is written: addresses with their queries,
parameters and headers may hold secrets. A method is named when we know it.
"""

from __future__ import annotations

import re
from collections.abc import Container
from http import HTTPStatus

from attrs import frozen

from master_cluster.config import AccessLog
from master_cluster.measuring import OTHER, Measures
from runtime.ports import Runtime
from slap.methods import METHODS

REQUEST_ID_HEADER = "X-Request-Id"

REQUEST_ID_BITS = 64
"""Of chance: unique among the lines of a log for longer than anybody keeps it."""

_SANE_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,100}")

_METHOD_NAMES = frozenset(it.encode("ascii") for it in METHODS)

REDIRECT_STATUS_MAX = 399


@frozen
class Exchange:
    """A call that was answered; ``has_waited`` when it was let wait on purpose."""

    verb: str
    path: bytes
    status: int
    seconds: float
    body_bytes: int
    has_waited: bool = False


POLLS = ("getFullComputerInformation", "getComputerInformation")


def _poll_outcome(method: str, exchange: Exchange) -> str:
    """Return how a poll ended; empty for other calls and for errors."""
    if method not in POLLS:
        return ""
    if exchange.status == HTTPStatus.NOT_MODIFIED:
        return "unchanged"
    if exchange.status != HTTPStatus.OK:
        return ""
    return "woken" if exchange.has_waited else "full"


class Access:
    """Notes exchanges; ``pages`` are the first parts of paths that have a name."""

    def __init__(
        self,
        runtime: Runtime,
        measures: Measures,
        access_log: AccessLog = AccessLog.CHANGES,
        pages: Container[bytes] = (),
    ) -> None:
        self._runtime = runtime
        self._measures = measures
        self._access_log = access_log
        self._pages = pages

    def request_id(self, sent: str | None) -> str:
        """Return what an exchange is called."""
        if sent is not None and _SANE_ID.fullmatch(sent):
            return sent
        bits = self._runtime.entropy.getrandbits(REQUEST_ID_BITS)
        return f"{bits:0{REQUEST_ID_BITS // 4}x}"

    def label(self, path: bytes) -> str:
        """Return the name of what is called; one name for all that we do not know."""
        if path.rpartition(b"/")[2] in _METHOD_NAMES:
            return path.rpartition(b"/")[2].decode("ascii")
        page = path.lstrip(b"/").partition(b"/")[0]
        return page.decode("ascii") if page and page in self._pages else OTHER

    def refuse(self, status: int) -> None:
        """Count what was refused before it was read."""
        self._measures.calls.add(OTHER, str(status))

    def finish(self, exchange: Exchange) -> None:
        """Count an answer, and write its line."""
        method = self.label(exchange.path)
        self._measures.calls.add(method, str(exchange.status))
        outcome = _poll_outcome(method, exchange)
        if outcome:
            self._measures.polls.add(outcome)
        if not exchange.has_waited:
            self._measures.call_seconds.observe(exchange.seconds, method)
        if self._is_logged(exchange):
            self._runtime.log.info(
                "{verb} {method} {status} in {duration_ms} ms",
                verb=exchange.verb,
                method=method,
                status=exchange.status,
                duration_ms=round(exchange.seconds * 1000, 1),
                body_bytes=exchange.body_bytes,
            )

    def _is_logged(self, exchange: Exchange) -> bool:
        """Polls come by the second: what only reads, and succeeds, is seldom news."""
        if self._access_log is not AccessLog.CHANGES:
            return self._access_log is AccessLog.ALL
        is_reading = exchange.verb in {"GET", "HEAD"}
        return not is_reading or exchange.status > REDIRECT_STATUS_MAX
