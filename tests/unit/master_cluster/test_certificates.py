"""Certificates, as values, and as any reader of certificates sees them."""

from __future__ import annotations

import ssl
import subprocess  # noqa: TID251 - openssl judges
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from labsim.world.world import World
from master_cluster.certificates import (
    NAME_BYTES_MAX,
    RENEWAL_DAYS,
    VALID_DAYS,
    IssuedCertificate,
    build_authority,
    issue_certificate,
)
from slap.errors import BadRequest

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
DAY = 24 * 3600.0
KEYS = World(seed=1).host("alone").runtime.keys
AUTHORITY = build_authority(KEYS.new_private_key(), NOW)
KEY = KEYS.new_private_key()


def issued(name: str = "COMP-1", now: float = NOW) -> IssuedCertificate:
    return issue_certificate(AUTHORITY, name, KEY, now)


def stock_name(certificate: str) -> str:
    """The name of a computer as the stock client finds it."""
    start = certificate.find("COMP-")
    return certificate[start : certificate.find("/email", start)]


def test_a_certificate_names_its_owner_and_its_authority() -> None:
    read = x509.load_pem_x509_certificate(issued().certificate.encode())

    (name,) = read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "COMP-1"
    authority = x509.load_pem_x509_certificate(AUTHORITY.certificate.encode())
    read.verify_directly_issued_by(authority)
    assert read.not_valid_before_utc.timestamp() == NOW - DAY
    assert read.not_valid_after_utc.timestamp() == NOW + (VALID_DAYS - 1) * DAY


def test_a_stock_client_finds_the_name_of_its_computer() -> None:
    assert stock_name(issued("COMP-1234").certificate) == "COMP-1234"


def test_the_same_certificate_follows_from_the_same_values() -> None:
    assert issued() == issued()


def test_a_certificate_and_its_key_make_a_connection(tmp_path) -> None:
    for name, text in (("crt", issued().certificate), ("key", issued().key)):
        (tmp_path / name).write_text(text)

    context = ssl.create_default_context(cadata=AUTHORITY.certificate)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")

    assert [dict(it["subject"][0]) for it in context.get_ca_certs()] == [
        {"commonName": "slapcluster authority"}
    ]


def test_openssl_trusts_a_certificate_of_the_authority(tmp_path) -> None:
    now = datetime.now(UTC).timestamp()
    authority = build_authority(KEYS.new_private_key(), now)
    certificate = issue_certificate(authority, "COMP-1", KEY, now).certificate
    (tmp_path / "ca").write_text(authority.certificate)
    (tmp_path / "crt").write_text(certificate)

    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", "ca", "crt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("crt: OK\n", "")


def test_a_certificate_is_due_before_it_ends() -> None:
    certificate = issued()
    end = certificate.expires_at

    assert [
        (certificate.is_due(at), certificate.is_active(at))
        for at in (NOW, end - (RENEWAL_DAYS * DAY) - 1, end - 1, end)
    ] == [(False, True), (False, True), (True, True), (True, False)]


def test_no_certificate_outlives_its_authority() -> None:
    authority_end = x509.load_pem_x509_certificate(
        AUTHORITY.certificate.encode()
    ).not_valid_after_utc.timestamp()

    late = issued(now=authority_end - DAY)

    assert late.expires_at == authority_end


@pytest.mark.parametrize("name", ["", "x" * (NAME_BYTES_MAX + 1), "\u00e9" * 33])
def test_a_name_that_no_certificate_carries_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="a certificate names"):
        issued(name)


def test_names_of_any_alphabet_are_carried() -> None:
    name = "\N{SNOWMAN}" * (NAME_BYTES_MAX // 3)

    read = x509.load_pem_x509_certificate(issued(name).certificate.encode())

    (found,) = read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert found.value == name
