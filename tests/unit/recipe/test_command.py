"""Recipes slapcluster:command and slapcluster:program."""

from __future__ import annotations

import json
import sys

import pytest
from zc.buildout import UserError

from slapgrid.recipe import command, program
from slapgrid.recipe.quoting import quote, unquote

ECHO = "import json, sys; print(json.dumps({'said': sys.stdin.read(), 'n': 1}))"


def run(code: str = ECHO, **options: str) -> dict[str, str]:
    """Run Python as the command of a section; what it exposes, unquoted."""
    given = {"command": f"\n{sys.executable}\n-c\n{quote(code)}", **options}
    exposed = dict(given)
    recipe = command.Recipe({}, "told", exposed)
    assert recipe.install() == []
    return {key: unquote(it) for key, it in exposed.items() if key not in given}


def test_a_command_reads_its_input_and_other_sections_its_answer():
    """Dollars mean themselves in both directions."""
    exposed = run(input="$${a:b}\né")
    assert json.loads(exposed.pop("json")) == {"said": "${a:b}\né", "n": 1}
    assert exposed == {"answer.said": "${a:b}\né"}


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import sys; sys.exit('no room')", "option command: no room"),
        ("raise SystemExit(1)", "option command: failed silently"),
        ("print('x')", "option command: wrote no JSON"),
        ("print('[]')", "option command: wrote JSON that is no object"),
    ],
)
def test_a_command_that_fails_is_the_error_of_the_instance(code, sentence):
    """In its own words."""
    with pytest.raises(UserError) as caught:
        run(code)
    assert str(caught.value).startswith(f"section [told], {sentence}")


@pytest.mark.parametrize("argv", ["", "echo", "/nowhere/at/all"])
def test_a_command_is_an_absolute_path_that_is_there(argv):
    """No search of directories decides what runs."""
    with pytest.raises(UserError, match="option command: "):
        command.Recipe({}, "told", {"command": argv})


def find(**options: str) -> dict[str, str]:
    recipe = program.Recipe({}, "found", options)
    assert recipe.install() == []
    return options


def test_a_program_of_the_computer_is_found():
    """And its version looked at, if that is asked for."""
    assert find(program="sh")["path"].endswith("/sh")
    options = {"version-command": "--version", "version": "GNU"}
    assert find(program="cat", **options)["path"].endswith("/cat")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"program": "no-such-thing", "package": "things"},
            (
                "option program: no-such-thing is not on this computer: install the"
                " package things"
            ),
        ),
        (
            {"program": "cat", "version-command": "--version", "version": "cat 99."},
            "option version: /",
        ),
    ],
)
def test_a_program_that_is_missing_or_old_is_a_sentence(options, sentence):
    """It says what to install."""
    with pytest.raises(UserError) as caught:
        find(**options)
    assert str(caught.value).startswith(f"section [found], {sentence}")
