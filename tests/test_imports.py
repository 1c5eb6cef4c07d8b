"""Who may import what: the table of docs/architecture.md as data.

The table may change, by a page in docs/decisions that says why.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from attrs import frozen

from tests.source_tree import PACKAGES, Module, a_module, product_modules

ZODB = ("ZODB", "ZEO", "BTrees", "persistent", "transaction", "zc.lockfile")
TWISTED = ("twisted", "zope")
EVERYTHING = ("*",)

ALLOWED: Mapping[str, Mapping[str, Sequence[str]]] = {
    # importer: {imported top-level name: modules of the importer that may}
    "slap": {
        "cattrs": ("slap.*",),
    },
    "runtime": {
        **dict.fromkeys(TWISTED, EVERYTHING),
        "cryptography": EVERYTHING,
    },
    "stunnel_conf": {
        "runtime": ("stunnel_conf.applying",),
        "cryptography": ("stunnel_conf.pins",),
        **dict.fromkeys(TWISTED, ("stunnel_conf.applying",)),
    },
    "replication": {
        "runtime": EVERYTHING,
        "stunnel_conf": ("replication.links",),
        **dict.fromkeys(TWISTED, EVERYTHING),
        **dict.fromkeys(ZODB, ("replication.neo.*", "replication.transfer")),
        "neo": ("replication.neo.*",),
    },
    "master_cluster": {
        "slap": EVERYTHING,
        "runtime": EVERYTHING,
        "replication": ("master_cluster.store.restoring",),
        **dict.fromkeys(TWISTED, EVERYTHING),
        **dict.fromkeys(ZODB, ("master_cluster.store", "master_cluster.store.*")),
        "neo": ("master_cluster.store.neo_client",),
        "cattrs": ("master_cluster.store.*",),
        "cryptography": ("master_cluster.certificates", "master_cluster.authority.*"),
        "jinja2": ("master_cluster.web.panel.templating",),
    },
    "slapgrid": {
        "slap": EVERYTHING,
        "runtime": EVERYTHING,
        "stunnel_conf": ("slapgrid.service",),
        **dict.fromkeys(TWISTED, EVERYTHING),
        "supervisor": ("slapgrid.supervision.plugin",),
        "cryptography": ("slapgrid.software.networkcache",),
    },
    # Runs inside a software release, which pays for each dependency.
    "slapgrid.recipe": {
        "slap": EVERYTHING,
        "slapgrid.layout": EVERYTHING,
        "cattrs": EVERYTHING,
        "zc.buildout": EVERYTHING,
    },
    # Files that each run alone under a release's interpreter.
    "slapgrid.shims.bootstrap_shim": {},
    "slapgrid.shims.prune_shim": {},
    "slapgrid.shims.networkcache_shim": {},
    "slapgrid.shims.leftovers_shim": {},
    "slapgrid.shims.fork_server": {},
    "slapgrid.shims.promise_keeping": {},
    "slapgrid.shims.promise_shim": {
        "slapgrid.shims.promise_keeping": EVERYTHING,
        "slapgrid.shims.promise_warmth": EVERYTHING,
        # The same, where it runs alone:
        "promise_keeping": EVERYTHING,
        "promise_warmth": EVERYTHING,
    },
    "slapgrid.shims.promise_warmth": {},
    "slapgrid.shims.release_caches": {},
    "slapgrid.shims.buildout_shim": {
        "zc.buildout": EVERYTHING,
        "pkg_resources": EVERYTHING,
    },
    "slapcluster": {
        **dict.fromkeys(PACKAGES, EVERYTHING),
        "labsim": (),
        **dict.fromkeys(TWISTED, EVERYTHING),
        "cattrs": ("slapcluster.doctor.*", "slapcluster.recovery.*"),
        "click": EVERYTHING,
        "rich": EVERYTHING,
    },
    "labsim": {
        **dict.fromkeys(PACKAGES, EVERYTHING),
        **dict.fromkeys(TWISTED, EVERYTHING),
        **dict.fromkeys(ZODB, EVERYTHING),
        "cryptography": ("labsim.world.keys",),
        "greenlet": ("labsim.world.threads",),
        "hypothesis": EVERYTHING,
        "click": ("labsim.cli",),
    },
}
ALLOWED_TO_ALL = ("attrs", "attr", *sys.stdlib_module_names)

ALLOWED_TO_CORES = ("attrs", "attr", "cattrs", "cryptography", "zope.interface")
"""What a core may import besides other cores, ``slap`` and pure parts of Python.

