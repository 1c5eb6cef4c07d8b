"""Why TLS fails, in words that say what to do; OpenSSL's own name every detail."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

_OWN_REASONS: Mapping[bool, Mapping[str, str]] = {
    # Whether we are the server: {part of OpenSSL's reason: ours}
    False: {
        "WRONG_VERSION_NUMBER": "no TLS is spoken there: is it the right port, and is"
        " the address https:// for good?",
        "NO_PROTOCOLS_AVAILABLE": "the server speaks neither TLS 1.2 nor 1.3",
    },
    True: {
        "UNSUPPORTED_PROTOCOL": "the client speaks neither TLS 1.2 nor 1.3",
        "NO_SHARED_CIPHER": "the client speaks no cipher that is taken here",
        "HTTP_REQUEST": "spoke plain HTTP to a port of TLS",
    },
}
_ALERTS: Mapping[str, str] = {
    "CERTIFICATE_EXPIRED": "says that our certificate is over: renew it",
    "UNKNOWN_CA": "does not know the authority of our certificate: it has other roots",
    "DECRYPT_ERROR": "does not know the authority of our certificate: its root has the"
    " same name and another key",
    "CERTIFICATE_REVOKED": "says that our certificate is revoked: get another one",
    "UNSUPPORTED_CERTIFICATE": "says that our certificate is not for this use",
    "BAD_CERTIFICATE": "says that our certificate is broken",
    "CERTIFICATE_UNKNOWN": "does not take our certificate",
    "CERTIFICATE_REQUIRED": "wants a certificate, and we showed none",
    "PROTOCOL_VERSION": "speaks neither TLS 1.2 nor 1.3",
    "HANDSHAKE_FAILURE": "finds nothing in common with us",
}
_PURPOSE = 26
"""X509_V_ERR_INVALID_PURPOSE of OpenSSL."""
_FOREIGN = frozenset({2, 7, 18, 19, 20, 21})
"""No issuer is known, or a root that is not one of ours, be it of the same name."""


def reason_of(error: ssl.SSLError, *, is_server: bool) -> str:
    """Return why a connection fails, at this end of it."""
    us, them = ("server", "client") if is_server else ("client", "server")
    if isinstance(error, ssl.SSLCertVerificationError):
        return _refused_chain(error, them, us)
    reason = str(getattr(error, "reason", None) or "")
    if isinstance(error, ssl.SSLEOFError):
        return f"the {them} hung up in the middle of TLS"
    if "ALERT" in reason:
        for part, sentence in _ALERTS.items():
            if reason.endswith(part):
                return f"the {them} {sentence}"
    for part, sentence in _OWN_REASONS[is_server].items():
        if part in reason:
            return sentence
    words = reason.replace("_", " ").lower() or str(error)
    return f"TLS failed: {words}"


def _refused_chain(error: ssl.SSLCertVerificationError, them: str, us: str) -> str:
    if error.verify_code in _FOREIGN:
        return (
            f"the {them}'s certificate is of another authority than the root that the"
            f" {us} has"
        )
    if error.verify_code == _PURPOSE:
        return f"the {them}'s certificate is not one for a {them}"
    return f"the {them}'s certificate is refused: {error.verify_message}"
