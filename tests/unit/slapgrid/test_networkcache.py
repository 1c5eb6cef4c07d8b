"""Entries of a networkcache: whose word counts, and what fits this computer."""

from __future__ import annotations

import base64
import datetime as dt
import json

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from slapgrid.software.networkcache import (
    BinaryRelease,
    Finding,
    Machine,
    Signed,
    SigningRefused,
    check_key,
    choose_release,
    decode_entries,
    encode_entry,
    find_releases,
    read_system,
)

URL = "http://releases.example/software.cfg"
DEBIAN = Machine("x86_64-linux-gnu", ("debian", "12.4", "bookworm"))
RELEASE = BinaryRelease("ab" * 64, URL, "/opt/slapgrid", DEBIAN)


def a_key() -> tuple[bytes, bytes]:
    """A key and its certificate, as PEM."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "builder")])
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=10))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem, certificate.public_bytes(serialization.Encoding.PEM)


KEY, CERTIFICATE = a_key()
OTHER_KEY, OTHER_CERTIFICATE = a_key()


def an_entry(*, is_sha1_outside: bool = False) -> Signed:
    encoded = encode_entry(RELEASE, KEY, is_sha1_outside=is_sha1_outside)
    (entry,) = decode_entries(b"[" + encoded + b"]")
    return entry


def refusal(
    entry: Signed, certificates: bytes = CERTIFICATE, *, accepts_sha1: bool = False
) -> str | None:
    (found,) = find_releases((entry,), certificates, accepts_sha1=accepts_sha1)
    return found.refusal


@pytest.mark.parametrize("is_sha1_outside", [False, True])
def test_an_entry_of_a_listed_builder_is_believed(is_sha1_outside: bool) -> None:
    """Whatever stands outside, the signature within is ours."""
    entry = an_entry(is_sha1_outside=is_sha1_outside)

    assert find_releases(
        (entry,), OTHER_CERTIFICATE + CERTIFICATE, accepts_sha1=False
    ) == (Finding(RELEASE, None),)


def test_an_entry_of_somebody_else_is_not_believed() -> None:
    entry = an_entry(is_sha1_outside=True)

    assert refusal(entry, OTHER_CERTIFICATE, accepts_sha1=True) == (
        "nobody in signature-certificate-list signed it"
    )
    assert refusal(entry, b"", accepts_sha1=True) is not None


@pytest.mark.parametrize("name", ["sha512", "software_url", "software_root", "os"])
def test_an_entry_that_was_changed_is_not_believed(name: str) -> None:
    entry = an_entry(is_sha1_outside=True)
    told = json.loads(entry.text)
    told[name] = ["debian", "13", ""] if name == "os" else "cd" * 64

    assert refusal(Signed(json.dumps(told), entry.signature), accepts_sha1=True)


def test_an_entry_of_a_stock_node_is_believed_when_the_operator_says_so() -> None:
    """It has a signature with SHA-1 and none else."""
    ours = an_entry(is_sha1_outside=True)
    text = json.loads(ours.text)
    del text["signature-sha256"]
    stock = _signed_as_stock(json.dumps(text))

    assert refusal(stock, accepts_sha1=True) is None
    assert refusal(stock) == (
        "it is signed with SHA-1 alone, which accept-sha1-signatures would accept"
    )


def _signed_as_stock(text: str) -> Signed:
    key = serialization.load_pem_private_key(KEY, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    made = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA1())
    return Signed(text, base64.b64encode(made).decode())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"software_root": "/elsewhere"}, "it was built in /elsewhere"),
        ({"software_release_url": "http://x"}, "it is about http://x"),
        (
            {"machine": evolve(DEBIAN, multiarch="aarch64-linux-gnu")},
            "it is for aarch64-linux-gnu, debian 12.4 bookworm",
        ),
        (
            {"machine": evolve(DEBIAN, system=("debian", "13", ""))},
            "it is for x86_64-linux-gnu, debian 13 ",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    change: dict[str, object], reason: str
) -> None:
    found = (Finding(evolve(RELEASE, **change), None),)  # type: ignore[arg-type]

    (judged,) = choose_release(found, URL, "/opt/slapgrid", DEBIAN)

    assert judged.refusal == reason


def test_what_fits_comes_first() -> None:
    bad = Finding(evolve(RELEASE, software_root="/x"), None)
    good = Finding(evolve(RELEASE, sha512="cd" * 64), None)

    assert choose_release((bad, good), URL, "/opt/slapgrid/", DEBIAN)[0] == good


def test_minor_releases_of_debian_run_each_other() -> None:
    raspbian = Machine("x86_64-linux-gnu", ("Raspbian", "12", ""))
    ubuntu = Machine("x86_64-linux-gnu", ("ubuntu", "24.04", "noble"))

    assert DEBIAN.runs(raspbian)
    assert not ubuntu.runs(evolve(ubuntu, system=("ubuntu", "24.10", "oracular")))


@pytest.mark.parametrize(
    "document",
    [b"", b"{}", b"[" * 100_000, b"null"],
)
def test_what_is_no_list_of_entries_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own sentences
        decode_entries(document)


def test_what_is_no_entry_is_left_out() -> None:
    document = b'[["a"], "b", ["a", "b", "c"], [1, 2], ["{}", ""]]'
    entries = decode_entries(document)

    assert entries == (Signed("{}", ""),)
    assert find_releases(entries, CERTIFICATE, accepts_sha1=True)[0].release is None


def test_a_key_without_a_listed_certificate_signs_nothing() -> None:
    check_key(KEY, CERTIFICATE)
    with pytest.raises(SigningRefused, match="is not in signature-certificate-list"):
        check_key(KEY, OTHER_CERTIFICATE)
    with pytest.raises(SigningRefused, match="no plain PEM key"):
        check_key(b"x", CERTIFICATE)


def test_the_system_is_read_from_its_own_file() -> None:
    text = 'ID=debian\n# x\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n\nX\n'

    assert read_system(text) == ("debian", "12", "bookworm")
