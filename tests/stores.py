"""Where the masters of tests keep what they are told: as they say, or all in one place.

``make test-neo`` runs many tests once more, on a neo_cluster of three regions.
"""

from __future__ import annotations

import os
from functools import cache

from ZODB.DB import DB

from master_cluster.store.neo_uri import parse_neo_uri
from master_cluster.store.schema import ROOT_KEY
from master_cluster.store.storages import database_on, open_database
from runtime.ports import ICalendar

STORE_VARIABLE = "SLAPCLUSTER_TEST_STORE"
"""The ``neo:`` URI of a store in place of those in memory and in files."""


def open_test_database(uri: str, calendar: ICalendar) -> DB:
    """Open a store; the one of the environment, emptied, in place of ``memory:``."""
    other_uri = _other_uri()
    if uri != "memory:" or other_uri is None:
        return open_database(uri, calendar)
    return _emptied(other_uri)


def store_uri_of_program(uri: str) -> str:
    """Return the store of a program: ``uri``, or that of the environment, emptied."""
    other_uri = _other_uri()
    if other_uri is None:
        return uri
    _emptied(other_uri).close()
    return other_uri


def _other_uri() -> str | None:
    return os.environ.get(STORE_VARIABLE)  # noqa: TID251 - whoever runs pytest says it


def _emptied(uri: str) -> DB:
    database = database_on(_storage_at(uri))
    with database.transaction() as connection:
        connection.root().pop(ROOT_KEY, None)
    return database


@cache
def _storage_at(uri: str) -> object:
    """Return one storage that stays open: a client connects once a second at most."""
    # It takes signals and a third of a second.
    from master_cluster.store.neo_client import NeoStorage  # noqa: PLC0415

    class LastingStorage(NeoStorage):
        def close(self) -> None:
            # Nobody is to be told of what others commit meanwhile.
            self.registerDB(None)

    return LastingStorage(parse_neo_uri(uri))
