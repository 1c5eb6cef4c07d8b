"""The stand-alone programs: what they share with nobody."""

from __future__ import annotations

import os
import py_compile
import sys
from importlib.metadata import Distribution
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapgrid.environment import PATH
from slapgrid.shims.bootstrap_shim import copy_egg, needed_distributions
from slapgrid.shims.buildout_shim import dumps, loads, script_path
from tests.programs import run
from tests.source_tree import TOP

SHIM = TOP / "slapgrid/shims/buildout_shim.py"

scalars = st.none() | st.booleans() | st.integers() | st.text() | st.binary()
literals = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner)
        | st.frozensets(scalars).map(set)
    ),
    max_leaves=10,
)


@given(literals)
def test_an_option_of_any_type_is_read_as_it_was_set(value: Any) -> None:
    """And its text is the same each time, or parts would be installed again."""
    assert loads(dumps(value)) == value
    assert dumps(loads(dumps(value))) == dumps(value)


def test_an_option_that_is_no_literal_is_refused() -> None:
    """Its text could not be read back."""
    with pytest.raises(TypeError, match="strings or literals"):
        dumps(object())


@pytest.mark.parametrize(
    "cut",
    ["", "[buil", "[buildout]\ninst", "[buildout]\nparts = a\n", "nothing of it"],
)
def test_a_record_of_what_is_installed_that_was_cut_is_as_none(
    tmp_path: Path, cut: str
) -> None:
    """Its writer was killed, or the power went; buildout itself fails from then on."""
    (tmp_path / "buildout.cfg").write_text("[buildout]\nparts =\noffline = true\n")
    (tmp_path / ".installed.cfg").write_text(cut)
    (tmp_path / ".installed.cfg.part").write_text("[buildout]\n")
    argv = (sys.executable, "-I", "-S", str(SHIM), str(TOP / "bin/buildout"))

    ended = run(argv, {"PATH": PATH}, timeout_seconds=60, directory=tmp_path)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "was cut: all is installed again" in ended.stdout
    assert [it.name for it in tmp_path.glob(".installed*")] == []


def test_the_path_of_a_generated_script_is_found(tmp_path: Path) -> None:
    """Without running it."""
    script = tmp_path / "buildout"
    script.write_text(
        "#!/bin/py\n\nimport sys\nsys.path[0:0] = [\n  '/a',\n  '/b',\n]\n"
    )

    assert script_path(str(script)) == ["/a", "/b"]


def test_buildout_brings_what_it_needs_and_nothing_else() -> None:
    """Not the agent's own libraries."""
    names = {
        each.metadata["Name"].lower() for each in needed_distributions("zc.buildout")
    }

    assert {"zc.buildout", "setuptools", "pip"} <= names
    assert not names & {"twisted", "zodb", "attrs", "lxml"}


def test_what_is_compiled_stays_compiled_in_the_copy(tmp_path: Path) -> None:
    """Python takes a compiled module of the second and the size of its source."""
    described = tmp_path / "from" / "thing-1.0.dist-info"
    described.mkdir(parents=True)
    source = tmp_path / "from" / "thing.py"
    source.write_text("x = 1\n")
    os.utime(source, (1e9, 1e9))
    compiled = Path(py_compile.compile(str(source), doraise=True))
    record = f"thing.py,,\n{compiled.relative_to(source.parent)},,\n"
    (described / "RECORD").write_text(record)
    (described / "METADATA").write_text("Name: thing\nVersion: 1.0\n")

    egg = copy_egg(Distribution.at(described), tmp_path / "to")

    header = Path(cache_from_source(str(egg / "thing.py"))).read_bytes()[:16]
    seconds = int((egg / "thing.py").stat().st_mtime)
    expected = MAGIC_NUMBER + bytes(4) + seconds.to_bytes(4, "little")
    assert header == expected + (6).to_bytes(4, "little")
