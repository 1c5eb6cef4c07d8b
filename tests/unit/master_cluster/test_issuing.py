"""What the authority of a cloud signs, and as openssl sees it."""

from __future__ import annotations

import subprocess  # noqa: TID251 - openssl judges
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from labsim.world.world import World
from master_cluster.authority.asking import read_request
from master_cluster.authority.building import EARLIER_HOURS
from master_cluster.authority.issuing import (
    ADDRESS_COUNT_MAX,
    LEAF_DAYS,
    REGION_DAYS,
    ROOT_DAYS,
    build_root,
    issue_region,
    read_addresses,
)
from runtime.certificates import (
    check_chain,
    describe,
    digest_of_key,
    key_digest,
    load_key,
    render_request,
)
from slap.errors import BadRequest, Unavailable
from slap.identities import Identity, Role, identity_of
from tests.authorities import COMPUTER, a_leaf, a_region

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
DAY = 24 * 3600.0
KEYS = World(seed=1).host("alone").runtime.keys
ROOT = build_root(KEYS.new_private_key(), NOW)
REGION = a_region(KEYS, NOW, root=ROOT)
KEY = KEYS.new_private_key()


@pytest.mark.parametrize("role", Role)
def test_a_certificate_speaks_for_its_owner_alone(role: Role) -> None:
    identity = Identity(role, "a-name.1")

    described = check_chain(
        a_leaf(REGION, KEY, NOW, identity).certificate, REGION.roots, NOW
    )

    assert identity_of(described.uris) == identity
    assert (described.name, described.issuer) == ("a-name.1", "region lyon")
    assert described.key_digest == key_digest(KEY)


def test_lifetimes_are_those_of_the_calendar_and_begin_a_day_early() -> None:
    lives = [
        describe(text)[0]
        for text in (
            ROOT.certificate,
            REGION.authority.certificate,
            a_leaf(REGION, KEY, NOW).certificate,
        )
    ]

    assert [(it.expires_at - it.starts_at) / DAY for it in lives] == [
        ROOT_DAYS,
        REGION_DAYS,
        LEAF_DAYS,
    ]
    assert {it.starts_at for it in lives} == {NOW - EARLIER_HOURS * 3600}


def test_a_certificate_is_due_when_two_thirds_of_its_life_are_over() -> None:
    issued = a_leaf(REGION, KEY, NOW)
    described = describe(issued.certificate)[0]
    due = described.starts_at + 60 * DAY

    assert [it.is_due(at) for it in (issued, described) for at in (due - 1, due)] == [
        False,
        True,
        False,
        True,
    ]


def test_none_outlives_its_authority() -> None:
    region_end = describe(REGION.authority.certificate)[0].expires_at
    root_end = describe(ROOT.certificate)[0].expires_at

    late = a_leaf(REGION, KEY, region_end - DAY)
    late_region = a_region(KEYS, root_end - DAY, root=ROOT)

    assert late.expires_at == region_end
    assert describe(late_region.authority.certificate)[0].expires_at == root_end


def test_a_region_that_is_over_signs_nothing() -> None:
    end = describe(REGION.authority.certificate)[0].expires_at

    with pytest.raises(Unavailable, match="region lyon ended on 2028-11-20 12:00 UTC"):
        a_leaf(REGION, KEY, end)


def test_a_region_of_another_root_signs_nothing() -> None:
    other = a_region(KEYS, NOW)
    mixed = type(other)(other.authority, REGION.roots)

    with pytest.raises(Unavailable, match="does not lead to the root"):
        a_leaf(mixed, KEY, NOW)


def test_the_same_certificate_follows_from_the_same_values() -> None:
    assert a_leaf(REGION, KEY, NOW) == a_leaf(REGION, KEY, NOW + 0.5)


def test_no_two_certificates_have_one_serial_number() -> None:
    issued = [
        a_leaf(REGION, KEY, NOW),
        a_leaf(REGION, KEY, NOW + 1),
        a_leaf(REGION, KEY, NOW, Identity(Role.COMPUTER, "COMP-2")),
        a_leaf(REGION, KEYS.new_private_key(), NOW),
        a_leaf(REGION, KEY, NOW, addresses=("10.0.0.1",)),
    ]

    assert len({it.serial for it in issued}) == len(issued)


