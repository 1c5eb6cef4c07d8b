"""The text that stunnel reads, kept as golden files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from stunnel_conf.links import BadLinks, Links, decode_links
from stunnel_conf.pins import read_pin
from stunnel_conf.ports import assign, entry_name
from stunnel_conf.rendering import (
    Configuration,
    files_named,
    passage_of,
    render,
    sections_of,
)
from tests.unit.stunnel_conf.builders import certificate, key, lyon

GOLDEN = Path(__file__).parents[2] / "golden" / "links"


def rendered(links: Links, home: str = "/srv/links") -> Configuration:
    names = [entry_name(*it) for it in links.reached]
    sections = sections_of(links, assign(names, links.entries, {}))
    pins = {
        name: [read_pin(name, certificate(name, it)) for it in peer.certificates]
        for peer in links.peers
        for name in (peer.name,)
    }
    return render(home, sections, key("lyon") + certificate("lyon"), pins)


def nameless(text: str) -> str:
    """Without digests: keys of tests are new each time."""
    return re.sub(r"(own|pins)-[0-9a-f]{16}", r"\1-DIGEST", text)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("both-ways", ()),
        ("nobody-comes", (('["tokyo", "paris"]', "[]"), ('["paris"]', "[]"))),
    ],
)
def test_a_configuration_is_as_it_was(name, changes) -> None:
    text = rendered(lyon(*changes)).text

    assert nameless(text) == (GOLDEN / f"{name}.conf").read_text()


GATEWAY = """
name = "comp-3"

[gateways.master]
accept = "127.0.0.1:5000"
servers = ["[2001:db8:1::1]:5443", "[2001:db8:2::1]:5443"]
identity = "/etc/slapcluster/identity"
"""


def test_a_gateway_is_as_it_was() -> None:
    (gateway,) = decode_links(tomllib.loads(GATEWAY)).gateways
    passage = passage_of(gateway, "KEY\n", "CHAIN\n", "ROOTS\n")
    configuration = render("/srv/links", (), "", {}, (passage,))

    assert nameless(configuration.text) == (GOLDEN / "gateway.conf").read_text()
    assert set(configuration.files.values()) == {"KEY\nCHAIN\n", "ROOTS\n"}
    assert files_named(configuration.text) == set(configuration.files)


def test_files_are_named_by_what_is_in_them() -> None:
    one = rendered(lyon())
    other = rendered(lyon(('"paris-old.crt", ', "")))

    assert files_named(one.text) == set(one.files)
    assert one.text != other.text
    for name in one.files.keys() & other.files.keys():
        assert one.files[name] == other.files[name]


def test_each_section_accepts_its_peers_and_nobody_else() -> None:
    configuration = rendered(lyon())
    accepted = {
        name: configuration.files[file]
        for name, file in re.findall(
            r"^\[(.*)\](?:\n.+)*\nCAfile = /srv/links/(.*)$",
            configuration.text,
            re.MULTILINE,
        )
    }

    paris = {certificate("paris", it) for it in ("paris-old.crt", "paris.crt")}
    tokyo = {certificate("tokyo", "tokyo.crt")}
    expected = {
        "export.database": paris | tokyo,
        "export.web": paris,
        "reach.tokyo.database": tokyo,
        "reach.tokyo.web": tokyo,
    }
    pem = re.compile(r"-+BEGIN[^~]*?END.*\n")
    assert {name: set(pem.findall(it)) for name, it in accepted.items()} == expected


@pytest.mark.parametrize("home", ["/srv/a\nb", "/srv/a ", " /srv"])
def test_a_path_that_stunnel_cannot_read_is_refused(home) -> None:
    with pytest.raises(BadLinks, match="stunnel reads no such path"):
        rendered(lyon(), home)
