"""Shell. How a program of a region has its master process the tree again."""

from __future__ import annotations

from runtime.ports import Runtime
from slap.errors import SlapError
from slapcluster.hosting.configuring import read_asked
from slapcluster.pausing import pause
from slapcluster.printing import print_note

BANG_SECONDS = 10.0
"""Between two attempts to reach a master that is away."""


async def bang_until_heard(runtime: Runtime, home: str, message: str) -> None:
    """Tell the master that asked for the region in the partition ``home``."""
    while not _bang(runtime, home, message):
        await pause(runtime.clock, BANG_SECONDS)


def _bang(runtime: Runtime, home: str, message: str) -> bool:
    try:
        read_asked(runtime.file_tree(home)).connection.bang(message)
    except SlapError as error:
        print_note(f"the master is not told: {error.sentence}")
        return False
    return True
