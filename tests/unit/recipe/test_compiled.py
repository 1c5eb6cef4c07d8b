"""Recipe slapcluster:compiled."""

from __future__ import annotations

from pathlib import Path

import pytest
from zc.buildout import UserError

from slapgrid.recipe.compiled import Recipe


def test_modules_are_compiled_but_for_tests_and_what_is_no_python(
    tmp_path: Path,
) -> None:
    (tmp_path / "package" / "tests").mkdir(parents=True)
    (tmp_path / "package" / "__init__.py").write_text("VALUE = 1\n")
    (tmp_path / "package" / "other.py").write_text("print 'of Python 2'\n")
    (tmp_path / "package" / "tests" / "test_it.py").write_text("VALUE = 2\n")

    recipe = Recipe({}, "compiled", {"directories": f"\n{tmp_path}"})
    assert recipe.install() == []
    recipe.update()

    compiled = [it.name.split(".")[0] for it in tmp_path.rglob("*.pyc")]
    assert compiled == ["__init__"]


def test_a_relative_directory_is_refused() -> None:
    with pytest.raises(UserError, match="'eggs' is not absolute"):
        Recipe({}, "compiled", {"directories": "eggs"})
