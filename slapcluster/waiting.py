"""Shell. Asks the master again and again until an answer is final, within a bound."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from slap.errors import MasterAway
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed, ExitCode

T = TypeVar("T")

POLL_SECONDS = 1.0
"""Between two questions: quick for a person, nothing for a master."""

WAIT_SECONDS_MAX = 7200
"""The default bound of ``--wait``: the longest builds known take two hours."""


async def wait_for(
    master: Master,
    ask: Callable[[], Awaitable[T]],
    activity: Callable[[T], str],
    show: Callable[[str], None],
    limit_seconds: float,
) -> T:
    """Return the first answer whose activity is ``""``: nothing to wait for any more.

    A master that is away is asked again: it may be restarting. When the bound is
    reached, the last activity becomes a sentence with exit code PENDING.
    """
    deadline = master.seconds() + limit_seconds
    last = "nothing heard"
    while True:
        try:
            answer = await ask()
        except MasterAway as error:
            last = f"the master is away ({error.sentence})"
            exit_code = ExitCode.MASTER_AWAY
        else:
            last = activity(answer)
            exit_code = ExitCode.PENDING
            if not last:
                return answer
        show(last)
        if master.seconds() >= deadline:
            raise CommandFailed(
                f"Not there after {limit_seconds:g} s: {last}. "
                "It goes on without you; `slapcluster status` follows it.",
                exit_code,
            )
        await master.pause(POLL_SECONDS)
