"""Commits numbers for ever, and says which ones were acknowledged: run alone.

    python committer.py MASTERS SILENCE TRANSLATE TLS KEY FIRST

``TLS`` is three files, or empty; ``KEY`` names the numbers of this client; ``FIRST`` is
the first one, or ``read``, or ``count-N``: add one to a number N times, say what it is
then, and end. A commit that fails is made again: the same value under the
same key. Each line is ``acknowledged``, the seconds of the monotonic clock of this
computer, the number; or ``backwards`` and a number that was acknowledged to this client
and is not seen by it, or whose transaction has no later id than the one before.
"""

from __future__ import annotations

import sys
import time

import transaction  # type: ignore[import-untyped]
from BTrees.LOBTree import LOBTree  # type: ignore[import-untyped]
from neo.client.Storage import Storage  # type: ignore[import-untyped]
from ZODB import DB  # type: ignore[import-untyped]

NAME = "lab"
VALUE = b"x" * 100
PAUSE_SECONDS = 0.05
"""Gaps are told to that, and most of the computer is left to others."""


def open_database(masters: str, silence: str, translate: str, tls: str) -> DB:
    files = dict(zip(("ca", "cert", "key"), tls.split(), strict=False))
    storage = Storage(
        master_nodes=masters,
        name=NAME,
        silence=int(silence),
        translate=translate or None,
        **files,
    )
    return DB(storage)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def pause() -> None:
    time.sleep(PAUSE_SECONDS)  # noqa: TID251 - it runs alone


def main() -> None:
    *where, key, first = sys.argv[1:]
    number = int(first)
    told = None
    database = open_database(*where)
    connection = database.open()
    tid = b""
    while True:
        try:
            root = connection.root()
            if key not in root:
                root[key] = LOBTree()
            numbers = root[key]
            if told is not None and told not in numbers:
                say(f"backwards {told}")
            numbers[number] = VALUE
            transaction.commit()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is made again
            sys.stderr.write(f"{error!r}\n")
            transaction.abort()
            pause()
            continue
        say(f"acknowledged {time.monotonic()} {number}")  # noqa: TID251
        told = number
        before, tid = tid, database.storage.lastTransaction()
        if tid <= before:
            say(f"backwards {number}")
        number += 1
        pause()


def read() -> None:
    """Print how many numbers there are, and the first one that is missing."""
    *where, key, _ = sys.argv[1:]
    numbers = open_database(*where).open().root()[key]
    count = len(numbers)
    missing = next((it for it in range(count) if numbers.get(it) != VALUE), None)
    say(f"numbers {count} {missing}")


def count() -> None:
    """Count, with others at once; who meets one of them counts again."""
    *where, key, word = sys.argv[1:]
    connection = open_database(*where).open()
    left = int(word.removeprefix("count-"))
    while left:
        try:
            transaction.begin()
            connection.root()[key] = connection.root().get(key, 0) + 1
            transaction.commit()
            left -= 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is made again
            sys.stderr.write(f"{error!r}\n")
            transaction.abort()
            pause()
    transaction.begin()
    say(f"counted {connection.root().get(key, 0)}")


if __name__ == "__main__":
    if sys.argv[-1] == "read":
        read()
    elif sys.argv[-1].startswith("count-"):
        count()
    else:
        main()
