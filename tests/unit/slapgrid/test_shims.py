"""The stand-alone programs: what they share with nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapgrid.shims.bootstrap_shim import needed_distributions
from slapgrid.shims.buildout_shim import dumps, loads, script_path

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
