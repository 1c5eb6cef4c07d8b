"""Worlds and steps in words."""

from __future__ import annotations

from tests.model.world import Bits, Packet, RawTable, places


def named(numbers: Bits) -> str:
    return " ".join(f"T{number}" for number in places(numbers)) or "nothing"


def sites(storages: Bits) -> str:
    return " ".join(f"S{place}" for place in places(storages))


def draw(raw: RawTable | None) -> str:
    """Return a table as it is read: its id, and each row with U or O by node."""
    if raw is None:
        return "no table"
    rows = (
        "".join(
            ("U" if good >> place & 1 else "O") if held >> place & 1 else "-"
            for place in range(held.bit_length())
        )
        for held, good in raw[2]
    )
    return f"{raw[0]}.{raw[1]} {' '.join(rows)}"


def describe(packet: Packet, answer: str) -> str:
    verb, *rest = packet
    if verb == "promise":
        what = f"promises {rest[0]}"
    elif verb == "table":
        what = f"stores {draw(rest[0])} with verdict {named(rest[1])}"
    elif verb in {"join", "change"}:
        what = f"stores {draw(rest[0])}"
    elif verb == "commit":
        what = f"commits {named(rest[0])}"
    elif verb in {"lock", "unlock"}:
        what = f"{verb}s T{rest[0]}"
    else:
        what = {"start": "starts", "early": "locks the verdict"}.get(verb, verb)
    return f"refuses: {what}" if answer == "refused" else what
