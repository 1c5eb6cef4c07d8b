"""Core. The instances of a tree in its shape: each below the one that requested it."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from slap.reports import InstanceReport

DEPTH_MAX = 6
"""How far a page sets instances in; deeper ones stand there too."""


@frozen
class Nested:
    """An instance, ``depth`` steps below the root."""

    instance: InstanceReport
    depth: int


def nest(instances: Sequence[InstanceReport]) -> tuple[Nested, ...]:
    """Return the same instances, the root first, each after its requester.

    Those whose requester is gone come last, as if the root had requested them.
    """
    root, *others = instances
    requested: dict[str | None, list[InstanceReport]] = {}
    for it in reversed(others):
        requested.setdefault(it.requester_title, []).append(it)
    found: list[Nested] = []
    waiting = [Nested(root, 0)]
    while waiting:
        nested = waiting.pop()
        found.append(nested)
        depth = min(nested.depth + 1, DEPTH_MAX)
        # Taken out, so that even a circle of titles ends.
        below = requested.pop(nested.instance.title, ())
        waiting.extend(Nested(it, depth) for it in below)
    left = {it.instance_guid for group in requested.values() for it in group}
    orphans = (Nested(it, 1) for it in others if it.instance_guid in left)
    return (*found, *orphans)
