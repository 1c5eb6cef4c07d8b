"""Core. Freshness: what an answer knows, so that time goes back for no caller.

An answer names a transaction, and knows all up to that one. A caller names in each call
the last one that it has seen. A replica that does not know that one does not answer;
another one is asked then. And a call changes nothing that was changed later than what
its caller has seen: its caller is told, sees, and asks again.

Both are one header with a transaction id, ``03f6c1d2a4b5c6d7``; ids grow. A header that
is odd says nothing: masters and callers of others send none.

A call that changes nothing leaves no trace for an earlier one to be late by. A caller
that gave up a call, and asks otherwise now, has its call claim what it is about: that
is written as it is, so the earlier one is refused, however late it comes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from slap.errors import Unavailable

FRESHNESS_HEADER = "X-Slapcluster-Freshness"

STALE_HEADER = "X-Slapcluster-Stale"
"""Of an answer that need not be as of now: for how many seconds it may not be."""

CLAIM_HEADER = "X-Slapcluster-Claim"
"""Of a call that gets its own transaction at what it is about, changed or not."""

CLAIMED = "yes"

BEHIND_RETRY_AFTER_SECONDS = 5
"""By then a replica that is cut off has noticed, and others have been asked."""

CLOCKS_SECONDS = 60.0
"""By so much may the clocks of those differ who make transaction ids by them."""

UNSEEN = bytes(8)
"""Of who has seen nothing, or does not say; earlier than any transaction."""

EARLIEST = bytes(7) + b"\x01"
"""Of who has seen nothing, and wants to be told when there is something to see."""

_SECONDS = re.compile(r"[0-9]{1,9}")
_TID = re.compile(r"[0-9a-f]{16}")


def behind(known: bytes, seen: bytes) -> Unavailable:
    """What a replica says to who has seen more than it knows."""
    return Unavailable(
        f"this master is behind: it knows {known.hex()}, and {seen.hex()} was seen",
        BEHIND_RETRY_AFTER_SECONDS,
    )


def freshness_headers(seen: bytes) -> dict[str, str]:
    """Return what a call says of its caller: nothing, of who has seen nothing."""
    return {FRESHNESS_HEADER: seen.hex()} if seen > UNSEEN else {}


def freshness_of(headers: Mapping[str, str]) -> bytes:
    """Read what an answer says of itself."""
    return decode_freshness(_find(headers, FRESHNESS_HEADER))


def stale_seconds_of(headers: Mapping[str, str]) -> int | None:
    """Read for how long an answer may not be as of now; ``None`` when it is."""
    text = (_find(headers, STALE_HEADER) or "").strip(" \t")
    return int(text) if _SECONDS.fullmatch(text) else None


def _find(headers: Mapping[str, str], name: str) -> str | None:
    told = (it for key, it in headers.items() if key.lower() == name.lower())
    return next(told, None)


def decode_freshness(header: str | None) -> bytes:
    """Read a header; ``UNSEEN`` when it is not there or odd."""
    text = (header or "").strip(" \t")
    return bytes.fromhex(text) if _TID.fullmatch(text) else UNSEEN
