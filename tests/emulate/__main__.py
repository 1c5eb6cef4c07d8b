"""``make emulate``: faults of three regions, and what only root can try.

Nothing of this host is changed: tests run in namespaces of their own, with copies of
what they would change. Each run is a line of ``.emulate/runs.jsonl`` with the commit
that it tried and the figures that its tests told.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import pytest

from tests.emulate.figures import FIGURES_VARIABLE
from tests.interop.stock import neo_environment
from tests.source_tree import TOP, present_commit

RUNS = TOP / ".emulate" / "runs.jsonl"


def main(arguments: list[str]) -> int:
    if os.geteuid() != 0:
        print("make emulate needs root: run it with sudo", file=sys.stderr)  # noqa: T201
        return 1
    RUNS.parent.mkdir(exist_ok=True)
    figures = RUNS.with_name("figures.jsonl")
    figures.unlink(missing_ok=True)
    os.environ[FIGURES_VARIABLE] = str(figures)  # noqa: TID251 - for its own tests
    started = time.time()  # noqa: TID251
    # Made here: no network is left where it is used.
    neo_environment()
    status = pytest.main([str(Path(__file__).parent), *arguments])
    told = figures.read_text().splitlines() if figures.exists() else []
    its_figures = [json.loads(it) for it in told]
    run = {
        "commit": present_commit(),
        "at": started,
        "seconds": time.time() - started,  # noqa: TID251
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
        "status": int(status),
        "figures": its_figures,
    }
    with RUNS.open("a") as runs:
        runs.write(json.dumps(run) + "\n")
    for figure in its_figures:
        print(json.dumps(figure))  # noqa: T201 - the answer
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
