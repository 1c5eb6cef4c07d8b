"""Core. Entries: a local port for each program that a site reaches.

Programs have these ports in their configuration, so a port stays with its program
while others come and go, and is not given to another one at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

from stunnel_conf.links import BadLinks, Span

ABSENT_COUNT_MAX = 1_000
"""Programs that are not reached any more and whose ports are remembered."""


def entry_name(peer: str, program: str) -> str:
    """Return what an entry is remembered by; no name has a slash."""
    return f"{peer}/{program}"


def assign(
    names: Iterable[str],
    span: Span,
    remembered: Mapping[str, int],
    taken: Collection[int] = (),
) -> dict[str, int]:
    """Return a port for each name, and those remembered of names that are gone.

    A new name begins to look at a place that follows from it, so that the same ports
    are found again, but for clashes, where nothing is remembered. It never gets one of
    ``taken``; one that a name has had already stays. Ports of names that are gone are
    given away when there are no others.
    """
    wanted = sorted(set(names))
    ports = range(span.first, span.last + 1)
    kept: dict[str, int] = {}
    for name, port in sorted(remembered.items(), key=lambda it: it[0] not in wanted):
        if port in ports and port not in kept.values():
            kept[name] = port
    gone = [name for name in kept if name not in wanted]
    for name in gone[ABSENT_COUNT_MAX:]:
        del kept[name]
    for name in wanted:
        if name not in kept:
            kept[name] = _first_free(name, ports, {*kept.values(), *taken})
            if kept[name] not in ports:
                _give_away(kept, name, [it for it in gone if it in kept], taken)
    return kept


def _first_free(name: str, ports: range, used: Collection[int]) -> int:
    digest = hashlib.sha256(name.encode()).digest()
    begin = int.from_bytes(digest[:8]) % len(ports)
    order = (*ports[begin:], *ports[:begin])
    return next((port for port in order if port not in used), 0)


def _give_away(
    kept: dict[str, int], name: str, gone: list[str], taken: Collection[int]
) -> None:
    for other in gone:
        if kept[other] not in taken:
            kept[name] = kept.pop(other)
            return
    raise BadLinks(f"entries: no port is left for {name}; give them a wider span")
