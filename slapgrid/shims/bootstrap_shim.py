"""Stand-alone program: gives a release a zc.buildout of its own, without any network.

``python bootstrap_shim.py DIRECTORY`` copies zc.buildout and what it needs from the
interpreter that runs this file into ``DIRECTORY/eggs``, one egg each, and writes
``DIRECTORY/bin/buildout``. buildout's own ``bootstrap`` would copy the whole
site-packages of the agent, and every build would then find the agent's libraries
instead of those of its profile.

Each egg is made under another name and renamed, and the script comes last: a kill at
any instant leaves something that the next run completes.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path

_REQUIREMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SCRIPT = """\
#!{python}

import sys
sys.path[0:0] = [
{path}
  ]

import zc.buildout.buildout

if __name__ == '__main__':
    sys.exit(zc.buildout.buildout.main())
"""


def needed_distributions(name: str) -> list[Distribution]:
    """The distribution and everything it requires, each once, in order of name."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        wanted = distribution(waiting.pop())
        key = re.sub(r"[-_.]+", "-", wanted.metadata["Name"]).lower()
        if key in found:
            continue
        found[key] = wanted
        for requirement in wanted.requires or ():
            if "extra ==" in requirement:
                continue
            match = _REQUIREMENT_NAME.match(requirement)
            assert match is not None, requirement
            waiting.append(match[0])
    return [found[key] for key in sorted(found)]


def copy_egg(source: Distribution, eggs_directory: Path) -> Path:
    """Copy an installed distribution as an egg; an egg that is there is kept."""
    name = re.sub(r"[-_.]+", "_", source.metadata["Name"])
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"
    egg = eggs_directory / f"{name}-{source.version}-{python}.egg"
    if egg.is_dir():
        return egg
    partial = eggs_directory / f".{egg.name}.{os.getpid()}"
    for file in source.files or ():
        if ".." in file.parts:
            continue
        located, target = str(source.locate_file(file)), partial / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(located, target)
        # What is compiled holds for a source of this instant alone.
        status = os.stat(located)  # noqa: PTH116 - as shutil does
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    partial.rename(egg)
    return egg


def main(directory: Path) -> None:
    """Make the eggs, then the script; one at a time, see ``buildout_shim``."""
    fcntl.flock(os.open(directory, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX)
    eggs_directory = directory / "eggs"
    eggs_directory.mkdir(parents=True, exist_ok=True)
    for leftover in eggs_directory.glob(".*.egg.*"):
        shutil.rmtree(leftover)
    eggs = [
        copy_egg(each, eggs_directory) for each in needed_distributions("zc.buildout")
    ]
    # The interpreter below a virtual environment: a release shares no library with it.
    python = getattr(sys, "_base_executable", None) or sys.executable
    script = _SCRIPT.format(
        python=os.path.realpath(python),
        path=",\n".join(f"  {str(egg)!r}" for egg in eggs),
    )
    binaries = directory / "bin"
    binaries.mkdir(exist_ok=True)
    partial = binaries / f".buildout.{os.getpid()}"
    partial.write_text(script)
    partial.chmod(0o755)
    partial.rename(binaries / "buildout")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
