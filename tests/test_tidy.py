"""Objective rules about the tree, each with what to write instead.

Length, wording and comments are for the reader to judge; what stands here is a fact. A
rule carries a sample that breaks it, so that each one is known to be able to fail.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

import pytest
from attrs import frozen

from tests.source_tree import (
    PACKAGES,
    TOP,
    Module,
    a_module,
    modules,
    product_modules,
    tracked_files,
)

COMPOSITION_ROOTS = (
    "runtime.*",
    "slapcluster.*",  # programs: they hand the world to the rest
    "slapgrid.shims.*",  # each runs alone under a release's interpreter
    "slapgrid.recipe.*",  # runs inside buildout, which has no runtime
    "slapgrid.supervision.plugin",  # runs inside supervisord, which has none either
    "labsim.emulation.*",
    "labsim.world.determinism",  # starts other interpreters
    "labsim.cli",  # a program, as those of slapcluster
    "labsim.soaking",  # seeds are played by processes of their own
    "labsim.trying",  # so is each try of a smaller plan
    "labsim.mutants.scoring",  # each mutant needs an interpreter of its own
    "labsim.mutants.playing",  # is that interpreter
)
"""Modules that may touch the world directly; ruff's TID251 asks a reason per line."""

WIRE = (
    "slap.*",
    "master_cluster.web.*",
    "slapgrid.recipe.*",  # profiles use SlapOS's own option names
    "runtime.http_server",  # overrides methods of twisted.web
    "slapcluster.commands.*",  # a command is named as it is typed
    "slapcluster.console.*",  # has the names of the stock console
)
"""Modules that speak in the words of others."""

LOADED_BY_NAME = ("slapgrid.supervision.plugin", "labsim.lives.trees")
"""Modules that no import names: configurations of other programs do, or a table of
trials of which this one is too long for a test."""


@frozen
class Place:
    """A line and what to do about it."""

    line: int
    message: str


@frozen
class Rule:
    """``find`` gives the places of a module that break it; ``sample`` is one that does.

    ``exempt`` are patterns of module names.
    """

    name: str
    find: Callable[[Module], Iterator[Place]]
    sample: Module
    exempt: tuple[str, ...] = ()

    def findings(self, module: Module) -> list[str]:
        if any(fnmatchcase(module.name, pattern) for pattern in self.exempt):
            return []
        return [f"{module.path}:{p.line}: {p.message}" for p in self.find(module)]


# The world enters through constructors.

AMBIENT = {
    "time.time": "runtime.calendar.now()",
    "time.time_ns": "runtime.calendar.now()",
    "time.monotonic": "runtime.clock.seconds()",
    "time.perf_counter": "runtime.clock.seconds()",
    "time.sleep": "runtime.clock.callLater",
    "datetime.datetime.now": "runtime.calendar.now()",
    "datetime.datetime.utcnow": "runtime.calendar.now()",
    "datetime.date.today": "runtime.calendar.now()",
    "os.environ": "a field of Config",
    "os.getenv": "a field of Config",
    "os.urandom": "runtime.entropy",
    "secrets": "runtime.entropy",
    "uuid.uuid1": "runtime.entropy",
    "uuid.uuid4": "runtime.entropy",
    "subprocess": "runtime.processes",
    "multiprocessing": "runtime.processes",
    "threading": "runtime.threads",
    "concurrent.futures": "runtime.threads",
    "asyncio": "runtime.clock and Deferreds",
    "twisted.internet.reactor": "runtime.clock and runtime.network",
    "twisted.internet.threads": "runtime.threads",
}
RANDOM_VALUE = "random.Random"


def dotted_names(module: Module) -> Iterator[tuple[str, int]]:
    """Every imported name that the module uses, with its full path."""
    bound: dict[str, str] = {}
    for item in module.nodes:
        if isinstance(item, ast.Import):
            for alias in item.names:
                short = alias.asname or alias.name.partition(".")[0]
                bound[short] = alias.name if alias.asname else short
                yield alias.name, item.lineno
        elif isinstance(item, ast.ImportFrom) and item.module:
            for alias in item.names:
                name = f"{item.module}.{alias.name}"
                bound[alias.asname or alias.name] = name
                yield name, item.lineno
    for item in module.nodes:
        if isinstance(item, ast.Attribute):
            path = ast.unparse(item).split(".")
            if path[0] in bound:
                yield ".".join((bound[path[0]], *path[1:])), item.lineno


