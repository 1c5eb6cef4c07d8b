"""One client process of a store, for ``neo_costs.py``: told what to do by lines.

    python -m benchmarks.neo_client STORE

``STORE`` is ``file PATH``, ``zeo HOST PORT`` or ``neo NAME MASTERS SILENCE``. Lines:
``commit THREADS COUNT`` has that many threads make that many transactions of one object
each; ``read THREADS COUNT`` has them read that many objects, after the caches were
emptied. The answer is a line: seconds, and CPU seconds of this process.
"""

from __future__ import annotations

import sys
import threading  # noqa: TID251 - clients of one process
import time
from typing import Any

import transaction  # type: ignore[import-untyped]
from persistent.mapping import PersistentMapping  # type: ignore[import-untyped]
from ZODB import DB  # type: ignore[import-untyped]

OBJECT_COUNT = 400
"""Of each thread, so that no two write one object."""

VALUE = "x" * 200
READ_CACHE_BYTES = 1
"""Clients of ZEO and NEO have a second cache: a read here is one of the store."""


def open_storage(kind: str, *where: str) -> Any:
    if kind == "file":
        from ZODB.FileStorage import FileStorage  # type: ignore[import-untyped] # noqa: PLC0415

        return FileStorage(where[0])
    if kind == "zeo":
        from ZEO.ClientStorage import ClientStorage  # type: ignore[import-untyped] # noqa: PLC0415

        host, port = where
        return ClientStorage((host, int(port)), cache_size=READ_CACHE_BYTES)
    from neo.client.Storage import (  # type: ignore[import-untyped] # noqa: PLC0415
        Storage,
    )

    name, masters, silence = where
    return Storage(
        master_nodes=masters,
        name=name,
        silence=int(silence),
        cache_size=READ_CACHE_BYTES,
    )


def prepare(database: DB, threads_max: int) -> None:
    """Give each thread its objects."""
    with database.transaction() as connection:
        for thread in range(threads_max):
            if thread not in connection.root():
                objects = PersistentMapping()
                connection.root()[thread] = objects
                for number in range(OBJECT_COUNT):
                    objects[number] = PersistentMapping()


def commit(database: DB, thread: int, count: int) -> None:
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    objects = connection.root()[thread]
    for number in range(count):
        objects[number % OBJECT_COUNT]["value"] = f"{VALUE}{time.monotonic()}"  # noqa: TID251
        manager.commit()
    connection.close()


def read(database: DB, thread: int, count: int) -> None:
    connection = database.open(transaction.TransactionManager())
    objects = connection.root()[thread]
    connection.cacheMinimize()
    for number in range(count):
        len(objects[number % OBJECT_COUNT])
    connection.close()


WORK = {"commit": commit, "read": read}
THREADS_MAX = 8


def measured(database: DB, verb: str, threads: int, count: int) -> tuple[float, float]:
    work = WORK[verb]
    workers = [
        threading.Thread(target=work, args=(database, it, count))
        for it in range(threads)
    ]
    begun, cpu = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - begun, time.process_time() - cpu


def main() -> None:
    database = DB(open_storage(*sys.argv[1:]), pool_size=2 * THREADS_MAX)
    prepare(database, THREADS_MAX)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        verb, threads, count = line.split()
        seconds, cpu = measured(database, verb, int(threads), int(count))
        sys.stdout.write(f"{seconds} {cpu}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
