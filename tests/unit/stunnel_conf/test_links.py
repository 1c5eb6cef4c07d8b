"""Files of links: what they mean, and what is refused with which words."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stunnel_conf.links import (
    LINK_COUNT_MAX,
    BadLinks,
    Endpoint,
    Export,
    Gateway,
    Links,
    Span,
    decode_links,
    read_endpoint,
    read_host,
    read_span,
)
from tests.unit.stunnel_conf.builders import lyon


def test_a_file_says_who_reaches_what() -> None:
    links = lyon()

    assert links.exports == (
        Export(
            "database",
            15432,
            Endpoint("127.0.0.1", 5432),
            frozenset(("tokyo", "paris")),
        ),
        Export("web", 14443, Endpoint("::1", 443), frozenset(("paris",))),
    )
    assert links.reached == (("tokyo", "database"), ("tokyo", "web"))
    assert links.peers[1].reaches == {}


def test_the_places_of_the_page_fit_together() -> None:
    page = (Path(__file__).parents[3] / "docs" / "links.md").read_text()
    found = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    lyon, tokyo = (decode_links(tomllib.loads(text)) for text in found)

    (export,), (peer,) = lyon.exports, tokyo.peers
    assert peer.reaches == {export.program: export.port}
    assert (peer.name, peer.address) == (lyon.name, lyon.listen)
    assert export.peers == {tokyo.name}
    assert lyon.peers[0].address == tokyo.listen


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        (" 2001:0DB8:0000:0000:0000:0000:0000:0001 ", "2001:db8::1"),
        ("2001:db8:0:0:1::", "2001:db8:0:0:1::"),
        ("::", "::"),
        ("::1", "::1"),
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
        ("192.0.2.1", "192.0.2.1"),
    ],
)
def test_an_address_is_canonical_however_it_is_written(written, meant) -> None:
    assert read_host(written) == meant


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("fe80::1%eth0", "names an interface"),
        ("fe80::1", "another computer on each interface"),
        ("::ffff:192.0.2.1", "write 192.0.2.1"),
        ("ff02::1", "of many computers"),
        ("224.0.0.1", "of many computers"),
        ("2001:db8::1::2", "no numeric address"),
        ("2001:db8::1/64", "no numeric address"),
        ("[2001:db8::1", "no numeric address"),
        ("lyon.example", "no numeric address"),
        ("192.0.2.01", "no numeric address"),
        ("", "no numeric address"),
        (7, "no address"),
    ],
)
def test_what_is_no_address_is_refused(written, words) -> None:
    with pytest.raises(BadLinks, match=words):
        read_host(written)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("::1:5432", "in brackets"),
        ("127.0.0.1", "no port"),
        ("127.0.0.1:", "no port"),
        ("127.0.0.1:0", "no port"),
        ("127.0.0.1:65536", "no port"),
        ("127.0.0.1:٣", "no port"),
        ("[::1]", "in brackets"),
        (5432, "no address and port"),
    ],
)
def test_what_is_no_endpoint_is_refused(written, words) -> None:
    with pytest.raises(BadLinks, match=words):
        read_endpoint(written)


def test_endpoints_and_spans_are_read_as_they_are_written() -> None:
    for text in ("127.0.0.1:80", "[2001:db8::1]:65535"):
        assert str(read_endpoint(text)) == text
    for text in ("127.0.0.1:80-80", "[::1]:1-65535"):
        assert str(read_span(text)) == text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('name = "lyon"', 'name = "Lyon"'), "name: 'Lyon' is no name"),
        (('name = "lyon"', ""), "name is missing"),
        (('name = "lyon"', 'name = "tokyo"'), r"peers\.tokyo: .* that name itself"),
        (("certificate =", "certifcate ="), "no key 'certifcate'; there are certific"),
        (('"lyon.pem"', '""'), "certificate: '' is no name of a file"),
        (("10000-10009", "10009-10000"), "entries: .* ends before it begins"),
        (("10000-10009", "10000-10000"), "are fewer than 2 links"),
        (("10000-10009", "10000"), "entries: .* are no ports"),
        (("port = 15432", "port = 14443"), "port: 14443 is that of exports.data"),
        (("port = 15432", "port = '15432'"), r"exports\.database: port: .*whole"),
        (("port = 15432", "port = true"), "whole number"),
        (('peers = ["paris"]', 'peers = ["rome"]'), r"no \[peers\.rome\]"),
        (('peers = ["paris"]', 'peers = "paris"'), "must be a list"),
        (('to = "127.0.0.1:5432"', 'to = "127.0.0.1:10001"'), "to: .* among the entr"),
        (("[exports.web]", "[exports.the_web]"), "'the_web' is no name"),
        (("[exports.web]", "[exports.web.x]"), r"exports\.web: no key 'x'"),
        (('"192.0.2.7"', '"::"'), r"peers\.paris: address: :: is no place to go to"),
        (('["tokyo.crt"]', "[]"), r"certificates: 0 files: 1 to 4"),
        (('["tokyo.crt"]', "[7]"), "write names of files"),
        (("web = 443", "web = 70000"), r"peers\.tokyo: reaches: 70000 is no port"),
        (("{ database = 15432, web = 443 }", "[]"), "must be a table"),
    ],
)  # fmt: skip
def test_links_that_cannot_be_are_refused_by_name(change, words) -> None:
    with pytest.raises(BadLinks, match=words):
        lyon(change)


def test_an_export_does_not_lead_to_itself() -> None:
    with pytest.raises(BadLinks, match="it would loop"):
        lyon(('to = "[::1]:443"', 'to = "[2001:db8:1::1]:14443"'))


def test_an_export_is_not_where_entries_are() -> None:
    with pytest.raises(BadLinks, match="port: 15432 is among the entries"):
        lyon(('"127.0.0.1:10000-10009"', '"[2001:db8:1::1]:15000-16000"'))


def test_one_stunnel_has_so_many_links() -> None:
    exports = tuple(
        Export(f"p{n}", 1 + n, Endpoint("127.0.0.1", 80), frozenset())
        for n in range(LINK_COUNT_MAX + 1)
    )
    span = Span("127.0.0.1", 10_000, 20_000)

    Links("lyon", "::", "lyon.pem", span, exports[1:])
    with pytest.raises(BadLinks, match="1001 links: one stunnel has at most 1000"):
        Links("lyon", "::", "lyon.pem", span, exports)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda it: (
        st.lists(it, max_size=3) | st.dictionaries(st.text(max_size=5), it, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ("name", "listen", "certificate", "entries", "exports", "peers", "port", "to", "x")
)


@settings(max_examples=40)
@given(st.dictionaries(KEYS, JSON | st.dictionaries(KEYS, st.dictionaries(KEYS, JSON))))
def test_any_document_is_read_or_refused(document) -> None:
    document = {"name": "lyon", "listen": "::", "certificate": "x", **document}

    with suppress(BadLinks):
        decode_links(document)


GATEWAY = """
name = "comp-3"

