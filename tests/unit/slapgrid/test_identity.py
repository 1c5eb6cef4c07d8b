"""Whom instances run as."""

from __future__ import annotations

import pytest

from slapgrid.identity import Identity, IdentityRefused, choose_identity


def test_an_agent_runs_what_is_its_own_as_itself() -> None:
    """No change of identity, which would need root."""
    assert choose_identity("slappart0", 1000, 1000, 1000) == Identity()


def test_root_becomes_the_owner() -> None:
    """Both user and group."""
    assert choose_identity("slappart0", 0, 1000, 1001) == Identity(1000, 1001)


@pytest.mark.parametrize(("agent_uid", "owner_uid"), [(0, 0), (1000, 0), (1000, 1001)])
def test_nothing_runs_as_root_or_as_a_stranger(agent_uid: int, owner_uid: int) -> None:
    """The sentence names the partition."""
    with pytest.raises(IdentityRefused, match="slappart0 belongs to"):
        choose_identity("slappart0", agent_uid, owner_uid, owner_uid)
