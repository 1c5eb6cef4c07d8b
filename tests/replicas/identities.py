"""Identity directories of a cloud that tests make up."""

from __future__ import annotations

from pathlib import Path

from slap.identities import Identity
from tests.certificates import Issued


def identity_home(place: Path, name: str) -> Path:
    return place / f"identity-{name}"


def write_identity(place: Path, root: Issued, name: str, issued: Issued) -> Path:
    """Write what an owner has who believes a root; return the directory."""
    home = identity_home(place, name)
    home.mkdir(mode=0o700)
    (home / "root.crt").write_text(root.pem)
    (home / "own.crt").write_text(issued.chain)
    key = home / "own.key"
    key.touch(mode=0o600)
    key.write_text(issued.key_pem)
    return home


def write_identities(
    place: Path, root: Issued, region: Issued, *identities: Identity
) -> None:
    """Write directories of the names of their owners."""
    for identity in identities:
        write_identity(place, root, identity.name, region.issue_to(identity))
