"""Names and versions of a wheelhouse."""

from __future__ import annotations

import pytest

from slapcluster.pinning import (
    NotPinned,
    Package,
    check_pinned,
    parse_metadata,
    parse_pins,
    render_constraints,
    render_versions,
)

PINS = """\
# Every package.
[buildout]
versions = versions
[versions]
# held back
attrs = 26.1.0
zc.buildout=6.0.1   # the last
local = 1.0+ours.1
no version

[other]
name = 1
"""

PARSED = (
    Package("attrs", "26.1.0"),
    Package("zc.buildout", "6.0.1"),
    Package("local", "1.0+ours.1"),
)


def test_pins_are_the_lines_of_one_section():
    """Comments, other sections and other lines are none."""
    assert parse_pins(PINS) == PARSED


def test_pins_that_are_written_are_read_again():
    """In order of their names, with the names that packages give themselves."""
    assert parse_pins(render_versions(PARSED)) == tuple(sorted(PARSED))


def test_pip_reads_the_same_pins():
    """One requirement a line."""
    constraints = "attrs==26.1.0\nzc.buildout==6.0.1\nlocal==1.0+ours.1\n"
    assert render_constraints(PARSED) == constraints


def test_names_are_compared_as_packaging_does():
    """zc_buildout is zc.buildout."""
    check_pinned([Package("Zc_Buildout", "6.0.1"), Package("Attrs", "26.1.0")], PARSED)


def test_what_is_not_as_pinned_is_named_with_its_pin():
    """All of it at once."""
    packages = [
        Package("attrs", "1"),
        Package("local", "1.0+ours.1"),
        Package("x", "2"),
    ]
    with pytest.raises(NotPinned) as caught:
        check_pinned(packages, PARSED)
    sentence = "attrs 1 (pinned: 26.1.0), x 2 (pinned: no)"
    assert str(caught.value) == f"not as versions.cfg says: {sentence}"


def test_a_wheel_says_in_its_metadata_what_it_is():
    """Its file name has another spelling."""
    metadata = "Metadata-Version: 2.4\nName: zc.buildout\nVersion: 6.0.1\n\nName: no\n"
    assert parse_metadata(metadata) == Package("zc.buildout", "6.0.1")
