"""Stand-alone: what a fork server has prepared for the plug-ins of a release.

``prepare``, ``report`` and ``learn`` are what ``fork_server.py`` calls.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from itertools import takewhile
from time import strptime
from typing import Any

#: What a stock promise stands on.
STOCK_MODULE = "slapos.grid.promise.generic"
STOCK_PREFIX = "slapos."
#: The head of a generated plug-in removes modules whose names contain one of these.
REMOVED_BY_PLUGINS = ("slapos", "pkg_resources")
#: A fork may tell a lie: more modules than stock releases have are not learned.
LEARNED_MAX = 300


class Prepared:
    """What a server imported: generated plug-ins remove it all and import it again.

    Modules that they ask for again are given as they are; that is only right under the
    ``sys.path`` that they were imported under.

    The reference count of an object is beside it, and a fork copies the page of each
    one that it looks at: three microseconds. So as many as a thousand names of modules,
    which the head of a plug-in looks through, are put side by side.
    """

    def __init__(self, path: list[str] | None) -> None:
        self.path = path
        self.modules: dict[str, Any] = {}
        self.last_kept = ""
        self._specs: dict[str, Any] = {}

    def load(self, name: str) -> bool:
        """Import a module, if that can be."""
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001 - who needs it will be told
            return False
        return True

    def remember(self) -> None:
        """Keep what is imported now of what plug-ins remove."""
        for name, module in tuple(sys.modules.items()):
            if any(part in name for part in REMOVED_BY_PLUGINS):
                self.modules[name] = module
                self._specs[name] = module.__spec__
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        beside = [(name.encode().decode(), it) for name, it in sys.modules.items()]
        sys.modules.clear()
        sys.modules.update(beside)
        self.last_kept = next(
            name for name in reversed(sys.modules) if name not in self.modules
        )

    def forget(self) -> None:
        """Have everything imported anew."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        for name in self.modules:
            sys.modules.pop(name, None)
        self.modules = {}

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """As importlib asks."""
        del path, target
        if name not in self.modules:
            return None
        return importlib.util.spec_from_loader(name, self)  # type: ignore[arg-type] # it loads

    def create_module(self, spec: Any) -> Any:
        return self.modules[spec.name]

    def exec_module(self, module: Any) -> None:
        module.__spec__ = self._specs[module.__spec__.name]


class Warm:
    """What this process was prepared for, if it was."""

    prepared = Prepared(None)


def prepare(argument: str) -> None:
    """In a fork server: import what plug-ins with this ``sys.path`` import.

    ``null`` prepares for executables alone.
    """
    path = json.loads(argument)
    Warm.prepared = Prepared(path)
    if path is not None:
        sys.path[0:0] = path
        Warm.prepared.load(STOCK_MODULE)
        Warm.prepared.remember()
    # Stock promises read dates of their logs, and the first date costs 6 ms.
    strptime("2026-11-21 00:00:00", "%Y-%m-%d %H:%M:%S")


def report() -> list[str]:
    """In a fork, at its end: the stock modules that it had to import.

    They were imported after what had been prepared. To look at all names would be to
    write to the pages of all of them.
    """
    if Warm.prepared.path is None:
        return []
    known, last = Warm.prepared.modules, Warm.prepared.last_kept
    imported = takewhile(lambda name: name != last, reversed(sys.modules))
    return [
        name for name in imported if name.startswith(STOCK_PREFIX) and name not in known
    ][:LEARNED_MAX]


def learn(told: Any) -> bool:
    """In a fork server: import what a fork had to; no other modules than stock ones."""
    known = Warm.prepared.modules
    names = [
        str(name)
        for name in told[:LEARNED_MAX]
        if str(name).startswith(STOCK_PREFIX) and str(name) not in known
    ]
    if Warm.prepared.path is None or len(known) > LEARNED_MAX:
        return False
    loaded = [Warm.prepared.load(name) for name in names]
    Warm.prepared.remember()
    return any(loaded)
