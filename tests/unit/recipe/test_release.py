"""Recipe slapcluster:release."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread  # noqa: TID251 - recipes block, so their peer cannot

import pytest
from attrs import define, field
from zc.buildout import UserError

from slap.release_sums import BadSums, parse_sums, render_sums
from slapgrid.recipe.release import TRIES, Recipe

FINGERPRINT = "0" * 63 + "1\n"
FILES = {
    "versions.cfg": b"[versions]\n",
    "software/hello/software.cfg": b"[buildout]\n",
    "wheelhouse/neo-1.0+ours-py3.whl": bytes(range(256)) * 2000,
}


@define
class Served:
    """A release on loopback; ``breaks`` says how often a path is cut in the middle."""

    directory: Path
    url: str = ""
    asked: list[str] = field(factory=list)
    breaks: dict[str, int] = field(factory=dict)

    def write(self, files: dict[str, bytes], fingerprint: str = FINGERPRINT) -> None:
        for name, content in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sums = {
            it: hashlib.sha256(content).hexdigest() for it, content in files.items()
        }
        (self.directory / "SHA256SUMS").write_text(render_sums(sums))
        (self.directory / "fingerprint").write_text(fingerprint)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    release = Served(tmp_path / "served")
    release.directory.mkdir()
    release.write(FILES)
    with serve(release):
        yield release


@contextmanager
def serve(release: Served) -> Iterator[None]:
    class Exchange(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            release.asked.append(self.path)
            if release.breaks.get(self.path, 0) > 0:
                release.breaks[self.path] -= 1
                self.send_response(200)
                self.send_header("Content-Length", "100")
                self.end_headers()
                self.wfile.write(b"half")
                return
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """Tests read ``asked``."""

    build = partial(Exchange, directory=str(release.directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), build) as server:
        release.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def keep(tmp_path: Path, served: Served) -> Callable[[], dict[str, bytes]]:
    """Runs the recipe; returns what it keeps."""

    def run() -> dict[str, bytes]:
        kept = tmp_path / "soft" / "release"
        kept.parent.mkdir(exist_ok=True)
        options = {"url": served.url + "/", "directory": str(kept)}
        assert Recipe({}, "kept-release", options).install() == []
        assert [it.name for it in kept.parent.iterdir()] == ["release"]
        return content_of(kept)

    return run


def content_of(directory: Path) -> dict[str, bytes]:
    return {
        str(it.relative_to(directory)): it.read_bytes()
        for it in directory.rglob("*")
        if it.is_file()
    }


def test_a_release_is_kept_whole(served, keep):
    assert keep() == content_of(served.directory)


def test_what_is_kept_is_not_fetched_again(served, keep):
    keep()
    served.asked.clear()

    keep()

    assert served.asked == ["/SHA256SUMS", "/fingerprint"]


def test_another_release_takes_its_place_with_what_both_have(served, keep, tmp_path):
    keep()
    (tmp_path / "soft" / "release" / "stray").touch()
    served.asked.clear()
    served.write({**FILES, "versions.cfg": b"other\n"}, "0" * 63 + "2\n")

    assert keep() == content_of(served.directory)
    assert served.asked == ["/SHA256SUMS", "/fingerprint", "/versions.cfg"]


def test_what_an_interrupted_build_left_is_used_or_removed(served, keep, tmp_path):
    draft = tmp_path / "soft" / ".release.new"
    draft.mkdir(parents=True)
    (draft / "versions.cfg").write_bytes(FILES["versions.cfg"])
    (draft / "gone.whl").touch()
    (draft / ".versions.cfg.part").touch()

    assert keep() == content_of(served.directory)
    assert "/versions.cfg" not in served.asked


@pytest.mark.parametrize("has_new", [False, True])
def test_who_was_killed_between_two_names_goes_on(served, keep, tmp_path, has_new):
    keep()
    soft = tmp_path / "soft"
    (soft / "release").rename(soft / ".release.old")
    if has_new:
        (soft / "release").mkdir()

    assert keep() == content_of(served.directory)


def test_a_damaged_file_is_fetched_again(served, keep, tmp_path):
    keep()
    (tmp_path / "soft" / "release" / "versions.cfg").write_bytes(b"damaged")

    assert keep() == content_of(served.directory)


def test_a_file_that_breaks_off_is_tried_again(served, keep):
    served.breaks["/versions.cfg"] = TRIES - 1

    assert keep() == content_of(served.directory)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda it: (it / "versions.cfg").write_bytes(b"x"),
            "or another release is",
        ),
        (lambda it: (it / "versions.cfg").unlink(), "versions.cfg: HTTP Error 404"),
        (lambda it: (it / "SHA256SUMS").unlink(), "SHA256SUMS: HTTP Error 404"),
        (lambda it: (it / "SHA256SUMS").write_text("<html>"), "'<html>' names no file"),
        (lambda it: (it / "fingerprint").write_text("<html>"), "fingerprint is none"),
    ],
    ids=["digest", "file", "list", "no list", "no fingerprint"],
)
def test_what_is_not_as_it_should_be_is_an_error(
    served, keep, tmp_path, spoil, sentence
):
    """And what was kept before stays."""
    keep()
    before = content_of(tmp_path / "soft" / "release")
    served.write({**FILES, "versions.cfg": b"other\n"}, "0" * 63 + "2\n")
    spoil(served.directory)

    with pytest.raises(UserError, match=sentence):
        keep()
    assert content_of(tmp_path / "soft" / "release") == before


def test_a_file_that_always_breaks_off_is_an_error(served, keep):
    served.breaks["/versions.cfg"] = TRIES

    with pytest.raises(UserError, match="ended after 4 of 100 bytes"):
        keep()


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/x",
        "../x",
        "a/../x",
        "a//x",
        "./x",
        "a\x1bx",
        "SHA256SUMS",
        "fingerprint",
    ],
)
def test_a_list_names_only_files_below_it(path):
    with pytest.raises(BadSums):
        parse_sums(f"{'1' * 64}  {path}\n")


@pytest.mark.parametrize(
    "text", ["", "x\n", f"{'1' * 63}  a\n", 2 * f"{'1' * 64}  a\n"]
)
def test_a_list_has_a_digest_and_a_file_in_each_line(text):
    with pytest.raises(BadSums):
        parse_sums(text)


def test_sums_that_are_written_are_read_again():
    """In the form of sha256sum."""
    digests = {"b": "1" * 64, "a  with blanks": "2" * 64}
    text = render_sums(digests)
    assert text.splitlines()[0] == f"{'2' * 64}  a  with blanks"
    assert parse_sums(text) == digests


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"url": "file:///etc", "directory": "/x"}, "option url: .* is no http addr"),
        ({"url": "http://[::1]", "directory": "x"}, "option directory: 'x' is not abs"),
    ],
)
def test_options_that_will_not_do_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Recipe({}, "kept-release", options)