Ports are declared with zope.interface, which is about types alone. Certificates are
computed from keys that are given, with signatures that follow from what is signed.
"""

WORLDLY = (
    "asyncio",
    "concurrent",
    "http.client",
    "http.server",
    "logging",
    "multiprocessing",
    "os",
    "pathlib.Path",
    "select",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib.request",
    "uuid.uuid1",
    "uuid.uuid4",
)
"""Parts of Python that touch the world: no business of a core."""


@frozen
class Finding:
    """A line that breaks a rule."""

    place: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.place}: {self.sentence}"


def starts_with(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def row_of(module: Module) -> str | None:
    """The most particular row of the table that speaks of this module."""
    rows = [row for row in ALLOWED if starts_with(module.name, row)]
    return max(rows, key=len, default=None)


def check_table(module: Module) -> Iterator[Finding]:
    """Find the imports that the table does not allow."""
    row = row_of(module)
    if row is None:
        yield Finding(module.path, "no row of ALLOWED speaks of this module")
        return
    for imported in module.imports():
        if any(starts_with(imported.target, name) for name in (row, *ALLOWED_TO_ALL)):
            continue
        importers = [
            importer
            for name, patterns in ALLOWED[row].items()
            if starts_with(imported.target, name) or starts_with(name, imported.target)
            for importer in patterns
        ]
        if not any(fnmatchcase(module.name, pattern) for pattern in importers):
            yield Finding(
                f"{module.path}:{imported.line}",
                f"{module.name} may not import {imported.target}"
                + (f"; only {', '.join(importers)} may" if importers else ""),
            )


def check_core(module: Module, everything: Iterable[Module]) -> Iterator[Finding]:
    """Find what makes a core impure."""
    if not module.is_core:
        return
    by_name = {other.name: other for other in everything}
    for imported in module.imports():
        target = imported.target
        place = f"{module.path}:{imported.line}"
        if any(starts_with(target, name) for name in WORLDLY):
            yield Finding(place, f"a core may not import {target}: pass a value in")
        elif target.partition(".")[0] in PACKAGES:
            other = by_name.get(target)
            is_package = other is not None and other.path.endswith("__init__.py")
            if other and not (other.is_core or is_package or other.package == "slap"):
                yield Finding(place, f"a core may not import the shell {target}")
        elif not any(
            starts_with(target, name)
            for name in (*ALLOWED_TO_CORES, *sys.stdlib_module_names)
        ):
            yield Finding(place, f"a core may not import {target}")


def find_circle(edges: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """One circle in a graph, empty when there is none."""
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> tuple[str, ...]:
        if name in path:
            return (*path[path.index(name) :], name)
        if name in done:
            return ()
        for successor in sorted(edges.get(name, ())):
            circle = walk(successor, (*path, name))
            if circle:
                return circle
        done.add(name)
        return ()

    for name in sorted(edges):
        circle = walk(name, ())
        if circle:
            return circle
    return ()


def package_edges(everything: Iterable[Module]) -> dict[str, set[str]]:
    edges: dict[str, set[str]] = {}
    for module in everything:
        for imported in module.imports():
            package = imported.target.partition(".")[0]
            if package in PACKAGES and package != module.package:
                edges.setdefault(module.package, set()).add(package)
    return edges


def module_edges(everything: Sequence[Module]) -> dict[str, set[str]]:
    names = {module.name for module in everything}
    return {
        module.name: {i.target for i in module.imports() if i.target in names}
        - {module.name}
        for module in everything
    }


def test_every_import_is_in_the_table() -> None:
    findings = [str(f) for module in product_modules() for f in check_table(module)]

    assert findings == [], "\n".join(findings)


def test_cores_import_nothing_that_touches_the_world() -> None:
    everything = product_modules()
    findings = [str(f) for module in everything for f in check_core(module, everything)]

    assert findings == [], "\n".join(findings)


def test_packages_do_not_import_in_a_circle() -> None:
    assert find_circle(package_edges(product_modules())) == ()


def test_modules_do_not_import_in_a_circle() -> None:
    # A package's own name stands for its __init__, which imports from no one.
    edges = module_edges(
        [m for m in product_modules() if not m.path.endswith("__init__.py")]
    )

    assert find_circle(edges) == ()


def test_the_table_names_the_line_that_breaks_it() -> None:
    module = a_module("import os\nfrom ZODB.DB import DB\n", "slapgrid/sample.py")

    assert [str(finding) for finding in check_table(module)] == [
        "slapgrid/sample.py:2: slapgrid.sample may not import ZODB.DB",
        "slapgrid/sample.py:2: slapgrid.sample may not import ZODB.DB.DB",
    ]


def test_the_table_allows_a_package_to_some_modules_only() -> None:
    text = "import transaction\n"

    allowed = a_module(text, "master_cluster/store/sample.py")
    refused = a_module(text, "master_cluster/sample.py")

    assert list(check_table(allowed)) == []
    assert [f.place for f in check_table(refused)] == ["master_cluster/sample.py:1"]


def test_a_new_package_needs_a_row() -> None:
    assert [f.place for f in check_table(a_module("", "other/sample.py"))] == [
        "other/sample.py"
    ]


def test_a_recipe_does_not_stand_on_the_agent() -> None:
    recipe = a_module(
        "import slapgrid.software.releases\n", "slapgrid/recipe/sample.py"
    )

    assert [f.sentence for f in check_table(recipe)] == [
        "slapgrid.recipe.sample may not import slapgrid.software.releases"
    ]


def test_a_core_that_reads_the_clock_is_found() -> None:
    core = a_module('"""Core. Sample."""\nimport time\n')

    assert [f.sentence for f in check_core(core, [core])] == [
        "a core may not import time: pass a value in"
    ]


def test_a_core_that_imports_a_shell_is_found() -> None:
    core = a_module(
        '"""Core. Sample."""\nfrom slapgrid.software.releases import build\n',
        "slapgrid/convergence/sample.py",
    )
    shell = a_module('"""Builds."""\n', "slapgrid/software/releases.py")

    assert [f.sentence for f in check_core(core, [core, shell])] == [
        "a core may not import the shell slapgrid.software.releases"
    ]


def test_a_circle_is_found() -> None:
    edges = {"slap": {"runtime"}, "runtime": {"labsim"}, "labsim": {"slap"}}

    assert find_circle(edges) == ("labsim", "slap", "runtime", "labsim")
