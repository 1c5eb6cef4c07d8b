"""A transaction that stops before its end, and at a sign goes on: run alone.

    python held_client.py MASTERS SILENCE TRANSLATE TLS SIGN

``SIGN`` is the description, too. Each line is ``voted``, ``finishing`` once there is a
file ``SIGN``, and at last ``acknowledged`` or ``failed`` with the error.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from neo.client.Storage import Storage  # type: ignore[import-untyped]
from ZODB.Connection import TransactionMetaData  # type: ignore[import-untyped]
from ZODB.utils import z64  # type: ignore[import-untyped]

NAME = "lab"
VALUE = b"N."
"""A pickle: nobody reads it."""


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    masters, silence, translate, tls, sign = sys.argv[1:]
    files = dict(zip(("ca", "cert", "key"), tls.split(), strict=False))
    storage = Storage(
        master_nodes=masters,
        name=NAME,
        silence=int(silence),
        translate=translate or None,
        **files,
    )
    transaction = TransactionMetaData(description=sign)
    oid = storage.new_oid()
    storage.tpc_begin(transaction)
    storage.store(oid, z64, VALUE, "", transaction)
    storage.tpc_vote(transaction)
    say("voted")
    while not Path(sign).exists():
        time.sleep(0.01)  # noqa: TID251 - it runs alone
    say("finishing")
    try:
        storage.tpc_finish(transaction)
    except Exception as error:  # noqa: BLE001 - whatever it is, it was not acknowledged
        say(f"failed {error!r}")
    else:
        say("acknowledged")


if __name__ == "__main__":
    main()
