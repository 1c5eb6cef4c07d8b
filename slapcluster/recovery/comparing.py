"""Core. What a recovery begins with: the state that is left, beside the wanted cloud.

It is told before anything is done, kept in the logbook, and told again in the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from attrs import frozen

from slapcluster.instants import show_instant

ABSENT_TOLD_MAX = 20
"""Computers in sentences; JSON has all of them."""


class SourceKind(StrEnum):
    """What a state is taken from."""

    BACKUP = "backup"
    DATABASE = "database of a storage node"


@frozen
class ComputerFound:
    """A computer of the state; ``services`` has the titles of what is in it."""

    computer_id: str
    title: str
    services: tuple[str, ...] = ()


@frozen
class Recovered:
    """The state that is taken; instants are in seconds since 1970.

    ``history`` follows ``follows_history``, which it has up to ``last_transaction``,
    of ``last_at``. ``masters`` are the services that were its master, and end; the
    others go on. ``joining`` are computers of the file that the state knows, ``new``
    those that it does not, ``absent`` those of the state that are not in the file.
    ``replicas`` are where the lost cloud was served, by region. ``warnings`` say what
    may be missing.
    """

    source: str
    kind: SourceKind
    digest: str
    last_transaction: str
    last_at: float
    history: int
    follows_history: int
    masters: tuple[str, ...]
    services: tuple[str, ...]
    joining: tuple[str, ...]
    new: tuple[str, ...]
    absent: tuple[ComputerFound, ...]
    replicas: Mapping[str, str]
    warnings: tuple[str, ...]


def warn_of_backup(last_at: float) -> tuple[str, ...]:
    """Return what may be missing of a state that is in a backup."""
    last = show_instant(last_at)
    return (f"what was acknowledged after {last} is not in it, and is lost",)


def warn_of_database(
    last_at: float, *, is_whole: bool, later_count: int, voted_count: int
) -> tuple[str, ...]:
    """Return what may be missing of a state that one storage node has left."""
    last = show_instant(last_at)
    whole = (
        f"the storage node has everything up to {last}; what the others acknowledged"
        " after they had lost it, if anything, is lost"
    )
    behind = (
        f"the storage node was behind when it ended, and has everything up to {last};"
        " what was acknowledged later is lost"
    )
    in_part = (
        f"of {later_count} later transactions it has a part, which is left out: the"
        " database of another region may have all of them"
    )
    voted = (
        f"{voted_count} transactions were being committed when it ended, and are left"
        " out"
    )
    return (
        whole if is_whole else behind,
        *((in_part,) if later_count else ()),
        *((voted,) if voted_count else ()),
    )


def split_computers(
    found: Sequence[ComputerFound], wanted: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[ComputerFound, ...]]:
    """Return the titles that come back, those that are new, and who is absent."""
    known = {it.title for it in found}
    return (
        tuple(it for it in wanted if it in known),
        tuple(it for it in wanted if it not in known),
        tuple(it for it in found if it.title not in wanted),
    )


def tell(recovered: Recovered) -> str:
    """Return it in sentences, one to a line."""
    reached = f"{recovered.last_transaction}, of {show_instant(recovered.last_at)}"
    lines = [
        f"From the {recovered.kind} {recovered.source}, up to transaction {reached}.",
        f"History {recovered.history} follows history {recovered.follows_history}.",
    ]
    lines += [f"Note: {it}." for it in recovered.warnings]
    ending = ", ".join(recovered.masters) or "none is recorded"
    lines.append(f"The master that was ends: {ending}.")
    lines.append(f"{len(recovered.services)} services go on.")
    lines.append(f"To join again: {', '.join(recovered.joining) or 'none'}.")
    if recovered.new:
        lines.append(f"New: {', '.join(recovered.new)}.")
    lines += [_absence(it) for it in recovered.absent[:ABSENT_TOLD_MAX]]
    left_out = len(recovered.absent) - ABSENT_TOLD_MAX
    if left_out > 0:
        lines.append(f"{left_out} more computers are not in the file.")
    return "\n".join(lines)


def _absence(computer: ComputerFound) -> str:
    has = ", ".join(computer.services) or "nothing"
    return (
        f"Not in the file: {computer.title} ({computer.computer_id}), which has {has};"
        " it gets nothing new until it joins again."
    )
