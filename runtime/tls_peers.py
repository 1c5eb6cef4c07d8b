"""Who is at the other end of a connection of TLS, as its certificate says."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen


@frozen
class Peer:
    """The owner of a certificate whose chain leads to one of our roots.

    ``uris`` are its alternative names of that kind. The dates are those of the whole
    chain, in seconds since 1970; ``fingerprint`` is the SHA-256 of the certificate.
    """

    uris: tuple[str, ...]
    valid_from: float
    valid_until: float
    fingerprint: str

    def refusal(self, now: float) -> str | None:
        """Say why the certificate is not good at ``now``, if it is not."""
        if now > self.valid_until:
            return f"the certificate is over since {_date(self.valid_until)}: renew it"
        if now < self.valid_from:
            return (
                f"the certificate is not good before {_date(self.valid_from)}, and it"
                f" is {_date(now)} here: compare the clocks"
            )
        return None


def peer_named(tls: ssl.SSLObject) -> Peer | None:
    """Return who is at the other end; ``ValueError`` for what cannot be read."""
    certificate: Mapping[str, Any] | None = tls.getpeercert()
    if not certificate:
        return None
    names: Iterable[tuple[str, str]] = certificate.get("subjectAltName", ())
    # Public from Python 3.13 on, as a list of bytes, which have no dates.
    links: Iterable[Any] = tls._sslobj.get_verified_chain() or ()  # type: ignore[attr-defined] # noqa: SLF001
    chain = [it.get_info() for it in links] or [certificate]
    encoded = tls.getpeercert(binary_form=True)
    assert encoded is not None
    return Peer(
        tuple(name for kind, name in names if kind == "URI"),
        max(ssl.cert_time_to_seconds(it["notBefore"]) for it in chain),
        min(ssl.cert_time_to_seconds(it["notAfter"]) for it in chain),
        hashlib.sha256(encoded).hexdigest(),
    )


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
