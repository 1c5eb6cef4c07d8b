"""Lines of files are found for what stands there."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labsim.lines import line_in_json, line_in_toml

TOML = '''\
title = """
[fleet]
region = 4
"""
agents.poll_seconds = 3
workload = {people = 2, requests = 3}

["fleet"]  # of servers
regions = 3
"region" = [
  1,
]

[faults]
kinds = ["cut"]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("title",), 1),
        (("agents", "poll_seconds"), 5),
        (("workload", "requests"), 6),
        (("fleet",), 8),
        (("fleet", "region"), 10),
        (("fleet", "absent"), 8),
        (("faults", "kinds"), 15),
        (("absent",), 1),
    ],
)
def test_a_key_of_toml_is_found(path, line) -> None:
    assert tomllib.loads(TOML)["fleet"] == {"regions": 3, "region": [1]}
    assert line_in_toml(TOML, path) == line


VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.data())
def test_each_value_of_json_is_found(document, data) -> None:
    """In a text where no two of them begin in one line."""
    path, value = [], document
    while isinstance(value, list | dict) and value and data.draw(st.booleans()):
        keys = range(len(value)) if isinstance(value, list) else tuple(value)
        path.append(data.draw(st.sampled_from(keys)))
        value = value[path[-1]]
    text = json.dumps(document, indent=1)

    line = text.splitlines()[line_in_json(text, tuple(path)) - 1]

    shown = line.strip().removesuffix(",")
    begins = json.dumps(value, indent=1).splitlines()[0]
    assert shown.endswith(begins)
    if path and isinstance(path[-1], str):
        assert shown == f"{json.dumps(path[-1])}: {begins}"


def test_what_is_not_there_is_where_it_would_be() -> None:
    text = json.dumps({"a": 1, "faults": [{"at": 1}, {"at": 2}]}, indent=1)

    assert line_in_json(text, ("faults", 1, "until")) == 7
    assert line_in_json(text, ("faults", 9)) == 3
    assert line_in_json(text, ("b", "at")) == 1
