"""Core. Entries of a networkcache about built releases: what they say, and who says it.

A directory server (shadir) keeps, by the md5 of a release's URL, a list of entries; an
entry is a pair of a JSON text and a signature of it. A content server (shacache) keeps
the archives by their sha512. Both are not trusted: an entry counts when its text is
signed with the key of a certificate that the operator listed, and an archive when it
has the sha512 of such an entry.

Stock nodes sign with SHA-1, which no longer says who signed. Our entries carry within
their text a signature with SHA-256 of the rest of the text; the outer one is made with
SHA-256 too, or with SHA-1 where stock nodes shall accept our entries. Entries that have
only a SHA-1 signature are refused unless the operator accepts them.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

#: A release has an entry for each kind of computer.
ENTRIES_MAX = 1000
#: Of the whole list.
DOCUMENT_BYTES_MAX = 4 * 1024 * 1024
SHA512_BYTES = 64
#: In the text of an entry, beside what stock nodes read.
INNER_SIGNATURE = "signature-sha256"

Hash = hashes.SHA1 | hashes.SHA256


class SigningRefused(Exception):
    """Entries cannot be signed as the settings are; the sentence says why."""


@frozen
class Machine:
    """What a built release runs on: a triplet as of compilers, and the system.

    ``system`` is the id, the version and the code name of a distribution.
    """

    multiarch: str
    system: tuple[str, str, str]

    def runs(self, other: Machine) -> bool:
        """Whether what was built on the other runs here."""
        return (self.multiarch, _comparable(self.system)) == (
            other.multiarch,
            _comparable(other.system),
        )


@frozen
class BinaryRelease:
    """What an entry says: an archive of a release, and where it can be used."""

    sha512: str
    software_release_url: str
    software_root: str
    machine: Machine


@frozen
class Signed:
    """An entry as it is kept: a text, and what is said to be a signature of it."""

    text: str
    signature: str


@frozen
class Finding:
    """An entry that was looked at; ``refusal`` says why it cannot be used."""

    release: BinaryRelease | None
    refusal: str | None


def _comparable(system: tuple[str, str, str]) -> tuple[str, str, str]:
    """Minor releases of Debian run each other's binaries; their code names vary."""
    name, version, code_name = system
    name = name.lower()
    if name in {"debian", "raspbian"}:
        return "debian", version.partition(".")[0], ""
    return name, version, code_name


def read_system(os_release: str) -> tuple[str, str, str]:
    """The distribution, from the text of ``/etc/os-release``."""
    values = {}
    for line in os_release.splitlines():
        key, found, value = line.partition("=")
        if found:
            values[key.strip()] = value.strip().strip("\"'")
    return (
        values.get("ID", ""),
        values.get("VERSION_ID", ""),
        values.get("VERSION_CODENAME", ""),
    )


def decode_entries(document: bytes) -> tuple[Signed, ...]:
    """The entries of a list; what is none is left out, ``ValueError`` for no list."""
    try:
        found = json.loads(document)
    except RecursionError as error:
        raise ValueError("too deep") from error
    if not isinstance(found, list):
        raise ValueError("not a list of entries")  # noqa: TRY004 - of bytes, not types
    return tuple(
        Signed(*each)
        for each in found[:ENTRIES_MAX]
        if isinstance(each, list) and [type(part) for part in each] == [str, str]
    )


