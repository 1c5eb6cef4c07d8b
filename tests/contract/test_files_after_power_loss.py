"""What a power loss leaves of what ``runtime.files`` does, after each system call."""

from __future__ import annotations

import pytest

from labsim.lives.files import CASES, NEW, Recording, find_problem, find_wrong, states
from labsim.world.persistence import FileSystem


@pytest.mark.parametrize("file_system", FileSystem, ids=lambda it: it.value)
@pytest.mark.parametrize("name", CASES)
def test_everything_in_between_is_the_old_or_the_new(
    name, file_system, tmp_path
) -> None:
    assert find_wrong(name, file_system, str(tmp_path)) == ""


def test_a_life_plays_all_of_them() -> None:
    assert find_problem(1) == ""


def test_what_is_in_between_shows_both(tmp_path) -> None:
    calls = Recording(str(tmp_path)).record(lambda tree: tree.write("file", NEW))

    assert any(call[0] == "synchronise" for call in calls)
    assert len(states([], calls, FileSystem.EXT4)) == 2


@pytest.mark.parametrize("directories", [True, False])
def test_a_tree_that_synchronises_less_is_found_out(directories, tmp_path) -> None:
    """On a new file: of one that is replaced, ext4 alone keeps the content."""
    calls = Recording(str(tmp_path)).record(lambda tree: tree.write("file", NEW))
    fewer = [it for it in calls if it[0] != "synchronise" or it[2] is not directories]
    assert len(fewer) < len(calls)

    for file_system in (FileSystem.LOOSE, FileSystem.EXT4):
        left = states([], fewer, file_system, count=len(fewer))
        assert left != [{"/file": NEW}]
