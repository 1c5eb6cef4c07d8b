"""The documentation builds without a warning, and names what is there."""

from __future__ import annotations

import re
import subprocess  # noqa: TID251 - tools are programs
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from slap.methods import EXTENSION, METHODS
from tests.source_tree import TOP, tracked_files

NAMED_PATH = re.compile(r"`([\w.-]+/[\w./-]*)`|\]\((?!http)([^)#]+)[^)]*\)")


def broken_paths(page: str, text: str, present: Collection[str]) -> list[str]:
    """The paths of this tree that a page names and nobody finds.

    A word with a slash whose first part is no folder of ours is not a path of ours.
    """
    folders = {str(parent) for path in present for parent in Path(path).parents}
    broken = []
    for number, line in enumerate(text.splitlines(), start=1):
        for named, linked in NAMED_PATH.findall(line):
            path = named.rstrip("/") or str(
                (TOP / page).parent.joinpath(linked).resolve().relative_to(TOP)
            )
            is_ours = bool(linked) or path.partition("/")[0] in folders
            if is_ours and path not in present and path not in folders:
                broken.append(f"{page}:{number}: there is no {path}")
    return broken


def test_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    options = ("-q", "-n", "-W", "--keep-going", "-d", str(tmp_path / "doctrees"))
    ended = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", str(tmp_path / "html")],
        cwd=TOP,
        check=False,
        capture_output=True,
        text=True,
    )

    assert (ended.returncode, ended.stderr) == (0, "")


def test_no_file_holds_a_merge_that_was_not_finished() -> None:
    unfinished = [
        file
        for file in tracked_files()
        if re.search(rb"^(<{7}|>{7}) ", (TOP / file).read_bytes(), re.MULTILINE)
    ]

    assert unfinished == []


def test_pages_name_files_that_exist() -> None:
    present = set(tracked_files())
    broken = [
        finding
        for page in tracked_files()
        if page.endswith(".md")
        for finding in broken_paths(page, (TOP / page).read_text(), present)
    ]

    assert broken == [], "\n".join(broken)


@pytest.mark.parametrize("text", ["see `slap/gone.py`", "see [it](gone.md)"])
def test_a_path_that_does_not_exist_is_found(text: str) -> None:
    assert broken_paths("docs/sample.md", text, {"slap/model.py"}) != []


def test_other_words_with_a_slash_are_no_paths() -> None:
    text = "`application/json`, `slap/`, [page](index.md), [site](https://example.org)"

    assert broken_paths("docs/a.md", text, {"slap/model.py", "docs/index.md"}) == []


def test_every_method_of_others_has_a_row_that_compares() -> None:
    page = (TOP / "docs/protocols/differences.md").read_text()
    compared = set(re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE))

    missing = {it for it in METHODS if not it.startswith(EXTENSION)} - compared

    assert sorted(missing) == []
