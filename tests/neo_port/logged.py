"""Runs a program of a client of NEO with the log that NEO's servers have: run alone.

python logged.py FILE PROGRAM OPTIONS
"""

from __future__ import annotations

import runpy
import sys

from neo.lib import logging  # type: ignore[import-untyped]


def main() -> None:
    _, file, program, *options = sys.argv
    logging.setup(file)
    sys.argv[:] = [program, *options]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