def test_openssl_trusts_a_replica_at_its_addresses(tmp_path: Path) -> None:
    now = datetime.now(UTC).timestamp()
    region = a_region(KEYS, now)
    leaf = a_leaf(
        region,
        KEY,
        now,
        Identity(Role.REPLICA, "lyon-1"),
        ("2001:DB8:0::1", "[::1]", "127.0.0.1"),
    )
    for name, text in (
        ("root", region.roots),
        ("region", region.authority.certificate),
        ("leaf", leaf.certificate),
    ):
        (tmp_path / name).write_text(text)

    trusted = ("-CAfile", "root", "-untrusted", "region")

    def judged(*options: str) -> str:
        done = subprocess.run(
            ("openssl", "verify", "-x509_strict", *trusted, *options, "leaf"),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return done.stdout

    assert [
        judged("-purpose", purpose, "-verify_ip", address)
        for purpose, address in (("sslserver", "2001:db8::1"), ("sslclient", "::1"))
    ] == ["leaf: OK\n"] * 2
    assert judged("-verify_ip", "10.1.1.1") == ""


def test_the_subject_of_a_link_is_its_name_alone() -> None:
    issued = a_leaf(REGION, KEY, NOW, Identity(Role.LINK, "tokyo"))

    read = x509.load_pem_x509_certificate(issued.certificate.encode())

    assert read.subject.rfc4514_string() == "CN=tokyo"


def test_a_stock_client_finds_the_name_of_its_computer() -> None:
    text = a_leaf(REGION, KEY, NOW, Identity(Role.COMPUTER, "COMP-12")).certificate

    start = text.find("COMP-")
    assert text[start : text.find("/email", start)] == "COMP-12"


@pytest.mark.parametrize("name", ["", "a/b", "\N{SNOWMAN}", "a\0b", "x" * 65, "*"])
def test_a_region_has_a_plain_name(name: str) -> None:
    with pytest.raises(BadRequest, match="is no name of a certificate"):
        issue_region(ROOT, name, load_key(KEY).public_key(), NOW)


@pytest.mark.parametrize(
    ("addresses", "sentence"),
    [
        (("localhost",), "'localhost' is no IP address"),
        (("10.0.0.0/8",), "is no IP address"),
        (("fe80::1%eth0",), "means something on its own link alone"),
        (("",), "is no IP address"),
        (tuple(map(str, range(ADDRESS_COUNT_MAX + 1))), "at most 16 addresses"),
    ],
)
def test_an_odd_address_is_refused(addresses: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        read_addresses(addresses)


@settings(max_examples=30)
@given(st.lists(st.ip_addresses(), max_size=8))
def test_addresses_are_certified_once_in_one_spelling(addresses: list[object]) -> None:
    texts = [str(it) for it in addresses]

    issued = a_leaf(REGION, KEY, NOW, addresses=(*texts, *map(str.upper, texts)))

    assert describe(issued.certificate)[0].addresses == tuple(sorted(set(texts)))


@settings(max_examples=30)
@given(
    st.floats(0, ROOT_DAYS - 2),
    st.sampled_from(Role),
    st.from_regex("[a-z]{1,9}", fullmatch=True),
)
def test_whatever_is_signed_leads_to_the_root_at_that_instant(
    days: float, role: Role, name: str
) -> None:
    now = NOW + days * DAY
    region = a_region(KEYS, now, root=ROOT)
    identity = Identity(role, name)

    described = check_chain(
        a_leaf(region, KEY, now, identity).certificate, ROOT.certificate, now
    )

    assert identity_of(described.uris) == identity
    assert described.is_valid(now)
    assert not described.is_due(now)


def test_a_request_proves_the_key_and_nothing_else() -> None:
    text = render_request(KEY, "whoever I say I am")

    assert digest_of_key(read_request(text)) == key_digest(KEY)
    assert text == render_request(KEY, "whoever I say I am")
    assert COMPUTER.name not in text
