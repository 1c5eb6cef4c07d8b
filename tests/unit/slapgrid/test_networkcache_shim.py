"""Archives of releases: what is taken out of one, and what is refused."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import slapgrid.shims
from tests import programs

SHIM = Path(slapgrid.shims.__file__).with_name("networkcache_shim.py")
NAME = "a" * 32


def run(verb: str, **wanted: object) -> tuple[int, str]:
    done = programs.run(
        [sys.executable, str(SHIM), json.dumps({"verb": verb, **wanted})]
    )
    return done.returncode, done.stdout + done.stderr


def extract(tmp_path: Path, *, files_max: int = 100) -> tuple[int, str]:
    return run(
        "extract",
        archive=str(tmp_path / "archive"),
        parent=str(tmp_path / "root"),
        name=NAME,
        excluded=[".netrc", ".completed"],
        bytes_max=1000,
        files_max=files_max,
    )


def a_file(name: str, content: bytes = b"x", mode: int = 0o755) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    return member


def a_link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def a_device(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.CHRTYPE
    return member


def write_archive(tmp_path: Path, *members: tarfile.TarInfo) -> None:
    (tmp_path / "root").mkdir()
    with tarfile.open(tmp_path / "archive", "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))


def test_what_was_packed_is_extracted_without_secrets_and_marks(
    tmp_path: Path,
) -> None:
    release = tmp_path / "root" / NAME
    (release / "bin").mkdir(parents=True)
    (release / "bin/python").symlink_to("/usr/bin/python3")
    (release / "bin/here").symlink_to(f"{release}/bin/tool")
    (release / "bin/tool").write_text("tool")
    (release / "bin/tool").chmod(0o4755)
    (release / "bin/same").hardlink_to(release / "bin/tool")
    (release / "empty").mkdir(mode=0o500)
    (release / ".netrc").write_text("secret")
    packed = run(
        "pack",
        parent=str(release.parent),
        name=NAME,
        archive=str(tmp_path / "archive"),
        excluded=[".netrc", ".completed"],
    )
    release.rename(tmp_path / "before")

    assert (packed[0], len(packed[1].strip())) == (0, len("RESULT") + 128)
    assert extract(tmp_path) == (0, "")
    assert sorted(str(each.relative_to(release)) for each in release.rglob("*")) == [
        "bin",
        "bin/here",
        "bin/python",
        "bin/same",
        "bin/tool",
        "empty",
    ]
    assert (release / "bin/tool").stat().st_mode & 0o7777 == 0o755
    assert (release / "bin/here").read_text() == "tool"
    assert [each.name for each in (tmp_path / "root").iterdir()] == [NAME]


@pytest.mark.parametrize(
    "member",
    [
        lambda: a_file("/etc/x"),
        lambda: a_file("../x"),
        lambda: a_file(f"{NAME}/../x"),
        lambda: a_file(f"{NAME}x/y"),
        lambda: a_link(f"{NAME}/x", "../../outside"),
        lambda: a_link(f"{NAME}/x", "/etc/passwd"),
        lambda: a_link(f"{NAME}/x", "../outside", tarfile.LNKTYPE),
        lambda: a_device(f"{NAME}/x"),
        lambda: a_file(f"{NAME}/x", b"x" * 1001),
    ],
)
def test_an_archive_that_reaches_out_leaves_nothing(
    tmp_path: Path, member: Callable[[], tarfile.TarInfo]
) -> None:
    write_archive(tmp_path, a_file(f"{NAME}/first"), member())

    status, output = extract(tmp_path)

    assert (status, "the archive has" in output) == (1, True), output
    assert not (tmp_path / "root" / NAME).exists()
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_through_a_link_of_the_archive(tmp_path: Path) -> None:
    """The link comes first and the file through it next."""
    (tmp_path / "outside").mkdir()
    write_archive(
        tmp_path, a_link(f"{NAME}/way", "/usr/share"), a_file(f"{NAME}/way/x")
    )

    status, _ = extract(tmp_path)

    assert status == 1
    assert not Path("/usr/share/x").exists()


def test_an_archive_of_too_many_files_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path, *(a_file(f"{NAME}/{number}") for number in range(9)))

    assert extract(tmp_path, files_max=8)[0] == 1


def test_an_archive_that_is_cut_leaves_nothing(tmp_path: Path) -> None:
    write_archive(tmp_path, *(a_file(f"{NAME}/{number}") for number in range(9)))
    content = (tmp_path / "archive").read_bytes()
    (tmp_path / "archive").write_bytes(content[: len(content) // 2])

    assert extract(tmp_path)[0] == 1
    assert not (tmp_path / "root" / NAME).exists()


def test_what_a_kill_left_of_an_extraction_is_replaced(tmp_path: Path) -> None:
    write_archive(tmp_path, a_file(f"{NAME}/x"))
    (tmp_path / "root" / f".extracting-{NAME}" / NAME).mkdir(parents=True)

    assert extract(tmp_path)[0] == 0
    assert [each.name for each in (tmp_path / "root").iterdir()] == [NAME]


def test_a_place_that_is_no_http_url_is_refused() -> None:
    status, output = run("get", url="file:///etc/passwd", bytes_max=100)

    assert (status, output.strip()) == (1, "file:///etc/passwd is no http URL")
