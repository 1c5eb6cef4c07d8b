"""The source of this project as values: what the tests of the source read."""

from __future__ import annotations

import ast
import functools
import subprocess  # noqa: TID251 - tools are programs
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

TOP = Path(__file__).resolve().parent.parent
PACKAGES = (
    "slap",
    "runtime",
    "stunnel_conf",
    "replication",
    "master_cluster",
    "slapgrid",
    "slapcluster",
    "labsim",
)
"""Every top-level package that the architecture names; some come later."""


@frozen
class Import:
    """One imported module or name, dotted, and where it stands."""

    target: str
    line: int


@frozen
class Module:
    """A parsed file; ``name`` is dotted, of a package that of its directory."""

    name: str
    path: str
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @functools.cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All of the tree; each rule looks at it."""
        return tuple(ast.walk(self.tree))

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    @property
    def is_core(self) -> bool:
        return (ast.get_docstring(self.tree) or "").startswith("Core.")

    def imports(self) -> tuple[Import, ...]:
        """Every import at any depth; of ``from a import b`` both ``a`` and ``a.b``."""
        return self._imports

    @functools.cached_property
    def _imports(self) -> tuple[Import, ...]:
        return tuple(self._find_imports())

    def _find_imports(self) -> Iterator[Import]:
        for item in self.nodes:
            if isinstance(item, ast.Import):
                for alias in item.names:
                    yield Import(alias.name, item.lineno)
            elif isinstance(item, ast.ImportFrom) and item.module:
                yield Import(item.module, item.lineno)
                for alias in item.names:
                    yield Import(f"{item.module}.{alias.name}", item.lineno)


def a_module(text: str, path: str = "slap/sample.py") -> Module:
    """A module that exists only in a test."""
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Module(name, path, text)


@functools.cache
def tracked_files() -> tuple[str, ...]:
    """Paths of the files that are, or would be, committed."""
    # The checkout may belong to another user than the one who tests it.
    argv = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"]
    listing = subprocess.run(
        [*argv, "--exclude-standard"], cwd=TOP, check=True, capture_output=True
    ).stdout.decode()
    return tuple(
        sorted(path for path in set(listing.split("\0")) if (TOP / path).is_file())
    )


@functools.cache
def modules() -> tuple[Module, ...]:
    """Every Python module of ours, tests and benchmarks included."""
    roots = (*PACKAGES, "benchmarks", "tests")
    return tuple(
        a_module((TOP / path).read_text(), path)
        for path in tracked_files()
        if path.endswith(".py") and path.partition("/")[0] in roots
    )


def product_modules() -> tuple[Module, ...]:
    return tuple(module for module in modules() if module.package in PACKAGES)


def present_commit() -> str:
    """Its whole number, with ``-dirty`` when a file differs from it."""
    argv = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    done = subprocess.run(argv, cwd=TOP, check=True, capture_output=True, text=True)
    return done.stdout.strip()
