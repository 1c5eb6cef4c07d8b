"""Core. The environment of everything that the agent runs.

Nothing of the agent's own is inherited: neither its language, nor its Python settings,
nor its temporary directory leak into builds and instances.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def clean_environment(
    home: str, additional: Mapping[str, str] = MappingProxyType({})
) -> Mapping[str, str]:
    """The whole environment of a program whose home is this directory."""
    return MappingProxyType(
        {"PATH": PATH, "HOME": home, "PYTHONNOUSERSITE": "true", **additional}
    )
