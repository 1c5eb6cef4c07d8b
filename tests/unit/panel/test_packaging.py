"""Every file of the panel reaches a master that is installed from wheels."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase

from tests.source_tree import TOP, tracked_files

PACKAGE = "master_cluster.web.panel"


def test_every_file_of_the_panel_is_in_the_wheel() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"][PACKAGE]
    folder = PACKAGE.replace(".", "/") + "/"
    files = [it.removeprefix(folder) for it in tracked_files() if it.startswith(folder)]

    left_out = [
        it
        for it in files
        if not it.endswith(".py") and not any(fnmatchcase(it, p) for p in patterns)
    ]
    assert (left_out, len(files) > 20) == ([], True)
