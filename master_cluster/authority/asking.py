"""Core. Requests for certificates (PKCS #10): nothing of one is believed but its key.

A request is signed by the key that it names, so who sends it has that key. What else
stands in it, a name or extensions, is what somebody wishes, and is not read.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

from runtime.certificates import BadCertificate, check_curve
from slap.admissions import REQUEST_BYTES_MAX
from slap.errors import BadRequest

_ODD = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


def read_request(text: str) -> ec.EllipticCurvePublicKey:
    """Return the key of a request whose sender has it; ``BadRequest`` for any other."""
    if len(text) > REQUEST_BYTES_MAX:
        raise BadRequest(
            f"the request for a certificate is longer than {REQUEST_BYTES_MAX} bytes"
        )
    if "PRIVATE KEY" in text:
        raise BadRequest("keep the private key: send the request for a certificate")
    if text.count("-----BEGIN") != 1:
        raise BadRequest("not one request for a certificate in PEM")
    try:
        found = x509.load_pem_x509_csr(text.encode())
        key = found.public_key()
        is_signed = found.is_signature_valid
    except _ODD as error:
        raise BadRequest("the request for a certificate cannot be read") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadRequest("the request for a certificate is for a key not on P-256")
    try:
        check_curve(key.curve)
    except BadCertificate as error:
        raise BadRequest(f"the request for a certificate: {error}") from error
    if not is_signed:
        raise BadRequest("the request for a certificate is not signed by its key")
    return key
