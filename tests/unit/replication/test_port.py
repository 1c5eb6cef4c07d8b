"""What NEO's source names of the standard library is there in this Python.

A name that is looked up on a rare path ends a storage node years later.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import neo.lib

NEO = Path(neo.lib.__file__).parents[1]

UNUSED = {
    # A debugger by signal, which no program here loads; it is wrong in NEO too.
    "lib/debug.py: socket.settimeout",
    # A quick neo_cluster for tests, which is not installed as a command.
    "scripts/simple.py: inspect.getargspec",
}


def modules_of(tree: ast.AST) -> dict[str, str]:
    """The names by which a file knows modules of the standard library."""
    found = [
        (alias.asname or alias.name.partition(".")[0], alias)
        for it in ast.walk(tree)
        if isinstance(it, ast.Import)
        for alias in it.names
    ]
    return {
        name: alias.name if alias.asname else name
        for name, alias in found
        if alias.name.partition(".")[0] in sys.stdlib_module_names
    }


def missing_names(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    modules = modules_of(tree)
    for it in ast.walk(tree):
        if isinstance(it, ast.Attribute) and isinstance(it.value, ast.Name):
            module = modules.get(it.value.id)
            if module and not hasattr(importlib.import_module(module), it.attr):
                yield f"{path.relative_to(NEO)}: {module}.{it.attr}"


def test_names_of_the_standard_library_exist() -> None:
    """``weakref.ReferenceError`` did not: a lost connection ended a storage node."""
    files = [it for it in NEO.rglob("*.py") if "tests" not in it.parts]

    missing = {name for path in files for name in missing_names(path)}

    assert missing == UNUSED
