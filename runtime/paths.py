"""Core. Paths inside a tree: relative, and never out of it."""

from __future__ import annotations

from functools import lru_cache

#: An agent asks for the same paths of its partitions in every pass.
KEPT_MAX = 8192
UNFINISHED_PREFIX = ".slapcluster-new-"
"""Begins the names of files being written. The next write replaces a leftover."""


@lru_cache(KEPT_MAX)
def components(relative: str) -> tuple[str, ...]:
    """The names along a path; ``ValueError`` for one that is absolute or climbs."""
    names = tuple(name for name in relative.split("/") if name not in ("", "."))
    if relative.startswith("/") or ".." in names or "\0" in relative:
        raise ValueError(f"{relative!r} is not a path inside a tree")
    return names


def parent_and_name(relative: str) -> tuple[tuple[str, ...], str]:
    """The components of the directory and the name in it; the root has no name."""
    names = components(relative)
    if not names:
        raise ValueError("the root of a tree is not a file in it")
    return names[:-1], names[-1]


def absolute_path(root: str, relative: str) -> str:
    """Where ``relative`` stands in the tree at ``root``."""
    return root.rstrip("/") + _below(relative) or "/"


@lru_cache(KEPT_MAX)
def _below(relative: str) -> str:
    return "".join(f"/{name}" for name in components(relative))
