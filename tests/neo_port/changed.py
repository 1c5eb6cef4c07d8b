"""Runs a program of the quorum with other text in its modules: run alone.

    python changed.py TEXTS PROGRAM OPTIONS

``TEXTS`` is a file in JSON: for paths of modules below the checkout their whole text.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

TOP = Path(__file__).parents[2]


def main() -> None:
    _, texts, program, *options = sys.argv
    sys.path[:0] = [str(TOP)]
    changing = import_module("labsim.mutants.changing")
    changing.ChangedSources(json.loads(Path(texts).read_text())).install()
    sys.argv[:] = [program, *options]
    relative = str(Path(program).relative_to(TOP))
    import_module(changing.module_of(relative)).main()


if __name__ == "__main__":
    main()
