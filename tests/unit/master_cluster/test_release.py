"""The release files, as a build fetches them."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
from collections.abc import Iterator
from fnmatch import translate
from pathlib import Path
from urllib.parse import unquote

import pytest

from master_cluster.web.release import Digests, render_wheelhouse_profile
from tests.unit.master_cluster.benches import WebBench

WHEEL = b"PK" * 200_000
OWN_WHEEL = "neo-1.0+ours.1-py3-none-any.whl"
"""A plus sign is one in the path of a URL."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    release = tmp_path / "release"
    (release / "wheelhouse").mkdir(parents=True)
    (release / "wheelhouse" / "hello-1.0-py3-none-any.whl").write_bytes(WHEEL)
    (release / "wheelhouse" / OWN_WHEEL).write_bytes(WHEEL)
    (release / "versions.cfg").write_text("[versions]\n")
    (tmp_path / "secret").write_text("secret")
    (release / "link").symlink_to(tmp_path / "secret")
    return release


@pytest.fixture
def bench(directory: Path) -> Iterator[WebBench]:
    bench = WebBench(release_directory=str(directory))
    yield bench
    bench.close()


@pytest.mark.parametrize("name", ["hello-1.0-py3-none-any.whl", OWN_WHEEL])
def test_a_file_is_sent_whole(bench: WebBench, name: str) -> None:
    reply = bench.send("GET", f"release/wheelhouse/{name}")

    assert (reply.status, reply.body) == (200, WHEEL)
    assert reply.headers["content-type"] == "application/octet-stream"


def test_a_directory_lists_its_files_with_their_digests(bench: WebBench) -> None:
    reply = bench.send("GET", "release/wheelhouse/")

    digest = hashlib.sha256(WHEEL).hexdigest()
    links = re.findall('href="([^"]*)"', reply.body.decode())
    assert [unquote(it) for it in links] == [
        f"hello-1.0-py3-none-any.whl#sha256={digest}",
        f"{OWN_WHEEL}#sha256={digest}",
    ]


def test_a_listing_hides_links_that_lead_out(bench: WebBench) -> None:
    reply = bench.send("GET", "release/")

    links = re.findall('href="([^"#]*)', reply.body.decode())
    assert links == ["versions.cfg", "wheelhouse/"]


def test_a_directory_without_its_slash_is_moved(bench: WebBench) -> None:
    reply = bench.send("GET", "release/wheelhouse")

    assert reply.status == 301
    assert reply.headers["location"] == "/release/wheelhouse/"


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "%2e%2e/secret",
        "wheelhouse/%2e%2e/%2e%2e/%2e%2e/secret",
        "wheelhouse/..%2f..%2fsecret",
        "%2fetc/passwd",
        "link",
        "nothing",
        "versions.cfg%00",
        "%ff",
    ],
)
def test_nothing_is_found_outside(bench: WebBench, path: str) -> None:
    assert bench.send("GET", f"release/{path}").status == 404


def test_a_file_that_is_known_is_not_sent_again(bench: WebBench) -> None:
    first = bench.send("GET", "release/versions.cfg")

    again = bench.send(
        "GET",
        "release/versions.cfg",
        {"If-Modified-Since": first.headers["last-modified"]},
    )

    assert (again.status, again.body) == (304, b"")


def test_the_head_of_a_file_tells_its_length(bench: WebBench) -> None:
    reply = bench.send("HEAD", "release/wheelhouse/hello-1.0-py3-none-any.whl")

    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-length"] == str(len(WHEEL))


def test_files_are_not_written(bench: WebBench) -> None:
    assert bench.send("POST", "release/versions.cfg", {}, b"x").status == 405


def test_a_profile_points_a_build_at_the_server_it_came_from(bench: WebBench) -> None:
    reply = bench.send("GET", "release/wheelhouse.cfg")

    assert reply.body.decode() == render_wheelhouse_profile(
        "http://127.0.0.1:5000/release", "127.0.0.1:5000"
    )


@pytest.mark.parametrize("host", ["127.0.0.1:5000", "[::1]:5000", "localhost"])
def test_a_profile_allows_its_own_server_and_no_other(host: str) -> None:
    """Read as buildout reads it: patterns of shells, matched with host and port."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(render_wheelhouse_profile(f"http://{host}/release", host))
    buildout = parser["buildout"]

    assert re.match(translate(buildout["allow-hosts"]), host)
    assert not re.match(translate(buildout["allow-hosts"]), "pypi.example")
    assert buildout["index"] == f"http://{host}/release/wheelhouse/"
    assert parser["release"]["base-url"] == f"http://{host}/release"


def test_a_file_that_is_replaced_has_another_digest(directory: Path) -> None:
    digests = Digests()
    path = directory / "versions.cfg"
    before = digests.digest(str(path))

    path.write_text("[versions]\nhello = 2.0\n")
    os.utime(path, (1, 1))

    assert digests.digest(str(path)) != before
    assert digests.digest(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_release_has_an_address_by_its_fingerprint(
    bench: WebBench, directory: Path
) -> None:
    """What builds from there never gets a file of another release."""
    name = "0" * 64
    (directory / "fingerprint").write_text(f"{name}\n")
    wheel = f"release/{name}/wheelhouse/hello-1.0-py3-none-any.whl"
    other = wheel.replace("0", "1")
    profile = bench.send("GET", f"release/{name}/software/hello/../../wheelhouse.cfg")

    assert bench.send("GET", wheel).body == WHEEL
    assert bench.send("GET", other).status == 404
    assert f"base-url = http://127.0.0.1:5000/release/{name}\n" in profile.body.decode()
