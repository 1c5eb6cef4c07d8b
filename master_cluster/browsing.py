"""Core. What a person looks for and finds: trees, instances, computers, releases.

Searches and findings in our words; ``web`` says them as hateoas.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from attrs import frozen

from master_cluster.records import InstallationRecord, InstanceRecord

FOUND_COUNT_MAX = 10_000
"""A list of so many trees has some 2 MB; nobody reads a longer one."""


class Kind(Enum):
    """What is looked for."""

    TREE = "tree"
    INSTANCE = "instance"
    COMPUTER = "computer"
    INSTALLATION = "installation"


@frozen
class Search:
    """What to look for; a condition that is ``None`` excludes nothing."""

    kind: Kind
    title: str | None = None
    computer_id: str | None = None
    tree_title: str | None = None
    found_count_max: int = FOUND_COUNT_MAX


@frozen
class Location:
    """Where a thing is found again.

    ``name`` is the guid of an instance or of the root of a tree, or a computer;
    ``software_release_url`` is that of an installation on it.
    """

    kind: Kind
    name: str
    software_release_url: str = ""


@frozen
class FoundTree:
    """A tree; ``instances`` are all of it when one tree is looked at, else none."""

    root: InstanceRecord
    instances: tuple[InstanceRecord, ...] = ()


@frozen
class FoundInstance:
    instance: InstanceRecord


@frozen
class FoundComputer:
    """A computer; ``occupants`` are all of it when one is looked at, else none.

    ``status_text`` is what was last heard of it, empty when nobody asked for that.
    """

    computer_id: str
    title: str
    occupants: tuple[InstanceRecord, ...] = ()
    status_text: str = ""


@frozen
class FoundInstallation:
    installation: InstallationRecord


Found: TypeAlias = FoundTree | FoundInstance | FoundComputer | FoundInstallation
