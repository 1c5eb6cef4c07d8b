"""The steps of a bootstrap, when the mini-master ends in the middle of one."""

from __future__ import annotations

from typing import Any, cast

import pytest

from labsim.world.world import World
from slap.errors import Unreachable
from slapcluster.bootstrap.home import Home
from slapcluster.bootstrap.logbook import Logbook, Step, Undertaking
from slapcluster.bootstrap.mini_master import MiniMaster
from slapcluster.bootstrap.performing import bootstrap_steps, perform_all
from slapcluster.bootstrap.wanted_cloud import WantedCloud
from slapcluster.bootstrap.work import Work
from slapcluster.outcomes import CommandFailed


class Ending:
    """Answers until it has begun."""

    has_ended = False

    def check(self) -> None:
        if self.has_ended:
            raise CommandFailed("The mini-master ended; its log is here.")

    async def stop(self) -> None:
        """Nothing runs."""


class Asking(Work):
    async def begin_mini_master(self) -> None:
        """It runs."""

    async def ask(self, question: Any, *urls: str) -> Any:
        del question
        mini_master = cast("Ending", self.mini_master)
        mini_master.has_ended = urls == ()
        raise Unreachable(f"no answer from {urls or 'the mini-master'}")


def a_work() -> Work:
    home = Home(World(seed=1).host("desk").runtime, "/srv/bootstrap")
    home.tree.make_directory("")
    steps = Undertaking.BOOTSTRAP.steps
    before = steps[: steps.index(Step.FREEZE)]
    return Asking(
        home,
        WantedCloud("cloud", "::1", 5443, ()),
        Logbook({}, done=before),
        cast("MiniMaster", Ending()),
        lambda _: None,
        lambda _: None,
        20.0,
    )


def test_who_gets_no_answer_is_told_that_the_mini_master_ended() -> None:
    """The laboratory killed it: the sentence was one about a connection."""
    work = a_work()
    done = World(seed=1)
    with pytest.raises(CommandFailed, match="The mini-master ended; its log is here"):
        done.result(perform_all(work, bootstrap_steps(work)))
