"""Requests for certificates: what they prove, and the odd ones."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from labsim.world.world import World
from master_cluster.authority.asking import read_request
from runtime.certificates import digest_of_key, key_digest, load_key, render_request
from slap.admissions import REQUEST_BYTES_MAX
from slap.errors import BadRequest

KEY = World(seed=1).host("alone").runtime.keys.new_private_key()
REQUEST = render_request(KEY, "COMP-1")


def signed(key: object, digest: object = SHA256(), *names: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, it) for it in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, digest).public_bytes(Encoding.PEM).decode()  # type: ignore[arg-type]


def altered(position: int, bit: int = 1) -> str:
    """The request with one bit of it changed."""
    lines = REQUEST.splitlines()
    content = bytearray(base64.b64decode("".join(lines[1:-1])))
    content[position % len(content)] ^= bit
    return "\n".join(
        (lines[0], base64.b64encode(bytes(content)).decode(), lines[-1], "")
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not one request"),
        ("none", "not one request"),
        ("\0", "not one request"),
        (REQUEST * 2, "not one request"),
        (REQUEST.replace("REQUEST", "SOMETHING"), "cannot be read"),
        (REQUEST[: len(REQUEST) // 2], "cannot be read"),
        (KEY, "keep the private key"),
        (REQUEST + KEY, "keep the private key"),
        ("x" * (REQUEST_BYTES_MAX + 1), "longer than 4096 bytes"),
        (altered(-1), "is not signed by its key"),
        (signed(rsa.generate_private_key(65537, 2048)), "a key not on P-256"),
        (signed(ed25519.Ed25519PrivateKey.generate(), None), "a key not on P-256"),
        (signed(ec.generate_private_key(ec.SECP384R1())), "P-256, but on secp384r1"),
        (signed(ec.generate_private_key(ec.SECP256K1())), "P-256, but on secp256k1"),
    ],
)
def test_an_odd_request_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(BadRequest, match=sentence):
        read_request(text)


@pytest.mark.parametrize(
    "names", [(), ("COMP-9", "COMP-8"), ("*",), ("\N{SNOWMAN}",), ("a\0b",)]
)
def test_nothing_is_believed_of_a_request_but_its_key(names: tuple[str, ...]) -> None:
    text = signed(load_key(KEY), SHA256(), *names)

    assert digest_of_key(read_request(text)) == key_digest(KEY)


@settings(max_examples=60)
@given(st.integers(0, 400), st.sampled_from([1, 2, 4, 8, 16, 32, 64, 128]))
@example(0, 1)
def test_a_damaged_request_never_proves_another_key(position: int, bit: int) -> None:
    with pytest.raises(BadRequest):
        read_request(altered(position, bit))
