"""Stand-alone module: what is computed once for all instances of a release.

An installed release never changes, so these stay true as long as a fork server lives;
another one is started when the release was built again.

1. The distributions in directories of the release, with their parsed metadata. Callers
   change what they get, so each gets copies.
2. The hashes of directories of the release, which are in the signatures of parts.
3. The modules of recipes. Forks tell which recipes they loaded, and from where; the
   server imports these itself, since what a fork says is no more than a hint: it must
   name an entry point of the release. A fork uses what was imported only while its own
   choice of distributions is the same; else it begins again, cold.

Nothing outside of the release is remembered: eggs that are developed may change.
"""

from __future__ import annotations

import glob
import importlib
import os
import signal
import sys
import threading  # noqa: TID251 - imports that start threads are found out
import warnings
from contextlib import suppress
from typing import Any

#: A recipe that takes longer to import is imported by each fork that needs it.
IMPORT_SECONDS_MAX = 20
#: Large releases have some hundred recipes and thousands of directories.
REPORT_ITEMS_MAX = 2000


class ReleaseCaches:
    """Of one release, in its fork server and in each fork."""

    def __init__(self, release_path: str, buildout: Any, resources: Any) -> None:
        self._prefix = os.path.join(os.path.realpath(release_path), "")  # noqa: PTH118
        self._buildout = buildout
        self._resources = resources
        self._find = resources.find_distributions
        self._found: dict[tuple[str, bool], tuple[Any, ...]] = {}
        self._is_inside: dict[str, bool] = {}
        self._known_hashes = frozenset(buildout._dir_hashes)  # noqa: SLF001
        self._loaded: list[tuple[str, str, str]] = []
        self._prepared_recipes: set[tuple[str, str, str]] = set()
        self._locations: dict[str, str] = {}

    def install(self) -> None:
        """Have buildout use what is remembered."""
        # What a recipe needs is imported before its egg is activated.
        warnings.filterwarnings("ignore", message="Module .* was already imported")
        self._resources.find_distributions = self.find_distributions
        load = self._buildout._install_and_load  # noqa: SLF001 - a cache of it

        def load_remembered(spec: str, group: str, entry: str, buildout: Any) -> Any:
            loaded = load(spec, group, entry, buildout)
            requirement = self._resources.Requirement.parse(spec)
            self._loaded.append((requirement.project_name, group, entry))
            return loaded

        load_entry_point = self._resources.load_entry_point

        def load_checked(name: str, group: str, entry: str) -> Any:
            self._check_choice()
            return load_entry_point(name, group, entry)

        self._buildout._install_and_load = load_remembered  # noqa: SLF001
        self._resources.load_entry_point = load_checked

    def scan(self) -> None:
        """Read the metadata of everything in the release."""
        for name in ("eggs", "develop-eggs"):
            directory = self._prefix + name
            self.find_distributions(directory)
            for egg in glob.glob(f"{glob.escape(directory)}/*.egg"):  # noqa: PTH207
                for is_only in (False, True):
                    for found in self.find_distributions(egg, is_only):
                        with suppress(Exception):  # without metadata, or broken
                            found.requires()
        for found in [each for group in self._found.values() for each in group]:
            with suppress(Exception):
                found.hashcmp, found._dep_map  # noqa: B018, SLF001 - computed once

    def find_distributions(self, path_item: str, only: bool = False) -> Any:
        """As the function of pkg_resources, from memory."""
        if not self._is_of_release(path_item):
            return self._find(path_item, only)
        key = (path_item, bool(only))
        if key not in self._found:
            self._found[key] = tuple(self._find(path_item, only))
        return [copy_of(each) for each in self._found[key]]

    def report(self) -> dict[str, Any]:
        """In a fork, at its end: what the server could prepare."""
        hashes = set(self._buildout._dir_hashes) - self._known_hashes  # noqa: SLF001
        working_set = self._resources.working_set
        return {
            "hashed": sorted(hashes)[:REPORT_ITEMS_MAX],
            "recipes": [
                each for each in self._loaded if each not in self._prepared_recipes
            ][:REPORT_ITEMS_MAX],
            "path": [each for each in working_set.entries if self._is_of_release(each)][
                :REPORT_ITEMS_MAX
            ],
        }

    def learn(self, report: dict[str, Any]) -> bool:
        """In the server: prepare what a fork told; whether anything is new."""
        known = len(self._buildout._dir_hashes), len(self._prepared_recipes)  # noqa: SLF001
        for directory in report["hashed"]:
            if self._is_of_release(directory):
                self._buildout._dir_hash(directory)  # noqa: SLF001
        self._known_hashes = frozenset(self._buildout._dir_hashes)  # noqa: SLF001
        path = [each for each in report["path"] if self._is_of_release(each)]
        recipes = [tuple(each) for each in report["recipes"]]
        for recipe in sorted(set(recipes) - self._prepared_recipes):
            self._prepared_recipes.add(recipe)
            self._import_recipe(path, *recipe)
        return known != (
            len(self._buildout._dir_hashes),  # noqa: SLF001
            len(self._prepared_recipes),
        )

    def _import_recipe(
        self, path: list[str], name: str, group: str, entry: str
    ) -> None:
        module = self._module_of(path, name, group, entry)
        if module is None:
            return
        trial = os.fork()
        if trial == 0:
            # An import may hang, end its process or start threads: not here.
            signal.alarm(IMPORT_SECONDS_MAX)
            status = 1
            try:
                self._import(path, module)
                status = 0 if threading.active_count() == 1 else 2
            finally:
                os._exit(status)
        if os.waitpid(trial, 0)[1] == 0:
            with suppress(Exception):
                self._import(path, module)

    def _module_of(
        self, path: list[str], name: str, group: str, entry: str
    ) -> str | None:
        for location in path:
            for found in self.find_distributions(location, only=True):
                if found.project_name == name:
                    point = found.get_entry_info(group, entry)
                    return None if point is None else str(point.module_name)
        return None

    def _import(self, path: list[str], module: str) -> None:
        before, modules = list(sys.path), set(sys.modules)
        sys.path[:] = [*path, *(each for each in before if each not in path)]
        try:
            importlib.import_module(module)
        finally:
            sys.path[:] = before
            for name in set(sys.modules) - modules:
                self._note_location(path, name)

    def _note_location(self, path: list[str], name: str) -> None:
        file = getattr(sys.modules[name], "__file__", None) or ""
        for location in path:
            if file.startswith(os.path.join(location, "")):  # noqa: PTH118
                for found in self.find_distributions(location, only=True):
                    self._locations[found.key] = location

    def _check_choice(self) -> None:
        """In a fork: begin again, cold, if it chose other distributions."""
        chosen = self._resources.working_set.by_key
        for key, location in self._locations.items():
            if key in chosen and chosen[key].location != location:
                sys.stdout.flush()
                python = [sys.executable, "-I", "-S"]
                shim = os.path.join(os.path.dirname(__file__), "buildout_shim.py")  # noqa: PTH118, PTH120
                os.execv(python[0], [*python, shim, *sys.argv])  # noqa: S606

    def _is_of_release(self, path: str) -> bool:
        known = self._is_inside.get(path)
        if known is None:
            known = os.path.realpath(path).startswith(self._prefix) and not glob.glob(  # noqa: PTH207
                f"{glob.escape(path)}/*.egg-link"
            )
            self._is_inside[path] = known
        return known


def copy_of(distribution: Any) -> Any:
    """Another one with the same metadata, already parsed."""
    copied = distribution.__class__.__new__(distribution.__class__)
    copied.__dict__.update(distribution.__dict__)
    return copied
