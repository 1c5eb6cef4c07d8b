"""Connections of a NEO node that go silent: packets are dropped, nobody is told.

What the node opens anew gets through: it is its connections that are cut.

Run by ``test_silence.py``, as root of a namespace with a loopback and nothing else.
"""

from __future__ import annotations

import re
import subprocess  # noqa: TID251 - nft and ss of this namespace
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.test_cluster import SECONDS_MAX, NeoCluster

SILENCE_SECONDS = 3
#: To notice it and to go on without; Linux alone needs 900 s.
GAP_SECONDS_MAX = 3 * SILENCE_SECONDS
COMMITS_AFTER = 20
PORTS = re.compile(r":(\d+) +127\.0\.0\.1:(\d+) ")

DROP = """\
table inet silence {{
  set ports {{ type inet_service; elements = {{ {ports} }} }}
  chain input {{
    type filter hook input priority 0;
    tcp sport @ports drop
    tcp dport @ports drop
  }}
}}
"""

#: A commit that fails is made again: the same value under the same key.
COMMITTER = """\
import sys, time, transaction
from neo.client.Storage import Storage
from ZODB import DB
db = DB(Storage(master_nodes=sys.argv[1], name="probe", silence=int(sys.argv[2])))
root = db.open().root()
number = 0
while True:
    try:
        root[number] = b"x" * 100
        transaction.commit()
    except Exception as error:
        print(repr(error), file=sys.stderr, flush=True)
        transaction.abort()
        time.sleep(0.1)
        continue
    number += 1
    print("acknowledged", time.monotonic(), number, flush=True)
"""


def ports_of(pid: int, address: str) -> set[str]:
    """The port that it listens on, and those of its connections to others."""
    lines = subprocess.run(
        ["ss", "-Htnp"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    own = (PORTS.search(line) for line in lines if f"pid={pid}," in line)
    return {address.rpartition(":")[2], *(found[1] for found in own if found)}


def silence(rules: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def committed(log: Path) -> list[tuple[float, int]]:
    """When, and how many then."""
    rows = (line.split() for line in log.read_text().splitlines())
    whole = (row for row in rows if row[:1] == ["acknowledged"] and len(row) == 3)
    return [(float(at), int(count)) for _, at, count in whole]


def test_commits_go_on_when_a_storage_node_falls_silent(tmp_path: Path) -> None:
    """With data on the way to it. Nothing acknowledged is missing afterwards."""
    environment = neo_environment()
    with ExitStack() as stack:
        neo_cluster = NeoCluster(
            tmp_path, environment, stack, options=("--silence", f"{SILENCE_SECONDS}")
        )
        log = tmp_path / "commits.log"
        python = str(environment / "python")
        argv = (python, "-c", COMMITTER, neo_cluster.master_nodes, f"{SILENCE_SECONDS}")
        with programs.running(argv, log):
            programs.eventually(
                lambda: len(committed(log)) > COMMITS_AFTER, SECONDS_MAX, "commits"
            )
            ports = ", ".join(
                ports_of(neo_cluster.storages[1].pid, neo_cluster.addresses[1])
            )

            silence(DROP.format(ports=ports))
            count_then = committed(log)[-1][1]
            programs.eventually(
                lambda: committed(log)[-1][1] > count_then + COMMITS_AFTER,
                SECONDS_MAX,
                "commits go on",
            )
        rows = committed(log)
        silence("delete table inet silence")
        gap_seconds = max(later[0] - earlier[0] for earlier, later in pairwise(rows))
        print(f"the longest gap was {gap_seconds:.1f} s")  # noqa: T201
        assert gap_seconds < GAP_SECONDS_MAX
        assert int(neo_cluster.commit(10**6, 1)[-1]) > rows[-1][1]
