"""Stand-alone program: runs the ``bin/buildout`` of a release, with what it lacks.

``python -I -S buildout_shim.py BIN_BUILDOUT ARGUMENTS...`` sets ``sys.path`` as that
script does and runs its zc.buildout after three repairs of upstream 6.0.1:

1. Offline, eggs whose metadata are in ``.dist-info`` are not found, although buildout
   itself installed them; and the index is asked although there is nothing to install.
2. Recipes written for the buildout of stock nodes set options that are not strings.
   Such an option is kept as ``!py!`` and a literal, and read back as what was set.
3. The record of what is installed is written in its place: who is killed meanwhile
   leaves a part of it, and fails from then on. It gets its name when it is whole, and
   one that was cut before counts as none: everything is installed again.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import glob
import importlib
import importlib.util
import os
import sys
from typing import Any

PREFIX = "!py!"

SHARED_PARTS = "SLAPGRID_SHARED_PARTS"
"""The variable that names the directory which a build writes shared parts to."""


def script_path(script: str) -> list[str]:
    """The entries that a generated script puts before ``sys.path``."""
    with open(script, encoding="utf-8") as opened:  # noqa: PTH123 - few imports
        tree = ast.parse(opened.read(), script)
    for statement in tree.body:
        if (
            isinstance(statement, ast.Assign)
            and ast.unparse(statement.targets[0]) == "sys.path[0:0]"
        ):
            return [str(entry) for entry in ast.literal_eval(statement.value)]
    raise SystemExit(f"{script} sets no sys.path: build the release again")


def dumps(value: object) -> str:
    """The text of an option that is not a string; sets in order, to be stable."""
    return PREFIX + _literal(value)


def _literal(value: object) -> str:
    if isinstance(value, dict):
        items = sorted((_literal(key), _literal(each)) for key, each in value.items())
        return "{" + ", ".join(f"{key}: {each}" for key, each in items) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(_literal, value))) + "}" if value else "set()"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, tuple):
        return "(" + "".join(_literal(each) + ", " for each in value) + ")"
    if value is None or isinstance(value, (str, bytes, int, float)):
        return repr(value)
    raise TypeError("Option values must be strings or literals", value)


def loads(text: str) -> Any:
    """What ``dumps`` was given."""
    literal = text.removeprefix(PREFIX)
    return set() if literal == "set()" else ast.literal_eval(literal)


def _read(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(PREFIX):
        return loads(value)
    return value


def repair_offline(easy_install: Any, precedence: int) -> None:
    """Find every egg of a directory of eggs; offline, never ask an index."""
    installer = easy_install.Installer
    make_environment = installer._make_env  # noqa: SLF001 - the repair
    obtain = installer._obtain  # noqa: SLF001 - the repair

    def make_environment_with_eggs(self: Any) -> Any:
        environment = make_environment(self)
        for directory in self._path:
            eggs = sorted(glob.glob(os.path.join(glob.escape(directory), "*.egg")))  # noqa: PTH118, PTH207 - few imports
            environment.scan([egg for egg in eggs if os.path.isdir(egg)])  # noqa: PTH112 - few imports
        for project in environment:
            for found in environment[project]:
                if str(found.location).endswith(".egg"):
                    found.precedence = precedence
        return environment

    def obtain_online(self: Any, requirement: Any, source: Any = None) -> Any:
        return None if self._dest is None else obtain(self, requirement, source)

    installer._make_env = make_environment_with_eggs  # noqa: SLF001 - the repair
    installer._obtain = obtain_online  # noqa: SLF001 - the repair


def repair_options(buildout: Any) -> None:
    """Let recipes set options that are literals of any type."""
    options = buildout.Options
    get, get_item, set_item = options.get, options.__getitem__, options.__setitem__

    def get_read(self: Any, option: str, default: Any = None, seen: Any = None) -> Any:
        value = get(self, option, default, seen)
        # Substitution joins texts: it alone passes what it has seen.
        return value if seen is not None else _read(value)

    def get_item_read(self: Any, option: str) -> Any:
        return _read(get_item(self, option))

    def set_item_dumped(self: Any, option: str, value: Any) -> None:
        set_item(self, option, value if isinstance(value, str) else dumps(value))

    def equals(self: Any, other: Any) -> bool:
        # Compared with what is installed, which is texts.
        return bool(self.copy() == (other.copy() if hasattr(other, "copy") else other))

    options.get = get_read
    options.__getitem__ = get_item_read
    options.__setitem__ = set_item_dumped
    options.__eq__ = equals
    options.__hash__ = None
    buildout.dumps, buildout.loads = dumps, loads


def repair_record(buildout: Any) -> None:
    """Let ``.installed.cfg`` be whole, or not be there."""
    kind = buildout.Buildout
    not_understood = importlib.import_module("zc.buildout.configparser").Error
    save, read = kind._save_installed_options, kind._read_installed_part_options  # noqa: SLF001 - the repair

    def save_whole(self: Any, installed_options: Any) -> None:
        own = self["buildout"]
        path = own["installed"]
        if not path:
            return
        own["installed"] = f"{path}.part"
        try:
            save(self, installed_options)
        finally:
            own["installed"] = path
        descriptor = os.open(f"{path}.part", os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        os.replace(f"{path}.part", path)  # noqa: PTH105 - few imports

    def read_whole(self: Any) -> Any:
        path = self["buildout"]["installed"]
        with contextlib.suppress(OSError):
            os.remove(f"{path}.part")  # noqa: PTH107 - few imports
        with contextlib.suppress(not_understood):
            found, is_there = read(self)
            # Each part that it names has a section.
            parts = found.get("buildout", {}).get("parts")
            if parts is not None and all(it in found for it in parts.split()):
                return found, is_there
        print(f"slapgrid: {path} was cut: all is installed again", flush=True)  # noqa: T201 - to the agent
        os.remove(path)  # noqa: PTH107 - few imports
        return read(self)

    kind._save_installed_options = save_whole  # noqa: SLF001 - the repair
    kind._read_installed_part_options = read_whole  # noqa: SLF001 - the repair


def count_parts(buildout: Any) -> None:
    """Say how many parts there are, before the first: those that others name too."""
    sign = getattr(buildout.Buildout, "_compute_part_signatures", None)
    if sign is None:
        return  # a buildout that works otherwise shows its steps without their number

    def sign_counted(self: Any, parts: Any) -> Any:
        print(f"slapgrid: {len(parts)} parts", flush=True)  # noqa: T201 - to the agent
        return sign(self, parts)

    buildout.Buildout._compute_part_signatures = sign_counted  # noqa: SLF001


def hold_shared_parts(directory: str) -> None:
    """Keep ``prune_shim`` out of a directory of shared parts while this builds.

    Held by the process that builds, not by the agent, which may be killed before it.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return  # none is set, or none was ever written
    fcntl.flock(descriptor, fcntl.LOCK_SH)


