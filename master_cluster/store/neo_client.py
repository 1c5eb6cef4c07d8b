"""Shell. A storage of NEO, shared by any number of masters. Imports NEO, alone.

What is promised:

1. Nothing waits without end. While no running neo_cluster is found, a call waits for
   it until ``wait_seconds`` after it was lost, and calls after that fail at once, as
   an error that ``transaction`` calls transient. Nothing was written then.
2. It is sought from the moment when it is lost, also when nobody calls; when it is
   found and something was missed, everything is announced.
3. Each transaction begins with a question to the primary neo_master, so that it sees
   what any other master acknowledged before.
4. A commit whose end is lost is looked for among those that were finished. When it is
   not found there, whoever is asked, it fails as ``InDoubt``.
5. The primary neo_master makes the transaction ids.

Importing NEO takes signals of the process (SIGRTMIN to SIGRTMIN+3), which only the main
thread can do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from neo.client.exception import (  # type: ignore[import-untyped]
    NEOAway,
    NEORetry,
)
from neo.client.Storage import Storage  # type: ignore[import-untyped]
from neo.lib import logging as neo_log  # type: ignore[import-untyped]
from transaction.interfaces import TransientError  # type: ignore[import-untyped]
from ZODB.POSException import POSError  # type: ignore[import-untyped]

from master_cluster.errors import Misconfigured
from master_cluster.store.neo_uri import NeoPlace
from master_cluster.store.outages import InDoubt

START_SECONDS = 10.0
"""A master waits for a neo_cluster that is started beside it."""

CACHE_BYTES_MAX = 20 * 1024 * 1024
"""Records kept on this side, besides the live objects."""


class NeoStorage(Storage):  # type: ignore[misc] # NEO has no types
    """The storage of a neo_cluster; ``Misconfigured`` when it is not reached."""

    loses_ends = True

    def __init__(self, place: NeoPlace, start_seconds: float = START_SECONDS) -> None:
        neo_log.addFilter(_is_worth_a_line)
        try:
            super().__init__(
                master_nodes=" ".join(place.neo_masters),
                name=place.name,
                near=" ".join(place.near),
                translate=" ".join(f"{a}={b}" for a, b in place.translations),
                silence=place.silence_seconds,
                wait=max(start_seconds, place.wait_seconds),
                cache_size=CACHE_BYTES_MAX,
                ca=place.ca,
                cert=place.cert,
                key=place.key,
            )
        except (OSError, ValueError) as error:
            raise Misconfigured(f"the store neo:{place.name}: {error}") from error
        try:
            self.sync()
        except (NEOAway, NEORetry) as error:
            self.close()
            masters = ", ".join(place.neo_masters)
            raise Misconfigured(
                f"no NEO cluster {place.name} runs at {masters}, not within"
                f" {start_seconds:.0f} s: {error}"
            ) from error
        self.app.wait = place.wait_seconds

    def tpc_finish(
        self, transaction: object, f: Callable[[bytes], None] | None = None
    ) -> bytes:
        try:
            tid: bytes = super().tpc_finish(transaction, f)
        except Exception as error:
            # Whatever it is: the primary neo_master may have been asked. What NEO calls
            # dropped may still be on its way there, by a connection that was given up.
            raise InDoubt(str(error)) from error
        return tid


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out what is told by being raised; NEO logs it with its traceback."""
    error: Any = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, TransientError | POSError)
