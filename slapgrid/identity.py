"""Core. As whom the code of an instance runs: never as uid 0."""

from __future__ import annotations

from attrs import frozen

ROOT = 0


class IdentityRefused(Exception):
    """Nobody may run this instance; the sentence says what to change."""


@frozen
class Identity:
    """Whom to become; both ``None`` for whom the agent is already."""

    uid: int | None = None
    gid: int | None = None


def choose_identity(
    partition_id: str, agent_uid: int, owner_uid: int, owner_gid: int
) -> Identity:
    """Whom to run a partition's code as: its owner."""
    if owner_uid == ROOT:
        raise IdentityRefused(
            f"{partition_id} belongs to root, and instances never run as root: "
            "give the directory to an ordinary user"
        )
    if agent_uid == owner_uid:
        return Identity()
    if agent_uid != ROOT:
        raise IdentityRefused(
            f"{partition_id} belongs to user {owner_uid}, and the agent runs as user "
            f"{agent_uid}: run the agent as that user or as root"
        )
    return Identity(owner_uid, owner_gid)
