"""Identity directories of a cloud that tests make up."""

from __future__ import annotations

from pathlib import Path

from slap.identities import Identity
from tests.certificates import Issued, write_identity


def identity_home(place: Path, name: str) -> Path:
    return place / f"identity-{name}"


def write_identities(
    place: Path, root: Issued, region: Issued, *identities: Identity
) -> None:
    """Write directories of the names of their owners."""
    for identity in identities:
        home = identity_home(place, identity.name)
        write_identity(home, region.issue_to(identity), root)