def decode_text(text: str) -> BinaryRelease:
    """What the text of an entry says; ``ValueError`` when it is about anything else."""
    try:
        told = json.loads(text)
        name, version, code_name = told["os"]
        sha512 = told["sha512"]
        if not (isinstance(sha512, str) and len(bytes.fromhex(sha512)) == SHA512_BYTES):
            raise ValueError("no sha512")
        return BinaryRelease(
            sha512.lower(),
            str(told["software_url"]),
            str(told["software_root"]),
            Machine(str(told["multiarch"]), (str(name), str(version), str(code_name))),
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not about a built release: {error!r}") from error


def encode_entry(
    release: BinaryRelease, private_key: bytes, *, is_sha1_outside: bool
) -> bytes:
    """The entry about a release, as it is sent."""
    key = _private_key(private_key)
    told: dict[str, object] = {
        "sha512": release.sha512,
        "software_url": release.software_release_url,
        "software_root": release.software_root,
        "multiarch": release.machine.multiarch,
        "os": list(release.machine.system),
    }
    told[INNER_SIGNATURE] = _sign(key, _canonical(told), hashes.SHA256())
    text = json.dumps(told)
    outer: Hash = hashes.SHA1() if is_sha1_outside else hashes.SHA256()  # noqa: S303
    return json.dumps([text, _sign(key, text.encode(), outer)]).encode()


def check_key(private_key: bytes, certificates: bytes) -> None:
    """Refuse to sign with a key whose certificate nobody who reads this list has."""
    public = _private_key(private_key).public_key().public_numbers()
    listed = _public_keys(certificates)
    if all(each.public_numbers() != public for each in listed):
        raise SigningRefused(
            "the certificate of signature-private-key-file is not in "
            "signature-certificate-list: entries signed with it would be refused"
        )


def find_releases(
    entries: tuple[Signed, ...],
    certificates: bytes,
    *,
    accepts_sha1: bool,
) -> tuple[Finding, ...]:
    """What each entry says, if somebody known says it."""
    keys = _public_keys(certificates)
    found = []
    for entry in entries:
        try:
            release = decode_text(entry.text)
        except ValueError as error:
            found.append(Finding(None, str(error)))
            continue
        refusal = None
        if not _is_signed(entry, keys, hashes.SHA256()):
            is_stock = _is_signed(entry, keys, hashes.SHA1())  # noqa: S303
            if not is_stock:
                refusal = "nobody in signature-certificate-list signed it"
            elif not accepts_sha1:
                refusal = (
                    "it is signed with SHA-1 alone, which accept-sha1-signatures "
                    "would accept"
                )
        found.append(Finding(release, refusal))
    return tuple(found)


def choose_release(
    findings: tuple[Finding, ...], url: str, software_root: str, machine: Machine
) -> tuple[Finding, ...]:
    """The findings with what does not fit here refused as well, those that fit first.

    Paths are written into releases: one fits only at the root it was built at.
    """
    judged = []
    for finding in findings:
        release, refusal = finding.release, finding.refusal
        if release is not None and refusal is None:
            if release.software_release_url != url:
                refusal = f"it is about {release.software_release_url}"
            elif release.software_root.rstrip("/") != software_root.rstrip("/"):
                refusal = f"it was built in {release.software_root}"
            elif not machine.runs(release.machine):
                built = release.machine
                refusal = f"it is for {built.multiarch}, {' '.join(built.system)}"
        judged.append(Finding(release, refusal))
    return tuple(sorted(judged, key=lambda each: each.refusal is not None))


def _private_key(pem: bytes) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningRefused(
            f"signature-private-key-file is no plain PEM key: {error}"
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SigningRefused("signature-private-key-file must be an RSA key")
    return key


def _public_keys(certificates: bytes) -> tuple[rsa.RSAPublicKey, ...]:
    """Of a concatenation of PEM certificates; what is none is left out."""
    ending = b"-----END CERTIFICATE-----"
    keys = []
    for part in certificates.split(ending)[:-1]:
        lines = [line.strip() for line in part.splitlines() if line.strip()]
        try:
            pem = b"\n".join([*lines, ending]) + b"\n"
            key = x509.load_pem_x509_certificate(pem).public_key()
        except (ValueError, UnsupportedAlgorithm):
            continue
        if isinstance(key, rsa.RSAPublicKey):
            keys.append(key)
    return tuple(keys)


def _canonical(told: Mapping[str, object]) -> bytes:
    rest = {key: value for key, value in told.items() if key != INNER_SIGNATURE}
    return json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()


def _sign(key: rsa.RSAPrivateKey, content: bytes, algorithm: Hash) -> str:
    return base64.b64encode(key.sign(content, padding.PKCS1v15(), algorithm)).decode()


def _is_signed(entry: Signed, keys: tuple[rsa.RSAPublicKey, ...], by: Hash) -> bool:
    pairs = [(entry.text.encode(), entry.signature)]
    if isinstance(by, hashes.SHA256):
        told = json.loads(entry.text)
        inner = told.get(INNER_SIGNATURE)
        if isinstance(inner, str):
            pairs.append((_canonical(told), inner))
    return any(
        _verifies(key, content, signature, by)
        for key in keys
        for content, signature in pairs
    )


def _verifies(
    key: rsa.RSAPublicKey, content: bytes, signature: str, algorithm: Hash
) -> bool:
    try:
        decoded = base64.b64decode(signature, validate=True)
        key.verify(decoded, content, padding.PKCS1v15(), algorithm)
    except (InvalidSignature, binascii.Error, ValueError, UnsupportedAlgorithm):
        return False
    return True
