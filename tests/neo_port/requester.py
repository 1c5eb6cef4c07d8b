"""Requests instances for ever, and says which ones were acknowledged: run alone.

    python requester.py STORE_URI PARTITION_COUNT

Each line is a title.
"""

from __future__ import annotations

import sys

from tests.unit.master_cluster.benches import StoreBench

SEED = 2
"""Another one than that of the state that was there before: other ids."""


def main() -> None:
    uri, count = sys.argv[1:]
    bench = StoreBench(uri, SEED)
    bench.format(int(count))
    for number in range(int(count)):
        bench.request(f"acknowledged {number}")
        sys.stdout.write(f"acknowledged {number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
