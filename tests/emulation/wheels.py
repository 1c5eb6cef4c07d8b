"""A recipe made by a test, and wheels unpacked, without any build tool or network."""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

RECIPE = """\
import os
import time


class File:
    '''Writes a file; lines of ``content`` start with a bar, which keeps blanks.

    First a line goes to the file ``traced``, then the file ``awaited`` is waited for.
    '''

    def __init__(self, buildout, name, options):
        self.options = options
        directory = buildout["buildout"]["directory"]
        options["location"] = os.path.join(directory, options["path"])
        options["kept"] = {"b": [1, None], "a": {2}}
        assert options["kept"] == {"b": [1, None], "a": {2}}

    def install(self):
        if "traced" in self.options:
            with open(self.options["traced"], "a") as opened:
                opened.write(self.options["path"] + "\\n")
        while "awaited" in self.options and not os.path.exists(self.options["awaited"]):
            time.sleep(0.1)
        return self.update()

    def update(self):
        if "failure" in self.options:
            raise RuntimeError(self.options["failure"])
        path = self.options["location"]
        os.makedirs(os.path.dirname(path), exist_ok=True)
        lines = self.options["content"].splitlines()
        text = "\\n".join(line.lstrip().removeprefix("|") for line in lines)
        with open(path, "w") as opened:
            opened.write(text.replace("$$", "$") + "\\n")
        os.chmod(path, int(self.options.get("mode", "755"), 8))
        return [path]


class Code:
    '''Executes the file ``code`` of the partition, if there is one.'''

    def __init__(self, buildout, name, options):
        self.path = os.path.join(buildout["buildout"]["directory"], "code")

    def install(self):
        if os.path.exists(self.path):
            with open(self.path) as opened:
                exec(opened.read(), {})
        return []

    update = install
"""


def write_recipe(directory: Path) -> Path:
    """The recipe ``tiny_recipe:file``; it sets options that are not strings.

    An egg, which buildout unpacks itself: it starts a pip for each wheel.
    """
    directory.mkdir(parents=True, exist_ok=True)
    content = {
        "tiny_recipe.py": RECIPE,
        "EGG-INFO/PKG-INFO": "Metadata-Version: 2.1\nName: tiny_recipe\nVersion: 1.0\n",
        "EGG-INFO/entry_points.txt": (
            "[zc.buildout]\nfile = tiny_recipe:File\ncode = tiny_recipe:Code\n"
        ),
        "EGG-INFO/requires.txt": "setuptools\nzc.buildout\n",
    }
    major, minor, *_ = sys.version_info
    path = directory / f"tiny_recipe-1.0-py{major}.{minor}.egg"
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in content.items():
            described = zipfile.ZipInfo(each)
            # Other users than the one who unpacks it read it.
            described.external_attr = 0o644 << 16
            archive.writestr(described, text)
    return path


def unpack_wheels(wheels: Path, eggs: Path) -> None:
    """Leave what buildout makes of wheels, in its own way, without a pip for each.

    That costs a tenth of it. Nothing is compiled, and there are no scripts.
    """
    from zc.buildout import easy_install  # noqa: PLC0415 - by who needs it alone

    eggs.mkdir(parents=True)
    for wheel in sorted(wheels.glob("*.whl")):
        with tempfile.TemporaryDirectory(dir=eggs.parent) as place:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(place)
            (described,) = Path(place).glob("*.dist-info")
            (egg,) = easy_install.make_egg_after_pip_install(place, described.name)
            Path(egg).rename(eggs / Path(egg).name)
