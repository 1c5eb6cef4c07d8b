"""Shell. Proves that a region is well in its leg, so that the next one may have its.

A program of the region does it: one of the release that the leg is about, which is
begun when all programs of before have ended. So what answers is what was asked for.
When it is proved this bangs: the region publishes it, and its root is told.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred

from runtime.ports import Runtime
from slapcluster.hosting.banging import bang_until_heard
from slapcluster.hosting.judging import Judgement
from slapcluster.hosting.layout import PROMISES, SETTLED_FILE
from slapcluster.hosting.promising import check
from slapcluster.hosting.rolling import settled_message
from slapcluster.pausing import pause
from slapcluster.printing import print_note

LOOK_SECONDS = 2.0
"""Each look is some Python programs of its own."""

LOOKS_KEPT = 3
"""In a row: what ends at once after its begin is not there at one of them."""


Checking: TypeAlias = Callable[[Runtime, str, str], Coroutine[Any, Any, Judgement]]
Banging: TypeAlias = Callable[[Runtime, str, str], Coroutine[Any, Any, None]]


async def have_leg_proved(
    runtime: Runtime,
    home: str,
    leg: str,
    checking: Checking = check,
    banging: Banging = bang_until_heard,
) -> None:
    """Wait until all promises are kept, keep that, tell the master; never return."""
    kept_count, told = 0, ""
    while kept_count < LOOKS_KEPT:
        await pause(runtime.clock, LOOK_SECONDS)
        broken = await _look(runtime, home, checking)
        kept_count = 0 if broken else kept_count + 1
        if broken and broken != told:
            print_note(f"not settled yet: {broken}")
            told = broken
    # On disk before anybody hears of it: each pass from here on publishes it.
    runtime.file_tree(home).write(SETTLED_FILE, f"{leg}\n".encode(), 0o640)
    print_note(f"settled in leg {leg}")
    await banging(runtime, home, settled_message(leg))
    # What ended would be started again.
    await Deferred()


async def _look(runtime: Runtime, home: str, checking: Checking) -> str:
    """Return the first promise that is broken, ``""`` if all are kept."""
    for name in PROMISES:
        judgement = await checking(runtime, name, home)
        if not judgement.is_kept:
            return f"{name}: {judgement.sentence}"
    return ""
