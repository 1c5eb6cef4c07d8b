# ruff: noqa: SLF001 - the formats of NEO's packets are private
"""Stand-alone: sends a NEO node what no node sends; a line of JSON tells what it did.

``python garbage.py ADDRESS CLUSTER SEED``, in an environment with NEO. Each connection
brings one piece of garbage; the node must close it, and not end.
"""

import json
import random
import socket
import struct
import sys
from collections import Counter

from neo.lib import protocol
from neo.lib.protocol import Packets

VERSION = protocol.ENCODED_VERSION
HEADER = protocol.PACKET_HEADER_FORMAT
MUTATIONS = 4
#: Enough for a node that answers at once; it is then told that we say no more.
PATIENCE_SECONDS = 0.05
CLOSE_SECONDS_MAX = 10
#: Whoever reaches an admin is its administrator: these are obeyed, whole ones only.
ORDERS = {
    "AddPendingNodes",
    "CheckReplicas",
    "Repair",
    "SetClusterState",
    "SetNodeState",
    "SetNumReplicas",
    "Truncate",
    "TweakPartitionTable",
}


def packet(code, body, number=1):
    return HEADER.pack(number, code, len(body)) + body


def values_of(items, chance):
    return tuple(value_of(it, chance) for it in items)


#: What each type allows; the first that fits is taken.
VALUES = (
    (
        protocol.POption,
        lambda it, chance: chance.choice([None, values_of(it._items, chance)]),
    ),
    (protocol.PStruct, lambda it, chance: values_of(it._items, chance)),
    (
        protocol.PList,
        lambda it, chance: list(values_of([it._item] * chance.randrange(3), chance)),
    ),
    (
        protocol.PDict,
        lambda it, chance: {value_of(it._key, chance): value_of(it._value, chance)},
    ),
    (protocol.PEnum, lambda it, chance: chance.choice([None, *it._enum])),
    (
        protocol.PAddress,
        lambda _, chance: chance.choice([None, ("127.0.0.1", chance.randrange(1024))]),
    ),
    (protocol.PText, lambda _, chance: "x" * chance.randrange(9)),
    (protocol.PString, lambda _, chance: chance.randbytes(chance.randrange(99))),
    (protocol.PBoolean, lambda _, chance: chance.choice([False, True])),
    (protocol.PFloat, lambda _, chance: chance.choice([None, chance.random() * 2e9])),
    (protocol.PSignedNull, lambda _, chance: chance.randrange(-(2**31), 2**31)),
    (protocol.PChecksum, lambda _, chance: chance.randbytes(20)),
    (protocol.PStructItem, lambda it, chance: chance.randrange(2 ** (8 * it.size - 1))),
    (protocol.PTID, lambda _, chance: chance.choice([None, chance.randbytes(8)])),
)


def value_of(item, chance):
    return next(of for kind, of in VALUES if isinstance(item, kind))(item, chance)


def body_of(kind, chance):
    values = value_of(kind._fmt, chance) if kind._fmt else ()
    return kind(*values)._body


def mutated(body, chance):
    """Cut, with other bytes, or longer."""
    changed = bytearray(body)
    for _ in range(chance.randrange(1, 4)):
        if changed:
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    cut = chance.randrange(len(changed) + 1)
    return chance.choice(
        [bytes(changed), bytes(changed[:cut]), bytes(changed) + chance.randbytes(9)]
    )


def identification(name, chance):
    """What a stranger says who knows the name of the cluster, of no known node."""
    return packet(
        1,
        Packets.RequestIdentification(
            chance.choice([*protocol.NodeTypes]),
            chance.choice([None, chance.randrange(2**24, 2**31)]),
            None,
            name,
            chance.choice([None, chance.random() * 2e9]),
            (),
            (),
        )._body,
    )


def pieces(name, seed):
    """Pairs of a kind and what is sent."""
    chance = random.Random(seed)
    yield "nothing", b""
    yield "bytes", chance.randbytes(9999)
    yield "http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(99)
    yield "other version", struct.pack("!L", 7) + packet(1, b"")
    for _ in range(20):
        yield "version, bytes", VERSION + chance.randbytes(chance.randrange(999))
    for length in 2**16 + 1, 2**26, 2**26 + 1, 2**32 - 1:
        yield "huge", VERSION + HEADER.pack(1, 1, length) + bytes(999)
    yield "error", VERSION + packet(2**15, struct.pack("!LL", 77, 0))
    quiet = packet(Packets.NotifyReady._code, b"")
    yield "broken, then whole", VERSION + packet(1, b"x") + quiet
    yield "pings", VERSION + packet(Packets.Ping._code, b"") * 99
    for code, kind in sorted(Packets.items()):
        bodies = [body_of(kind, chance) for _ in range(MUTATIONS)]
        for body in bodies:
            if kind.__name__ not in ORDERS:
                yield "whole", VERSION + packet(code, body)
                yield "mutated", VERSION + packet(code, mutated(body, chance))
            if body:
                yield "cut", VERSION + packet(code, body[: len(body) // 2])
    for _ in range(9):
        yield "of a known name", VERSION + identification(name, chance)


def ended(address, data):
    """Whether the node closed by itself; it must when we say no more."""
    with socket.create_connection(address, timeout=CLOSE_SECONDS_MAX) as link:
        try:
            link.sendall(data)
            link.settimeout(PATIENCE_SECONDS)
            try:
                while link.recv(2**16):
                    pass
            except TimeoutError:
                link.settimeout(CLOSE_SECONDS_MAX)
                link.shutdown(socket.SHUT_WR)
                while link.recv(2**16):
                    pass
                return False
        except (ConnectionResetError, BrokenPipeError):
            pass
    return True


def main(address, name, seed):
    host, _, port = address.rpartition(":")
    counts = Counter()
    for kind, data in pieces(name, int(seed)):
        try:
            by_itself = ended((host, int(port)), data)
        except OSError as error:
            counts[f"{kind}: {error!r} at {data[:40].hex()}"] += 1
            break
        counts[f"{kind}: {'closed' if by_itself else 'kept'}"] += 1
    print(json.dumps(counts))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