def find_ambient(module: Module) -> Iterator[Place]:
    for name, line in dotted_names(module):
        for banned, instead in AMBIENT.items():
            if name == banned or name.startswith(banned + "."):
                yield Place(line, f"{name} is ambient; use {instead}")
        if name.startswith("random.") and not name.startswith(RANDOM_VALUE):
            yield Place(line, f"{name} is ambient; use runtime.entropy")


def find_seedless_random(module: Module) -> Iterator[Place]:
    for item in module.nodes:
        if isinstance(item, ast.Call) and not item.args and not item.keywords:
            name = ast.unparse(item.func)
            if name in {"Random", RANDOM_VALUE}:
                yield Place(item.lineno, "Random() has no seed; take runtime.entropy")


def find_module_memory(module: Module) -> Iterator[Place]:
    """An empty collection of a module is there to be filled: hidden memory."""
    for item in module.tree.body:
        if isinstance(item, ast.Assign | ast.AnnAssign) and item.value is not None:
            empty = ast.unparse(item.value) in {"{}", "[]", "set()", "dict()", "list()"}
            if empty:
                yield Place(item.lineno, "memory of a module; make it a field")


# Tests use the shared simulated ports.


def find_patches(module: Module) -> Iterator[Place]:
    ours = {"tests", *PACKAGES}
    bound = {
        (alias.asname or alias.name.partition(".")[0]): f"{prefix}{alias.name}"
        for item in module.nodes
        if isinstance(item, ast.Import | ast.ImportFrom)
        for prefix in [f"{item.module}." if isinstance(item, ast.ImportFrom) else ""]
        for alias in item.names
    }
    for item in module.nodes:
        if not isinstance(item, ast.Call) or not item.args:
            continue
        if not re.search(r"(^|\.)(patch(\.object|\.dict)?|setattr)$", target(item)):
            continue
        if target(item) == "setattr":
            continue
        first = item.args[0]
        patched = (
            str(first.value)
            if isinstance(first, ast.Constant)
            else bound.get(ast.unparse(first).partition(".")[0], "")
        )
        if patched.partition(".")[0] in ours:
            yield Place(item.lineno, f"{patched} is patched; pass a simulated port in")


def target(call: ast.Call) -> str:
    """What is called, as it is written."""
    return ast.unparse(call.func)


# Words.

EMPTY_NAMES = (
    "utils",
    "util",
    "common",
    "helpers",
    "helper",
    "misc",
    "manager",
    "managers",
    "handler",
    "handlers",
    "engine",
    "processor",
    "core",
    "base",
    "tools",
    "lib",
    "shared",
)
EMPTY_ENDINGS = (
    "Manager",
    "Handler",
    "Helper",
    "Engine",
    "Processor",
    "Util",
    "Utils",
    "Data",
    "Info",
)
GENERATIONS = re.compile(r"(^(new|old|legacy)_)|_(v\d+|new|old|legacy|copy|bak)$")
SYNONYMS = {
    "slave": "shared_instance",
    "compute_node": "computer",
    "compute_partition": "partition",
    "computer_partition": "partition",
    "hosting_subscription": "instance_tree",
    "computer_guid": "computer_id",
    "software_url": "software_release_url",
}
BARE = {
    "node": "computer, storage_node or host",
    "cluster": "neo_cluster or backup_cluster",
    "request": "instance_request or http_request",
    "state": "requested_state, reported_state or a name of its own",
}


def find_empty_file_names(module: Module) -> Iterator[Place]:
    name = module.name.rpartition(".")[2]
    if name in EMPTY_NAMES:
        yield Place(1, f"'{name}' names nothing; put it where its noun lives")
    if GENERATIONS.search(name):
        yield Place(1, f"'{name}' is a generation; replace the module in place")


