"""Shell. What a transaction relies on without writing it.

ZODB lets two transactions pass each other when neither writes what the other writes.
One that relies on an object fails, and runs again, when somebody else has written it.
"""

from __future__ import annotations

from bisect import bisect_right

from BTrees.OOBTree import OOBTree  # type: ignore[import-untyped]
from persistent import Persistent  # type: ignore[import-untyped]


def rely_on(persistent: Persistent) -> None:
    """Let the transaction fail when somebody else changes this object meanwhile."""
    if persistent._p_jar is None:  # noqa: SLF001 - made by this very transaction
        return
    persistent._p_activate()  # noqa: SLF001 - the interface of persistent objects
    persistent._p_jar.readCurrent(persistent)  # noqa: SLF001


def rely_on_member(tree: OOBTree, key: str) -> None:
    """Let the transaction fail when somebody else adds or removes this key meanwhile.

    Or one of its neighbours, which are in the same bucket.
    """
    found = tree
    while isinstance(found, OOBTree):
        held = found.__getstate__()  # as BTrees.check reads it
        if held is None or len(held) == 1:  # a small tree holds its only bucket
            break
        children, _ = held
        found = children[::2][bisect_right(children[1::2], key)]
    rely_on(found)


def rely_on_members(tree: OOBTree) -> None:
    """Let the transaction fail when somebody else adds or removes a key meanwhile."""
    rely_on(tree)
    bucket = tree._firstbucket  # noqa: SLF001 - as BTrees.check walks them
    while bucket is not None:
        rely_on(bucket)
        bucket = bucket._next  # noqa: SLF001
