"""Stand-alone: clients of a NEO cluster that is packed; see ``test_pack.py``.

``python pack_client.py ACTION MASTERS ...`` in an environment with NEO; each answers
with lines of JSON.
"""

import hashlib
import json
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transaction
from BTrees.IOBTree import IOBTree
from neo.client.Storage import Storage
from neo.lib.protocol import ENCODED_VERSION, Packets
from persistent.mapping import PersistentMapping
from ZODB import DB
from ZODB.POSException import ConflictError, UndoError

COMMIT_BYTES = 4 << 20
OBJECTS_READ_AT_ONCE = 50
#: Few objects, each changed and undone again and again: undone undos refer to old data.
COUNTER_COUNT = 4
COMMITS_PER_UNDO = 3
PING_SECONDS = 0.02
HEADER = struct.Struct("!LHL")


def seconds_now() -> float:
    return time.monotonic()  # noqa: TID251 - a program of its own


def say(**values: Any) -> None:
    print(json.dumps(values), flush=True)  # noqa: T201 - its answer


def content(number: int, revision: int, size_bytes: int) -> bytes:
    """What no compression makes smaller, and nobody has to remember."""
    return hashlib.shake_128(f"{number}/{revision}".encode()).digest(size_bytes)


@contextmanager
def database(masters: str) -> Iterator[DB]:
    db = DB(Storage(master_nodes=masters, name="probe"), pool_size=20)
    try:
        yield db
    finally:
        db.close()


def fill(masters: str, count: str, size_bytes: str, revisions: str) -> None:
    """So many objects of that size, each committed as often as there are revisions."""
    with database(masters) as db:
        connection = db.open()
        root = connection.root()
        root["filled"] = filled = IOBTree()
        root["counters"] = IOBTree(dict.fromkeys(range(COUNTER_COUNT), 0))
        for number in range(int(count)):
            filled[number] = PersistentMapping()
        transaction.commit()
        per_commit = max(1, COMMIT_BYTES // int(size_bytes))
        for revision in range(int(revisions)):
            for number in range(int(count)):
                filled[number]["content"] = content(number, revision, int(size_bytes))
                if number % per_commit == per_commit - 1:
                    transaction.commit()
                    connection.cacheMinimize()
            transaction.commit()
    say(filled=int(count))


def read(masters: str, count: str, size_bytes: str, revisions: str) -> None:
    """Refuses to go on when an object is not what was filled in last."""
    with database(masters) as db:
        connection = db.open()
        filled = connection.root()["filled"]
        for number in range(int(count)):
            expected = content(number, int(revisions) - 1, int(size_bytes))
            if filled[number]["content"] != expected:
                raise SystemExit(f"object {number} is not what it was")
            if not number % OBJECTS_READ_AT_ONCE:
                connection.cacheMinimize()
    say(read=int(count))


def pack(masters: str) -> None:
    """Until the cluster says that it is done."""
    with database(masters) as db:
        began = seconds_now()
        db.pack()
        say(pack_seconds=seconds_now() - began)


def commit(masters: str, stop: str) -> None:
    """Changes counters and filled objects until there is a file of that name.

    A transaction in three is undone; an undo that is refused is counted. At the end, a
    new client reads what was acknowledged.
    """
    expected: dict[int, int] = {}
    longest = 0.0
    number = undone = refused = 0
    with database(masters) as db:
        connection = db.open()
        root = connection.root()
        counters, filled = root["counters"], root["filled"]
        while not Path(stop).exists():
            number += 1
            marked = number % COUNTER_COUNT
            before = expected.get(marked, 0)
            began = seconds_now()
            counters[marked] = number
            filled[marked]["mark"] = number
            transaction.commit()
            expected[marked] = number
            if number % COMMITS_PER_UNDO == 0:
                try:
                    db.undo(filled[marked]._p_serial)  # noqa: SLF001 - ZODB's name
                    transaction.commit()
                except (ConflictError, UndoError):
                    transaction.abort()
                    refused += 1
                else:
                    expected[marked] = before
                    undone += 1
            longest = max(longest, seconds_now() - began)
            say(number=number, longest_commit_seconds=longest)
    with database(masters) as db:
        root = db.open().root()
        counters, filled = root["counters"], root["filled"]
        wrong = [
            it
            for it, value in expected.items()
            if not counters[it] == filled[it].get("mark", 0) == value
        ]
    say(
        number=number,
        longest_commit_seconds=longest,
        undone=undone,
        refused=refused,
        wrong=wrong,
    )


def ping(addresses: str, stop: str) -> None:
    """The longest time that each took for a Ping, until there is a file of that name.

    What answers it is the event loop, so this is the longest of its turns.
    """
    longest = dict.fromkeys(addresses.split(), 0.0)
    links: dict[str, socket.socket] = {}
    while not Path(stop).exists():
        for address in longest:
            # A storage node does not keep those who never say who they are.
            if address not in links:
                links[address] = connected(address)
            try:
                seconds = answered(links[address])
            except ConnectionError:
                links.pop(address).close()
                continue
            if seconds > longest[address]:
                longest[address] = seconds
                say(turn_seconds=longest)
        time.sleep(PING_SECONDS)  # noqa: TID251 - a program of its own
    say(turn_seconds=longest)


def connected(address: str) -> socket.socket:
    host, port = address.split(":")
    link = socket.create_connection((host, int(port)))
    link.sendall(ENCODED_VERSION)
    received(link, len(ENCODED_VERSION))
    return link


def answered(link: socket.socket) -> float:
    packet = Packets.Ping()
    packet.setId(1)
    began = seconds_now()
    link.sendall(b"".join(packet.encode()))
    _, _, length = HEADER.unpack(received(link, HEADER.size))
    received(link, length)
    return seconds_now() - began


def received(link: socket.socket, length: int) -> bytes:
    parts = b""
    while len(parts) < length:
        part = link.recv(length - len(parts))
        if not part:
            raise ConnectionError("closed")
        parts += part
    return parts


if __name__ == "__main__":
    {it.__name__: it for it in (fill, read, pack, commit, ping)}[sys.argv[1]](
        *sys.argv[2:]
    )