def find_empty_names(module: Module) -> Iterator[Place]:
    for item in module.nodes:
        if isinstance(item, ast.ClassDef):
            for ending in EMPTY_ENDINGS:
                if item.name.endswith(ending):
                    yield Place(
                        item.lineno,
                        f"'{ending}' says nothing; name what {item.name} is",
                    )
        elif isinstance(
            item, ast.FunctionDef | ast.AsyncFunctionDef
        ) and item.name.lstrip("_").startswith("ensure_"):
            yield Place(item.lineno, f"{item.name} hides whether something happened")


def identifiers(module: Module) -> Iterator[tuple[str, int]]:
    """Names that this module gives, not those it uses."""
    for item in module.nodes:
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
            yield item.id, item.lineno
        elif isinstance(item, ast.arg):
            yield item.arg, item.lineno
        elif isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield item.name, item.lineno


def find_synonyms(module: Module) -> Iterator[Place]:
    for name, line in identifiers(module):
        snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
        for banned, instead in SYNONYMS.items():
            if banned in snake:
                yield Place(line, f"{name}: our word is {instead}")
        if name in BARE:
            yield Place(line, f"{name} never stands alone; say {BARE[name]}")


def find_code_in_init(module: Module) -> Iterator[Place]:
    if not module.path.endswith("__init__.py"):
        return
    for item in module.tree.body:
        is_text = isinstance(item, ast.Expr)
        is_listing = isinstance(item, ast.Assign) and ast.unparse(
            item.targets[0]
        ).startswith("__all__")
        if not (is_text or is_listing or isinstance(item, ast.ImportFrom)):
            yield Place(item.lineno, "__init__ holds a docstring and __all__ alone")


