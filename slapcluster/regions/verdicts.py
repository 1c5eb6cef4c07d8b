"""Shell. What a neo_master wrote of its last decision, for those who look at it."""

from __future__ import annotations

import json

from runtime.ports import IFileTree


def read_verdict(tree: IFileTree, path: str) -> str:
    """Return what a neo_master decided last; ``""`` before it decided anything."""
    if tree.status(path) is None:
        return ""
    try:
        return str(json.loads(tree.read(path))["verdict"])
    except (ValueError, KeyError, TypeError):
        return ""
