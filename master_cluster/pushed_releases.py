"""Core. Which pushed releases a replica keeps.

There is room for some, the newest ones. One that a release of the state has its address
from is never among those that go: a computer may be building it, or build it again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from slap.errors import Refusal
from slap.pushing import HeldRelease

RELEASES_KEPT_MAX = 4
"""That of now, the one before, and the next ones; each has some fifty megabytes."""

FREE_BYTES_MIN = 256 * 1024 * 1024
"""What stays free: the state is on the same disk, and a full one stops its region."""

_NAMED = re.compile(r"/release/([0-9a-f]{64})(?:/|$)")


def named_in(software_release_urls: Iterable[str]) -> frozenset[str]:
    """Return the fingerprints that addresses of releases have in them."""
    found = (_NAMED.search(it) for it in software_release_urls)
    return frozenset(it[1] for it in found if it)


def is_room_needed(held: Collection[HeldRelease], fingerprint: str) -> bool:
    """Whether another release has to go before this one comes."""
    is_here = any(it.fingerprint == fingerprint for it in held)
    return not is_here and len(held) >= RELEASES_KEPT_MAX


def choose_leaving(
    held: Collection[HeldRelease], fingerprint: str, named: Collection[str]
) -> tuple[str, ...]:
    """Return which go, so that another one comes; ``Refusal`` if none of them may.

    First those that are not whole, which nobody builds from, then the oldest.
    """
    if not is_room_needed(held, fingerprint):
        return ()
    order = sorted(
        (it for it in held if it.fingerprint not in named),
        key=lambda it: (it.is_whole, it.changed_at, it.fingerprint),
    )
    count = len(held) - RELEASES_KEPT_MAX + 1
    if len(order) < count:
        raise Refusal(
            f"{len(held)} pushed releases are kept here, and each is supplied to a"
            " computer or has an instance: remove one by `slapcluster remove`"
        )
    return tuple(it.fingerprint for it in order[:count])


def check_forgotten(fingerprint: str, named: Collection[str]) -> None:
    """``Refusal`` when a release may not go."""
    if fingerprint in named:
        raise Refusal(
            f"release {fingerprint} is supplied to a computer, or an instance has it:"
            " it stays until neither is so"
        )


def check_disk(byte_count: int, present_byte_count: int, free_bytes: int) -> None:
    """``Refusal`` when what is still to come leaves the disk too full."""
    coming = max(0, byte_count - present_byte_count)
    if free_bytes - coming < FREE_BYTES_MIN:
        raise Refusal(
            f"the disk has {free_bytes} bytes free, {coming} are to come, and"
            f" {FREE_BYTES_MIN} have to stay free: make room, or forget a release by"
            " `slapcluster release forget`"
        )
