"""Recipe ``slapcluster:compiled``: has the Python modules of a release compiled.

Options:

``directories``
    One a line; what is below ``test`` or ``tests`` is left out.

Instances cannot write beside the modules of a release. What is not compiled when it is
built is compiled by each of their processes anew: half a second of a core for one that
looks at a promise.
"""

from __future__ import annotations

import compileall
import re
from pathlib import Path

from slapgrid.recipe.section import Buildout, Options, Section

_TESTS = re.compile(r"/tests?/")

_SILENT = 2
"""A module for another version of Python stays as it is: nobody here imports it."""


class Recipe:
    def __init__(self, _: Buildout, name: str, options: Options) -> None:
        section = Section(name, options)
        lines = (line.strip() for line in section.text("directories").splitlines())
        self._directories = tuple(line for line in lines if line)
        for directory in self._directories:
            if not Path(directory).is_absolute():
                raise section.refusal("directories", f"{directory!r} is not absolute")

    def install(self) -> list[str]:
        """Return nothing to remove: it goes with the release."""
        for directory in self._directories:
            compileall.compile_dir(directory, quiet=_SILENT, rx=_TESTS)
        return []

    def update(self) -> None:
        self.install()