RULES = (
    Rule(
        "nothing ambient",
        find_ambient,
        a_module("import time\nnow = time.time()\n"),
        # Programs of NEO's live in its event loop, which knows no Runtime.
        exempt=(*COMPOSITION_ROOTS, "replication.neo.*", "benchmarks.*", "tests.*"),
    ),
    Rule(
        "no seedless randomness",
        find_seedless_random,
        a_module("import random\ndice = random.Random()\n"),
        exempt=("runtime.*",),
    ),
    Rule(
        "no memory in modules",
        find_module_memory,
        a_module("seen: dict[str, int] = {}\n"),
    ),
    Rule(
        "own modules are not patched",
        find_patches,
        a_module("from slap import calls\nmonkeypatch.setattr(calls, 'a', 1)\n"),
    ),
    Rule(
        "file names have meaning",
        find_empty_file_names,
        a_module("", "slap/utils.py"),
    ),
    Rule(
        "names have meaning",
        find_empty_names,
        a_module("class PartitionManager: ...\n"),
    ),
    Rule(
        "the words of the glossary",
        find_synonyms,
        a_module("def f(slave_list, node): ...\n", "slapgrid/sample.py"),
        exempt=(*WIRE, "tests.*"),
    ),
    Rule(
        "packages are listings",
        find_code_in_init,
        a_module("def f(): ...\n", "slap/__init__.py"),
    ),
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_module_keeps_the_rule(rule: Rule) -> None:
    findings = [finding for module in modules() for finding in rule.findings(module)]

    assert findings == [], "\n".join(findings)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_rule_can_fail(rule: Rule) -> None:
    assert rule.findings(rule.sample) != []


# Every module is used.


def entry_points() -> set[str]:
    """Modules that pyproject.toml names."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    groups = [project["scripts"], *project.get("entry-points", {}).values()]
    return {value.partition(":")[0] for group in groups for value in group.values()}


def dead_modules(everything: tuple[Module, ...], roots: set[str]) -> set[str]:
    """Modules that no chain of imports leads to from the roots."""
    by_name = {module.name: module for module in everything}
    reached: set[str] = set()
    waiting = sorted(roots)
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in reached:
            reached.add(name)
            waiting.extend(i.target for i in by_name[name].imports())
            waiting.append(name.rpartition(".")[0])
    return set(by_name) - reached


def test_every_module_is_reached_from_a_program_or_a_test() -> None:
    roots = {m.name for m in modules() if m.package == "tests"}
    runs = {m.name for m in modules() if "__main__" in m.text}

    dead = dead_modules(modules(), roots | runs | entry_points() | set(LOADED_BY_NAME))

    assert sorted(dead) == []


def test_a_module_that_nothing_imports_is_found() -> None:
    used = a_module("", "slap/used.py")
    unused = a_module("", "slap/unused.py")
    root = a_module("from slap import used\n", "slapcluster/cli.py")

    assert dead_modules((used, unused, root), {"slapcluster.cli"}) == {"slap.unused"}


# Every dependency is used.

NOT_IMPORTED = {
    "neoppod",  # its programs are run; what is imported of it is named neo
    "setuptools",  # zc.buildout builds with it, by its name
    "zc.buildout",  # the same, in each release
}


def declared_dependencies() -> set[str]:
    """Names of pyproject.toml, our own extras aside."""
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    wanted = [*project["dependencies"], *(name for extra in extras for name in extra)]
    return {re.split(r"[\[<>=!~; ]", name)[0] for name in wanted} - {project["name"]}


def unused_dependencies(declared: set[str], everything: tuple[Module, ...]) -> set[str]:
    """Dependencies that no module imports; Python names them in lower case or not."""
    imported = {i.target.lower() for m in everything for i in m.imports()}
    return {
        name
        for name in declared - NOT_IMPORTED
        if not any(f"{target}.".startswith(f"{name.lower()}.") for target in imported)
    }


def test_every_dependency_is_imported() -> None:
    assert unused_dependencies(declared_dependencies(), product_modules()) == set()


def test_a_dependency_that_nothing_imports_is_found() -> None:
    module = a_module("from ZODB.DB import DB\n")

    assert unused_dependencies({"ZODB", "lxml"}, (module,)) == {"lxml"}


# What must not be in any tracked file.

OWNER = r"[A-Za-z_][-\w.]*"
TEXTS = {
    "a path of one machine": re.compile(
        rf"(?<![\w.])/(?:(?:work|root|farm)/[A-Za-z.]|(?:home|Users)/{OWNER}/)"
        r"|/tmp/dev" + r"env|/opt/" + r"(?:pypi|wheels)"
    ),
    "the address of a registry": re.compile(
        r"(?i)\b(?:pypi|pythonhosted|deb\.debian|npmjs)\.org\b"
    ),
}
PRAISE = re.compile(
    r"(?i)\b(robust|comprehensive|seamless(ly)?|enterprise|powerful|blazing\w*|"
    r"cutting.edge|state.of.the.art|elegant(ly)?|world.class|best.in.class|"
    r"production.ready|battle.tested|rich set)\b"
)
SELF = "tests/test_tidy.py"


def text_findings(path: str, text: str) -> list[str]:
    patterns = dict(TEXTS)
    if path.endswith(".md"):
        patterns["praise; state a fact or a figure"] = PRAISE
    return [
        f"{path}:{number}: {what}: {found.group()}"
        for number, line in enumerate(text.splitlines(), start=1)
        for what, pattern in patterns.items()
        if (found := pattern.search(line))
    ]


def test_tracked_files_name_no_machine_and_no_registry() -> None:
    findings = [
        finding
        for path in tracked_files()
        if path not in {SELF, "COPYING"}
        for finding in text_findings(path, (TOP / path).read_text(errors="replace"))
    ]

    assert findings == [], "\n".join(findings)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Makefile", "cd {0}work{0}main && make".format("/")),
        ("slap/sample.py", 'HOME = "/home/somebody/project"'),
        ("buildout.cfg", "index = https://{}/simple".format("pypi.org")),
        ("docs/sample.md", "A robust and powerful design."),
    ],
)
def test_a_text_that_does_not_belong_is_found(path: str, text: str) -> None:
    assert text_findings(path, text) != []


def test_relative_paths_are_nobodys_machine() -> None:
    assert text_findings("docs/sample.md", "see docs/work/a.md and /var/lib/x") == []


def test_the_tree_has_the_packages_that_it_says() -> None:
    """A new top-level package needs a decision page and a row in test_imports."""
    present = {module.package for module in product_modules()}

    assert present <= set(PACKAGES)