[gateways.master]
accept = "127.0.0.1:5000"
servers = ["[2001:DB8:1::1]:5443", "192.0.2.7:5443"]
identity = "identity/"
"""


def a_gateway(*changes: tuple[str, str]) -> Links:
    text = GATEWAY
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return decode_links(tomllib.loads(text))


def test_a_site_of_gateways_needs_nothing_else() -> None:
    links = a_gateway()

    assert links.gateways == (
        Gateway(
            "master",
            Endpoint("127.0.0.1", 5000),
            (Endpoint("2001:db8:1::1", 5443), Endpoint("192.0.2.7", 5443)),
            "identity",
        ),
    )
    assert (links.listen, links.certificate) == ("", "")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("127.0.0.1:5000", "[::]:5000"), "would speak as this computer"),
        (("127.0.0.1:5000", "192.0.2.7:5443"), "would speak as this computer"),
        (("127.0.0.1:5000", "127.0.0.1:10004"), "is among the entries"),
        (("192.0.2.7:5443", "127.0.0.1:5000"), "is the gateway itself"),
        (("192.0.2.7:5443", "[2001:db8:1::1]:5443"), "one of them is there twice"),
        (('"[2001:DB8:1::1]:5443", "192.0.2.7:5443"', ""), "there may be 1 to 20"),
        (('identity = "identity/"', ""), "identity is missing"),
        (('"identity/"', '""'), "is no name of a file"),
        (("servers", "replicas"), "no key 'replicas'"),
        (("192.0.2.7:5443", "master:5443"), "is no numeric address"),
        (('name = "comp-3"', 'name = "comp-3"\nexports = {}'), "certificate is mis"),
        (
            (
                "[gateways.master]",
                GATEWAY.partition("\n\n")[2].replace("master", "other")
                + "[gateways.master]",
            ),
            "gateways.master: accept: 127.0.0.1:5000 is that of gateways.other",
        ),
    ],
)
def test_a_gateway_that_cannot_be_is_refused(change, sentence) -> None:
    with pytest.raises(BadLinks, match=re.escape(sentence)):
        a_gateway(change)
