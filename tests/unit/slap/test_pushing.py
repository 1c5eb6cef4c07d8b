"""What may be pushed, by what callers say of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap.errors import BadRequest, Refusal, TooLarge
from slap.pushing import (
    FILE_BYTES_MAX,
    FILE_COUNT_MAX,
    RELEASE_BYTES_MAX,
    SUMS_BYTES_MAX,
    ReleaseOffer,
    ReleasePiece,
)
from slap.release_sums import BadSums, fingerprint_of, parse_sums, render_sums
from slap.transfer import PIECE_BYTES_MAX

NAME = "0" * 64


def offer(*paths: str, size: int = 1) -> ReleaseOffer:
    sums = "".join(f"{NAME}  {path}\n" for path in paths)
    return ReleaseOffer(fingerprint_of(sums), sums, size)


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "a//b",
        "a/./b",
        "a/",
        "a\0b",
        "a\x7fb",
        "SHA256SUMS",
        "fingerprint",
        "x" * 256,
        "",
    ],
)
def test_a_list_names_files_below_a_release_alone(path: str) -> None:
    with pytest.raises(BadRequest):
        offer(path)


def test_a_file_of_a_list_is_no_directory_of_another_one() -> None:
    with pytest.raises(BadRequest, match="'a' is a file"):
        offer("a", "a/b")


@pytest.mark.parametrize(
    ("name", "sums"),
    [
        (NAME, f"{NAME}  a\n"),
        ("0" * 63, f"{NAME}  a\n"),
        (fingerprint_of("a\n"), "a\n"),
        (fingerprint_of(""), ""),
        (fingerprint_of(2 * f"{NAME}  a\n"), 2 * f"{NAME}  a\n"),
    ],
    ids=["another list", "no fingerprint", "no list", "nothing", "a file twice"],
)
def test_a_list_that_lies_is_refused(name: str, sums: str) -> None:
    with pytest.raises(BadRequest):
        ReleaseOffer(name, sums, 1)


@pytest.mark.parametrize(
    ("paths", "size"),
    [
        ([f"{number}" for number in range(FILE_COUNT_MAX + 1)], 1),
        (["a"], RELEASE_BYTES_MAX + 1),
        (["/".join(["x" * 250] * 5000)], 1),
    ],
    ids=["files", "bytes", "list"],
)
def test_a_release_has_limits(paths: list[str], size: int) -> None:
    assert len("/".join(["x" * 250] * 5000)) > SUMS_BYTES_MAX
    with pytest.raises(TooLarge):
        offer(*paths, size=size)


@pytest.mark.parametrize(
    ("path", "size", "offset", "content"),
    [
        ("../a", 1, 0, b"x"),
        ("a", FILE_BYTES_MAX + 1, 0, b"x"),
        ("a", 2, 2, b"x"),
        ("a", 2, 0, b""),
        ("a", PIECE_BYTES_MAX + 1, 0, b"x" * (PIECE_BYTES_MAX + 1)),
    ],
)
def test_a_piece_lies_within_a_file(
    path: str, size: int, offset: int, content: bytes
) -> None:
    with pytest.raises(Refusal):
        ReleasePiece(NAME, path, size, offset, content)


PATHS = st.lists(st.text(alphabet="ab./\n\0+ ", max_size=5), max_size=4)


@given(PATHS)
def test_what_is_read_of_a_list_is_written_again(paths: list[str]) -> None:
    """And leads to files below a directory, none of which is one itself."""
    text = "".join(f"{NAME}  {it}\n" for it in paths)
    try:
        found = parse_sums(text)
    except BadSums:
        return

    assert parse_sums(render_sums(found)) == found
    for path in found:
        assert not path.startswith("/")
        assert ".." not in path.split("/")
        assert not any(path.startswith(f"{it}/") for it in found)
