"""What a relay asks and answers, and where it may listen."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapgrid.config import read_config
from slapgrid.relaying.deciding import askable, describe_refusal, relayed_path
from slapgrid.settings import ConfigError

CFG = """\
[slapos]
computer_id = COMP-1
master_url = http://127.0.0.1:5000
software_root = /soft
instance_root = /srv
release_listen = {}
"""


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/release", "/release"),
        (b"/release/", "/release/"),
        (b"/release/./a//b/", "/release/a/b/"),
        (b"/release/software/hello/../../wheelhouse.cfg?x", "/release/wheelhouse.cfg"),
        (b"/release/wheelhouse/..", "/release/"),
        (b"/release/a+b%2Bc%20d", "/release/a+b+c%20d"),
        (b"/release/\xff", "/release/%FF"),
        (b"/release/..", None),
        (b"/release/../release/a", None),
        (b"/x/../release/a", None),
        (b"http://evil/release/a", None),
        (b"*", None),
        (b"/release/" + b"x" * 2000, None),
    ],
)
def test_paths_are_resolved_below_the_release(target: bytes, path: str | None) -> None:
    assert relayed_path(target) == path


@given(st.lists(st.sampled_from(["release", "..", ".", "", "a", "%2e%2e", "%2F"])))
def test_no_path_leads_out(names: list[str]) -> None:
    path = relayed_path(f"/{'/'.join(names)}".encode())

    if path is not None:
        parts = unquote(path).split("/")
        assert parts[:2] == ["", "release"]
        assert ".." not in parts
        assert relayed_path(path.encode()) == path


def test_a_relay_does_not_ask_itself() -> None:
    """The address of a mini-master that is gone stays in settings."""
    urls = ("http://127.0.0.1:5000/", "http://127.0.0.1:5001/", "https://[::1]:5443")

    assert askable(urls, "127.0.0.1:5000") == urls[1:]


def test_one_replica_without_the_file_is_an_answer() -> None:
    """404: indexes of packages are asked for what is not there all the time."""
    said = describe_refusal({"https://a": 404}, {"https://b": "refused"}, "/release/x")

    assert said.status == 404
    assert "https://a (404); https://b: refused" in said.sentence


@pytest.mark.parametrize("text", ["127.0.0.1:5000", "[::1]:5000", "127.0.3.1:1"])
def test_a_relay_listens_at_loopback(text: str) -> None:
    assert read_config(CFG.format(text)).relaying.listen == text


@pytest.mark.parametrize(
    "text",
    [
        *("5000", "localhost:5000", "127.0.0.1", "0.0.0.0:5000", "[::]:5000"),
        *("::1:5000", "127.0.0.1:0", "127.0.0.1:65536", "10.0.0.1:5000"),
        "http://127.0.0.1:5000",
    ],
)
def test_it_listens_nowhere_else(text: str) -> None:
    with pytest.raises(ConfigError, match="release_listen must be an address of loop"):
        read_config(CFG.format(text))
