"""Certificates of links, and those that are none."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from stunnel_conf.links import BadLinks
from stunnel_conf.pins import PEM_BYTES_MAX, read_own, read_pin, sign_itself
from tests.unit.stunnel_conf.builders import NOW, certificate, key


def strange(
    *attributes: tuple[x509.ObjectIdentifier, str],
    curve: ec.EllipticCurve | None = None,
) -> str:
    """A certificate of that subject; on a curve, else by RSA."""
    made = (
        ec.generate_private_key(curve)
        if curve
        else rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )
    subject = x509.Name([x509.NameAttribute(*it) for it in attributes])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(made.public_key())
        .serial_number(7)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=9))
        .sign(made, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM).decode()


P256 = ec.SECP256R1()
CN, O = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME  # noqa: E741 - its name


def test_a_pin_is_one_certificate_and_when_it_is_valid() -> None:
    pin = read_pin("tokyo", certificate("tokyo"))

    assert pin.pem == certificate("tokyo")
    assert pin.is_valid(NOW)
    assert pin.is_valid(NOW - 3600)
    assert pin.is_valid(NOW + 29 * 86400)
    assert not pin.is_valid(NOW + 30 * 86400)
    assert not pin.is_valid(NOW - 2 * 86400)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no certificate in PEM"),
        (certificate("tokyo").replace("MII", "XII"), "no certificate in PEM"),
        (certificate("tokyo") * 2, "2 certificates"),
        (certificate("tokyo") + key("tokyo"), "has a private key: .* new key"),
        (" " * PEM_BYTES_MAX + certificate("tokyo"), "has more than"),
        (certificate("lyon"), "is of 'CN=lyon', and must be of 'CN=tokyo'"),
        (strange((CN, "tokyo")), "not on P-256"),
        (strange((CN, "tokyo"), curve=ec.SECP384R1()), "not on P-256"),
        (strange((CN, "tokyo"), (O, "x"), curve=P256), "must be of 'CN=tokyo'"),
        (strange((CN, "lyon"), (CN, "tokyo"), curve=P256), "must be of 'CN=tokyo'"),
        (strange((CN, "tokyo\nCN=lyon"), curve=P256), "must be of 'CN=tokyo'"),
        (strange((CN, "tokyo\0"), curve=P256), "must be of 'CN=tokyo'"),
        (strange((CN, "TOKYO"), curve=P256), "must be of 'CN=tokyo'"),
        (strange((O, "tokyo"), curve=P256), "must be of 'CN=tokyo'"),
        (strange(curve=P256), "must be of 'CN=tokyo'"),
    ],
)  # fmt: skip
def test_a_surprising_certificate_is_no_pin(text, words) -> None:
    with pytest.raises(BadLinks, match=words):
        read_pin("tokyo", text)


def test_the_own_certificate_has_its_own_key() -> None:
    own = certificate("lyon")

    assert read_own("lyon", key("lyon") + own) == read_pin("lyon", own)
    with pytest.raises(BadLinks, match="no private key"):
        read_own("lyon", own)
    with pytest.raises(BadLinks, match="a certificate of another key"):
        read_own("lyon", key("other") + own)


def test_a_key_that_needs_words_is_not_taken() -> None:
    loaded = serialization.load_pem_private_key(key("lyon").encode(), None)
    locked = loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"words"),
    )

    with pytest.raises(BadLinks, match="no private key that can be read without words"):
        read_own("lyon", locked.decode() + certificate("lyon"))


def test_the_same_key_on_the_same_day_makes_the_same_certificate() -> None:
    assert sign_itself("a", key("a"), NOW, 9) == sign_itself("a", key("a"), NOW, 9)
    assert sign_itself("a", key("a"), NOW, 9) != sign_itself("a", key("b"), NOW, 9)
