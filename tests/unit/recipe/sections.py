"""Builders of what buildout hands to a recipe."""

from __future__ import annotations

from pathlib import Path

from slapgrid.recipe.section import Options

RELEASE_URL = "http://[::1]/release/software/hello/software.cfg"


def a_buildout(
    directory: Path, master_url: str = "http://127.0.0.1:1", **sections: Options
) -> dict[str, Options]:
    """The profile of an instance in ``directory``, partition slappart3 of COMP-1."""
    return {
        "buildout": {"directory": str(directory)},
        "slap-connection": {
            "computer-id": "COMP-1",
            "partition-id": "slappart3",
            "server-url": master_url,
            "software-release-url": RELEASE_URL,
            "key-file": "",
            "cert-file": "",
            "requested-state": "started",
        },
        **sections,
    }
