"""Shell. Sources with a text replaced, and modules that are made of them.

A change names a text that stands in a file exactly once: one whose text is gone is an
error, since the program went on without it. A normal start of a program finds nothing
of this: ``ChangedSources`` has to be put before the other finders, before what it
changes is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.abc import SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from labsim.mutants.mutant import Change

TOP = Path(__file__).parents[2]
"""What the paths of changes are relative to."""


class TargetGone(Exception):
    """What a mutant takes out is not in the source any more."""


def changed_texts(changes: Iterable[Change], paths: Iterable[str]) -> dict[str, str]:
    """Return the sources at these paths, with these changes."""
    texts = {path: (TOP / path).read_text() for path in paths}
    for change in changes:
        if change.path not in texts:
            raise TargetGone(f"{change.path} is not loaded anew")
        if texts[change.path].count(change.before) != 1:
            raise TargetGone(f"{change.path} has not once: {change.before}")
        texts[change.path] = texts[change.path].replace(change.before, change.after)
    return texts


def texts_of(changes: Iterable[Change]) -> dict[str, str]:
    """Return the whole text of each file that is changed."""
    given = tuple(changes)
    return changed_texts(given, sorted({it.path for it in given}))


def module_of(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


class ChangedSources(SourceLoader):
    """Finds the modules of these texts, by path, before anybody else does."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = {module_of(path): text for path, text in texts.items()}

    def install(self) -> None:
        """Let this interpreter import the texts; none may be imported already."""
        known = sorted(self._texts.keys() & sys.modules.keys())
        assert not known, f"imported before they are changed: {known}"
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if name not in self._texts:
            return None
        return spec_from_file_location(name, self.get_filename(name), loader=self)

    def get_filename(self, fullname: str) -> str:
        return str(TOP / fullname.replace(".", "/")) + ".py"

    def get_data(self, path: bytes | str) -> bytes:
        relative = str(Path(str(path)).relative_to(TOP))
        return self._texts[module_of(relative)].encode()


def run(path: str, text: str) -> ModuleType:
    """Return one module of a text, which nobody else can import."""
    module = ModuleType(f"changed.{Path(path).stem}")
    # Classes of values look up their module while they are made.
    sys.modules[module.__name__] = module
    try:
        exec(compiled(path, text), module.__dict__)  # noqa: S102 - our own source
    finally:
        del sys.modules[module.__name__]
    return module


def load_anew(changes: Iterable[Change], paths: Sequence[str]) -> ModuleType:
    """Return the last of some modules, with these changes.

    Each is loaded after those of them that it imports; nobody else finds them.
    """
    texts = changed_texts(changes, paths)
    names = {path: module_of(path) for path in paths}
    originals = {name: sys.modules.get(name) for name in names.values()}
    try:
        for path, name in names.items():
            # Those that come later import it by its name.
            module = sys.modules[name] = ModuleType(name)
            exec(compiled(path, texts[path]), module.__dict__)  # noqa: S102 - our own
    finally:
        for name, original in originals.items():
            del sys.modules[name]
            if original is not None:
                sys.modules[name] = original
    return module


@cache
def compiled(path: str, text: str) -> CodeType:
    return compile(text, path, "exec")
