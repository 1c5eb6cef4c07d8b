"""Runs a program of the quorum with other text in its modules: run alone.

    python changed.py CHANGES PROGRAM OPTIONS

``CHANGES`` is a file in JSON: the path of a module below the checkout, a text that
stands there once, and what stands there instead, again and again.
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


def change(rows: list[list[str]]) -> dict[str, str]:
    """Return the whole text of each file that is changed."""
    texts: dict[str, str] = {}
    for path, before, after in rows:
        text = texts.get(path) or (TOP / path).read_text()
        if text.count(before) != 1:
            sys.exit(f"{path} has not once: {before}")
        texts[path] = text.replace(before, after)
    return texts


def main() -> None:
    _, changes, program, *options = sys.argv
    texts = change(json.loads(Path(changes).read_text()))
    sys.path[:0] = [str(TOP)]
    sys.meta_path.insert(0, Changed(texts))
    sys.argv[:] = [program, *options]
    import_module(_name_of(str(Path(program).relative_to(TOP)))).main()


if __name__ == "__main__":
    main()
