"""What a person tells programs, and the ends of their logs."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import maybeDeferred

from runtime.files import DirectoryTree
from slapgrid.convergence.views import ProgramState, ProgramStatus
from slapgrid.supervision.commanding import choose_programs
from slapgrid.supervision.logs import LogEnd, read_log_ends
from slapgrid.supervision.port import GroupStatus, ProgramKey

A, B = (ProgramStatus(name, True, ProgramState.RUNNING) for name in "ab")  # noqa: FBT003
GROUPS = (
    GroupStatus("slappart1", (A, B)),
    GroupStatus("slappart1-prerm", (A,)),
    GroupStatus("slappart10", (A,)),
)
PARTITIONS = ("slappart1", "slappart10")


def a_tree(root: Path) -> DirectoryTree:
    return DirectoryTree(str(root), maybeDeferred)


@pytest.mark.parametrize(
    ("words", "chosen", "unknown"),
    [
        (("slappart1",), ("slappart1:a", "slappart1:b"), ()),
        (("slappart1:*", "slappart1:a"), ("slappart1:a", "slappart1:b"), ()),
        (("slappart1:b-on-watch",), ("slappart1:b",), ()),
        (("all",), ("slappart1:a", "slappart1:b", "slappart10:a"), ()),
        (("slappart1-prerm",), ("slappart1-prerm:a",), ()),
        (("slappart", "slappart1:c"), (), ("slappart", "slappart1:c")),
    ],
)
def test_words_name_programs(
    words: tuple[str, ...], chosen: tuple[str, ...], unknown: tuple[str, ...]
) -> None:
    """``all`` leaves alone what runs when an instance is destroyed."""
    keys = tuple(ProgramKey(*each.split(":")) for each in chosen)

    assert choose_programs(words, GROUPS, PARTITIONS) == (keys, unknown)


def test_the_end_of_a_log_reaches_into_the_file_before(tmp_path: Path) -> None:
    home = tmp_path / "slappart1"
    home.mkdir()
    (home / ".slappart1_a.log").write_text("3\n4\n")
    (home / ".slappart1_a.log.1").write_text("1\n2\n")
    (home / ".slappart1_b.log").write_bytes(b"\xff\n")
    tree = a_tree(tmp_path)

    assert [
        (it.program, it.text) for it in read_log_ends(tree, "slappart1", PARTITIONS, 3)
    ] == [("a", "2\n3\n4"), ("b", "\ufffd")]
    assert read_log_ends(tree, "slappart1:a-on-watch", PARTITIONS, 1) == (
        LogEnd("slappart1", "a", f"{home}/.slappart1_a.log", "4"),
    )


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("../etc", "no such partition"),
        ("slappart1", "none of its programs has written"),
        ("slappart1:a", "No such file"),
        ("slappart1:/../../x", "no name of a program"),
    ],
)
def test_a_log_that_cannot_be_read_says_why(
    tmp_path: Path, word: str, said: str
) -> None:
    (end,) = read_log_ends(a_tree(tmp_path), word, PARTITIONS, 3)

    assert end.failure is not None
    assert said in end.failure
    assert end.text == ""


def test_a_log_is_no_link_to_another_file(tmp_path: Path) -> None:
    """The partition's user owns the directory; whoever looks may be root."""
    (tmp_path / "slappart1").mkdir()
    (tmp_path / "slappart1" / ".slappart1_a.log").symlink_to("/etc/passwd")

    (end,) = read_log_ends(a_tree(tmp_path), "slappart1:a", PARTITIONS, 3)

    assert end.failure is not None
