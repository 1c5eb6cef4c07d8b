"""What fork servers keep of a release, and small parts of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slapgrid.shims.fork_server import exit_status, map_lines
from slapgrid.shims.release_caches import ReleaseCaches, copy_of


class FakeDistribution:
    """One that is changed by who gets it."""

    project_name = "one"
    precedence = 1


class FakeResources:
    """As much of pkg_resources as is asked; it counts the questions."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find_distributions(self, path_item: str, only: bool = False) -> Any:
        del only
        self.asked.append(path_item)
        return [FakeDistribution()]


class FakeBuildout:
    """What the caches look at when they are made."""

    _dir_hashes: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


def test_what_a_release_holds_is_read_once_and_given_as_copies(tmp_path: Path) -> None:
    """Outside of it, and where eggs are developed, nothing is remembered."""
    release, outside = tmp_path / "release", tmp_path / "outside"
    for directory in (release / "eggs", release / "develop-eggs", outside):
        directory.mkdir(parents=True)
    (release / "develop-eggs" / "mine.egg-link").write_text("/somewhere")
    resources = FakeResources()
    caches = ReleaseCaches(str(release), FakeBuildout(), resources)

    for path in (release / "eggs", release / "develop-eggs", outside):
        for _ in range(2):
            (found,) = caches.find_distributions(str(path))
            assert found.precedence == 1
            found.precedence = 2

    assert [Path(path).name for path in resources.asked] == [
        "eggs",
        "develop-eggs",
        "develop-eggs",
        "outside",
        "outside",
    ]


def test_a_copy_has_what_was_parsed() -> None:
    """And not the same dictionary."""
    original = FakeDistribution()
    original.__dict__["parsed"] = "metadata"
    copied = copy_of(original)
    copied.__dict__["precedence"] = 5

    assert (copied.__dict__["parsed"], original.precedence) == ("metadata", 1)


def test_a_map_of_users_has_a_line_for_each_range() -> None:
    """In order; a kernel takes no more than some hundred lines."""
    assert map_lines({5, 3, 4, 9}) == "3 3 3\n9 9 1\n"
    with pytest.raises(OSError, match="a map takes"):
        map_lines(set(range(0, 2000, 2)))


@pytest.mark.parametrize(("code", "status"), [(None, 0), (3, 3), (256, 0), ("why", 1)])
def test_a_fork_ends_with_the_status_of_a_process(code: object, status: int) -> None:
    """Whatever it exits with."""
    assert exit_status(code) == status
