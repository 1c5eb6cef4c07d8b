"""Core. What keeps pages of others from acting through a person's browser.

A form is taken when all of this holds:

1. ``Sec-Fetch-Site`` and ``Origin``, where the browser sends them, say that a page of
   this very address sent it.
2. It carries the token that belongs to the cookie, which the browser sends only with
   what pages of this address cause (``SameSite=Strict``), and which no script reads.

The token is a keyed hash of the cookie, under a key that this process drew; so there is
nothing to remember, and forms made before a restart are shown again, not taken.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

from attrs import field, frozen

from slap.errors import Forbidden

COOKIE_NAME = "slapcluster_panel"

SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
            " base-uri 'none'; frame-ancestors 'none'"
        ),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        # Without any referrer browsers call the origin of a form "null".
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)

_COOKIE = re.compile(rf"(?:^|;\s*){COOKIE_NAME}=([A-Za-z0-9_-]{{32,64}})(?:;|$)")


def find_cookie(header: str) -> str | None:
    """Return our cookie of a ``Cookie`` header."""
    found = _COOKIE.search(header)
    return found.group(1) if found else None


def render_cookie(cookie: str, path: str, *, is_secure: bool) -> str:
    """Return a ``Set-Cookie`` header; the cookie ends with the browser."""
    flags = "; Secure" if is_secure else ""
    return f"{COOKIE_NAME}={cookie}; Path={path}; HttpOnly; SameSite=Strict{flags}"


@frozen
class Guard:
    """Gives tokens to forms, and tells ours from those of others."""

    _key: str = field(repr=False)

    def token(self, cookie: str) -> str:
        return hmac.new(self._key.encode(), cookie.encode(), hashlib.sha256).hexdigest()

    def is_token(self, token: str, cookie: str | None) -> bool:
        if cookie is None:
            return False
        return hmac.compare_digest(
            token.encode(errors="replace"), self.token(cookie).encode()
        )


def check_origin(headers: Mapping[str, str]) -> None:
    """Raise ``Forbidden`` for what a page of another address sent."""
    site = headers.get("sec-fetch-site", "same-origin")
    origin = headers.get("origin")
    is_ours = site in ("same-origin", "none") and (
        origin is None or _host_of(origin) == headers.get("host", "").lower()
    )
    if not is_ours:
        raise Forbidden("a page of another address sent this form")


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None
