"""Keys of a settings file are changed, and the rest of it stays."""

from __future__ import annotations

import configparser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slapgrid.settings_file import set_keys

NEW = {"computer_id": "COMP-7", "master_url": "https://[::1]:1/"}


def read(text: str) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    return {name: dict(parser.items(name)) for name in parser.sections()}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "[slapos]\ncomputer_id = COMP-7\nmaster_url = https://[::1]:1/\n"),
        (
            "# mine\n[slapos]\n# why\nsoftware_root = /opt\nComputer_ID: old\n",
            (
                "# mine\n[slapos]\n# why\nsoftware_root = /opt\n"
                "computer_id = COMP-7\nmaster_url = https://[::1]:1/\n"
            ),
        ),
        (
            (
                "[slapos]\nmaster_url = a\n  b\n\n  c\nkeep = 1\n  2\n"
                "[other]\ncomputer_id = theirs\n[slapos]\ncomputer_id=x\n"
            ),
            (
                "[slapos]\n\nkeep = 1\n  2\n[other]\ncomputer_id = theirs\n[slapos]\n"
                "computer_id = COMP-7\nmaster_url = https://[::1]:1/\n"
            ),
        ),
        (
            "[other]\na = b",
            (
                "[other]\na = b\n\n[slapos]\ncomputer_id = COMP-7\n"
                "master_url = https://[::1]:1/\n"
            ),
        ),
    ],
)
def test_keys_are_set_and_all_else_stays(before: str, after: str) -> None:
    assert set_keys(before, "slapos", NEW) == after
    assert set_keys(after, "slapos", NEW) == after


LINES = st.sampled_from(
    [
        "[slapos]",
        "[other]",
        "computer_id = a",
        "COMPUTER_ID: b",
        "master_url=http://x",
        "  http://y",
        "key = value",
        "  more",
        "# comment",
        "; comment",
        "",
        "# computer_id = no",
        "  # odd",
    ]
)


@settings(max_examples=150)
@given(st.lists(LINES, max_size=12))
def test_readers_find_the_new_values_and_the_others_as_before(
    lines: list[str],
) -> None:
    before = "\n".join(["[slapos]", *lines, ""])
    try:
        values = read(before)
    except configparser.Error:
        return

    after = set_keys(before, "slapos", NEW)

    assert read(after) == {**values, "slapos": {**values["slapos"], **NEW}}
    assert set_keys(after, "slapos", NEW) == after
