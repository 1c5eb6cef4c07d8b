"""Runs a program whose time of day is that of another clock: run alone.

python skewed.py SECONDS PROGRAM OPTIONS
"""

from __future__ import annotations

import runpy
import sys
import time

_TIME = time.time  # noqa: TID251


def main() -> None:
    _, seconds, program, *options = sys.argv
    offset = float(seconds)
    time.time = lambda: _TIME() + offset  # noqa: TID251
    sys.argv[:] = [program, *options]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
