"""Core. What a wheelhouse must hold: names from the project, versions from the pins.

Names are compared as the packaging rules say: case, ``-``, ``_`` and ``.`` make no
difference. zc.buildout is stricter, so pins are written with each package's own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.parser import HeaderParser

from attrs import frozen

BUILD_TOOLS = (
    "packaging",
    "pip",
    "platformdirs",
    "setuptools",
    "wheel",
    "zc.buildout",
    "zc.recipe.egg",
)
"""What builds a release on a computer that has only a wheelhouse."""

_PIN = re.compile(r"(?P<name>[\w.-]+)\s*=\s*(?P<version>[\w.!+-]+)", re.ASCII)

_HEADER = """\
# The exact content of wheelhouse/. Written by slapcluster.release.
[versions]
"""


@frozen(order=True)
class Package:
    """A package in one version, by the name that it gives itself."""

    name: str
    version: str

    @property
    def key(self) -> str:
        return canonical_name(self.name)


class NotPinned(ValueError):
    """The pins and the packages do not agree."""


def canonical_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_pins(versions_cfg: str) -> tuple[Package, ...]:
    """Return the pins of a buildout profile that holds a ``[versions]`` section."""
    _, _, section = versions_cfg.partition("[versions]\n")
    lines = section.partition("\n[")[0].splitlines()
    matches = (_PIN.fullmatch(line.partition("#")[0].strip()) for line in lines)
    return tuple(Package(it["name"], it["version"]) for it in matches if it)


def render_versions(packages: Iterable[Package]) -> str:
    """Return the profile that pins exactly these."""
    return _HEADER + "".join(f"{it.name} = {it.version}\n" for it in sorted(packages))


def render_constraints(pins: Iterable[Package]) -> str:
    """Return the pins as pip reads them."""
    return "".join(f"{it.name}=={it.version}\n" for it in pins)


def parse_metadata(metadata: str) -> Package:
    """Return which package a wheel is, from its METADATA."""
    headers = HeaderParser().parsestr(metadata)
    return Package(headers["Name"], headers["Version"])


def check_pinned(packages: Iterable[Package], pins: Iterable[Package]) -> None:
    """Raise ``NotPinned`` unless each package has the version that its pin says."""
    wanted = {it.key: it.version for it in pins}
    wrong = [
        f"{it.name} {it.version} (pinned: {wanted.get(it.key, 'no')})"
        for it in sorted(packages)
        if wanted.get(it.key) != it.version
    ]
    if wrong:
        raise NotPinned(f"not as versions.cfg says: {', '.join(wrong)}")