def import_buildout(script: str) -> Any:
    """The zc.buildout of the script, repaired; once in a process."""
    path = [entry for entry in script_path(script) if entry not in sys.path]
    sys.path[0:0] = path
    # These come from the release; this file must run without them.
    buildout = importlib.import_module("zc.buildout.buildout")
    if not hasattr(buildout, "dumps"):
        easy_install = importlib.import_module("zc.buildout.easy_install")
        resources = importlib.import_module("pkg_resources")
        repair_offline(easy_install, resources.EGG_DIST)
        repair_options(buildout)
        repair_record(buildout)
        count_parts(buildout)
    return buildout


class Warm:
    """What a fork server has prepared, and its forks use."""

    caches: Any = None


def prepare(script: str) -> None:
    """In a fork server: import what each run of the script does, and its caches."""
    buildout = import_buildout(script)
    path = os.path.join(os.path.dirname(__file__), "release_caches.py")  # noqa: PTH118, PTH120 - few imports
    spec = importlib.util.spec_from_file_location("release_caches", path)
    assert spec is not None, path
    assert spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    resources = importlib.import_module("pkg_resources")
    release_path = os.path.dirname(os.path.dirname(script))  # noqa: PTH120 - the same
    Warm.caches = module.ReleaseCaches(release_path, buildout, resources)
    Warm.caches.install()
    Warm.caches.scan()


def report() -> Any:
    """In a fork, at its end: what would be worth to prepare."""
    return Warm.caches.report()


def learn(told: Any) -> bool:
    """In a fork server: prepare what a fork told; whether it was new."""
    return bool(Warm.caches.learn(told))


def run(arguments: list[str]) -> None:
    """Run buildout as the script would, which is the first argument.

    One at a time in a directory: an agent that was killed leaves its buildout behind,
    and the next agent's waits for that one, then goes on from its result.
    """
    fcntl.flock(os.open(".", os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX)
    hold_shared_parts(os.environ.pop(SHARED_PARTS, ""))  # noqa: TID251 - a program
    buildout = import_buildout(arguments[0])
    sys.argv = arguments
    sys.exit(buildout.main())


if __name__ == "__main__":
    run(sys.argv[1:])
