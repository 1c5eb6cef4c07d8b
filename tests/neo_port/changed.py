"""Runs a program of the quorum with other text in its modules: run alone.

    python changed.py TEXTS PROGRAM OPTIONS

``TEXTS`` is a file in JSON: for paths of modules below the checkout their whole text.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.abc import SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]


class Changed(SourceLoader):
    """Finds the modules that are changed, before anybody else does."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = {_name_of(path): text for path, text in texts.items()}

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if name not in self._texts:
            return None
        return spec_from_file_location(name, self.get_filename(name), loader=self)

    def get_filename(self, fullname: str) -> str:
        return str(TOP / fullname.replace(".", "/")) + ".py"

    def get_data(self, path: bytes | str) -> bytes:
        return self._texts[_name_of(str(Path(str(path)).relative_to(TOP)))].encode()


def _name_of(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def main() -> None:
    _, texts, program, *options = sys.argv
    sys.path[:0] = [str(TOP)]
    sys.meta_path.insert(0, Changed(json.loads(Path(texts).read_text())))
    sys.argv[:] = [program, *options]
    import_module(_name_of(str(Path(program).relative_to(TOP)))).main()


if __name__ == "__main__":
    main()
