"""Shell. One turn of a bootstrap: what it knows, whom it asks, what it waits for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from attrs import mutable

from slap.errors import MasterAway, Unreachable
from slapcluster.asking import ask
from slapcluster.bootstrap.home import OPERATOR, Home
from slapcluster.bootstrap.logbook import Logbook
from slapcluster.bootstrap.mini_master import MiniMaster
from slapcluster.bootstrap.wanted_cloud import WantedCloud
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.waiting import wait_for

T = TypeVar("T")

Show = Callable[[str], None]

BEGIN_SECONDS_MAX = 60.0
"""Of the mini-master: a Python program on a loaded machine."""

POLL_SECONDS = 0.3


@mutable(eq=False)
class Work:
    """Who asks is the operator, by a certificate of the cloud.

    ``show`` is told what goes on in a step, ``say`` what a person is to do;
    ``limit_seconds`` is for each thing that is waited for.
    """

    home: Home
    wanted: WantedCloud
    logbook: Logbook
    mini_master: MiniMaster
    show: Show
    say: Show
    limit_seconds: float

    def write(self, logbook: Logbook) -> None:
        """Know more, durably."""
        self.home.write(logbook)
        self.logbook = logbook

    async def ask(self, question: Callable[[Master], Awaitable[T]], *urls: str) -> T:
        """Ask the mini-master, or the masters at these addresses."""
        directory = self.home.below(OPERATOR)
        known = urls or (self.wanted.mini_master_url,)

        async def main(master: Master) -> T:
            return await question(master)

        return await ask(self.home.runtime, known, main, directory)

    async def wait(
        self,
        look: Callable[[Master], Awaitable[T]],
        activity: Callable[[T], str],
        *urls: str,
    ) -> T:
        """Look until there is nothing to wait for, within the bound of a step."""

        async def question(master: Master) -> T:
            def tell(what: str) -> None:
                self.mini_master.check()
                self.show(what)

            return await wait_for(
                master, lambda: look(master), activity, tell, self.limit_seconds
            )

        return await self.ask(question, *urls)

    async def begin_mini_master(self) -> None:
        """Have the mini-master run, and wait until it answers."""
        self.mini_master.start()
        clock = self.home.runtime.clock
        deadline = clock.seconds() + BEGIN_SECONDS_MAX
        while not await self._answers():
            self.mini_master.check()
            if clock.seconds() > deadline:
                raise CommandFailed(
                    f"The mini-master does not answer at {self.wanted.mini_master_url} "
                    f"after {BEGIN_SECONDS_MAX:g} s."
                )
            await pause(clock, POLL_SECONDS)

    async def _answers(self) -> bool:
        try:
            await self.ask(lambda master: master.replicas())
        except Unreachable:
            return False
        except MasterAway:
            # It says why, as one that has moved: it is there.
            return True
        return True
