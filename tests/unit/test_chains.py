"""Chains of certificates as their readers check them, those with surprises too."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from labsim.world.world import World
from master_cluster.authority import building
from master_cluster.authority.building import Authority, Draft
from master_cluster.authority.issuing import build_root
from runtime.certificates import (
    BadCertificate,
    check_authority,
    check_chain,
    check_key,
    describe,
    is_root,
    load_key,
    root_digest,
)
from slap.errors import Forbidden
from slap.identities import identity_of
from tests.authorities import COMPUTER, a_leaf, a_region

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
DAY = 24 * 3600.0
KEYS = World(seed=1).host("alone").runtime.keys
ROOT = build_root(KEYS.new_private_key(), NOW)
REGION = a_region(KEYS, NOW, root=ROOT)
KEY = KEYS.new_private_key()
LEAF = a_leaf(REGION, KEY, NOW).certificate
URI = "urn:slapcluster:computer:COMP-1"


def forged(*names: x509.GeneralName, **changes: Any) -> str:
    """A chain that the region signed without looking."""
    authority = changes.pop("authority", REGION.authority)
    start = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
    subject = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, changes.pop("subject", "COMP-1"))]
    )
    draft = Draft(
        load_key(changes.pop("key", KEY)).public_key(),
        subject,
        serial=7,
        start=start,
        end=start + timedelta(days=90),
        names=names,
    )
    text = building.sign(evolve(draft, **changes), authority)
    return text + authority.certificate


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def judged(chain: str, roots: str = REGION.roots, now: float = NOW) -> str:
    """Whom a chain speaks for, or why for nobody."""
    try:
        return str(identity_of(check_chain(chain, roots, now).uris))
    except (BadCertificate, Forbidden) as error:
        return str(error)


NOBODY = "the certificate names nobody of this cloud"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((uri(URI),), "computer COMP-1"),
        ((uri(URI), x509.DNSName("*.example")), "computer COMP-1"),
        ((uri(URI), uri("urn:slapcluster:computer:COMP-2")), NOBODY),
        ((uri(URI), uri(URI)), NOBODY),
        ((uri(f"{URI}\0.evil"),), NOBODY),
        ((uri(f"{URI}\n"),), NOBODY),
        ((uri(URI.upper()),), NOBODY),
        ((uri("urn:slapcluster:computer:*"),), NOBODY),
        ((uri("urn:slapcluster:region:lyon"),), NOBODY),
        ((x509.DNSName("COMP-1"),), NOBODY),
        ((x509.RFC822Name("a@b"),), NOBODY),
    ],
)
def test_names_with_surprises_speak_for_nobody(
    names: tuple[x509.GeneralName, ...], expected: str
) -> None:
    assert judged(forged(*names)) == expected


@pytest.mark.parametrize(
    "subject", ["COMP-2", "a\0b", "*", "\N{SNOWMAN}", "root\x1b[2J", "/CN=COMP-9"]
)
def test_a_common_name_decides_nothing_and_is_shown_in_plain_letters(
    subject: str,
) -> None:
    chain = forged(uri(URI), subject=subject)

    assert judged(chain) == "computer COMP-1"
    assert describe(chain)[0].name.isprintable()


def with_unknown_extension() -> str:
    issuer = x509.load_pem_x509_certificate(REGION.authority.certificate.encode())
    model = x509.load_pem_x509_certificate(LEAF.encode())
    builder = (
        x509.CertificateBuilder()
        .subject_name(model.subject)
        .issuer_name(issuer.subject)
        .public_key(model.public_key())
        .serial_number(8)
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
    )
    for each in model.extensions:
        builder = builder.add_extension(each.value, critical=each.critical)
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\0")
    signed = builder.add_extension(unknown, critical=True).sign(
        load_key(REGION.authority.key), SHA256()
    )
    text = signed.public_bytes(Encoding.PEM).decode()
    return text + REGION.authority.certificate


OTHER = a_region(KEYS, NOW)
SELF = Authority(LEAF, KEY)


@pytest.mark.parametrize(
    ("chain", "sentence"),
    [
        (LEAF, "computer COMP-1"),
        (LEAF + ROOT.certificate, "computer COMP-1"),
        (with_unknown_extension(), "critical extension"),
        (a_leaf(OTHER, KEY, NOW).certificate, "does not lead to the root"),
        (LEAF.partition("-----END")[0], "has no certificate in PEM"),
        (LEAF[: LEAF.rindex("-----BEGIN")], "does not lead to the root"),
        (REGION.authority.certificate, "does not lead to the root"),
        (ROOT.certificate, "does not lead to the root"),
        (forged(uri(URI), authority=SELF), "does not lead to the root"),
        (
            forged(uri(URI), authority=SELF) + REGION.authority.certificate,
            "does not lead to the root",
        ),
        (forged(), "does not lead to the root"),
        (forged(uri(URI), path_length=0), "does not lead to the root"),
        (LEAF + KEY, "has a private key"),
        ("", "has no certificate in PEM"),
        ("\N{SNOWMAN}", "has no certificate in PEM"),
        (LEAF * 50, "longer than"),
    ],
)
def test_a_chain_that_is_odd_leads_nowhere(chain: str, sentence: str) -> None:
    assert sentence in judged(chain)


def test_a_region_below_a_region_leads_nowhere() -> None:
    key = KEYS.new_private_key()
    deeper = forged(subject="deeper", path_length=0, key=key)
    chain = forged(uri(URI), authority=Authority(deeper, key))

    assert "does not lead to the root" in judged(chain)


@pytest.mark.parametrize(
    ("days", "sentence"),
    [
        (-2, "is not valid before 2026-11-21 12:00 UTC: look at the clocks"),
        (-0.99, "computer COMP-1"),
        (88.9, "computer COMP-1"),
        (89, "ended on 2027-02-19 12:00 UTC"),
    ],
)
def test_a_chain_is_good_between_its_dates(days: float, sentence: str) -> None:
    assert sentence in judged(LEAF, now=NOW + days * DAY)


def test_a_chain_is_over_when_its_region_is() -> None:
    end = describe(REGION.authority.certificate)[0].expires_at
    late = forged(uri(URI), end=datetime.fromtimestamp(end + 9 * DAY, UTC))

    assert judged(late, now=end - 1) == "computer COMP-1"
    assert "does not lead to the root" in judged(late, now=end + 1)


def test_an_authority_is_one_that_the_root_signed() -> None:
    text = REGION.authority.certificate

    assert check_authority(text, ROOT.certificate, NOW).name == "region lyon"
    for chain, roots in (
        (text, OTHER.roots),
        (LEAF, ROOT.certificate),
        (OTHER.authority.certificate, ROOT.certificate),
    ):
        with pytest.raises(BadCertificate):
            check_authority(chain, roots, NOW)


def test_a_key_that_does_not_fit_is_refused() -> None:
    check_key(KEY, LEAF)

    with pytest.raises(BadCertificate, match="COMP-1 is of another key"):
        check_key(KEYS.new_private_key(), LEAF)


@pytest.mark.parametrize("key", ["", "no key", LEAF])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadCertificate, match="is none in PEM"):
        load_key(key)


def test_a_root_is_known_by_its_digest() -> None:
    words = f"for people\n{ROOT.certificate}"

    assert root_digest(words) == root_digest(ROOT.certificate)
    assert root_digest(ROOT.certificate) != root_digest(OTHER.roots)
    assert [is_root(it) for it in (words, LEAF, REGION.authority.certificate)] == [
        True,
        False,
        False,
    ]


def test_a_number_that_is_not_positive_is_refused() -> None:
    """One letter makes it negative; the library would warn, and go on."""
    start = LEAF.index("MII")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = {
            judged(LEAF[:position] + "w" + LEAF[position + 1 :])
            for position in range(start + 15, start + 30)
        }

    assert "the certificate has a number that is not positive" in said


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_chain_never_speaks_for_somebody_else(data: st.DataObject) -> None:
    start = LEAF.index("MII")
    position = data.draw(st.integers(start, LEAF.index("-----END")))
    letter = data.draw(st.sampled_from("ABCwxyz0189+/= \n"))

    said = judged(LEAF[:position] + letter + LEAF[position + 1 :])

    assert said == f"{COMPUTER}" or "certificate" in said
