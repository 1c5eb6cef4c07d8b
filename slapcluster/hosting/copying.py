"""Shell. Has everything copied to the storage node of a region that has no cells.

A program of that region does it, and is wanted while that lasts. Each step is found
anew from what is seen, so it may be killed anywhere; and only the region itself changes
who has its cells, so nobody does it twice. When all is done it bangs: a pass of the
agent finds this program wanted no more.

Cells of a region that leaves are dropped by another one, by a program of the same form.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from attrs import frozen
from twisted.internet.defer import Deferred

from replication.changing import Step, Verb, plan_next_drop
from replication.neo.neoctl import ask, change_holders
from replication.programs import DATABASE
from replication.undertakings import Refused
from runtime.ports import Runtime
from slapcluster.hosting.banging import bang_until_heard
from slapcluster.hosting.configuring import read_asked, read_in_force
from slapcluster.hosting.holders import choose_step
from slapcluster.hosting.layout import NEO_HOME
from slapcluster.hosting.planning import say_silence
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.printing import print_note
from slapcluster.regions.changing import describe
from slapcluster.regions.databases import look_into, set_aside

LOOK_SECONDS = 2.0
"""Each look is a Python program of its own."""


@frozen
class Outlook:
    """What is next for a region; without a ``step`` the ``obstacle`` says why."""

    step: Step | None
    obstacle: str = ""
    admin_node: str = ""

    @property
    def sentence(self) -> str:
        return describe(self.step) if self.step else self.obstacle


async def look_at_holders(runtime: Runtime, home: str) -> Outlook:
    """Return what is next for the region in the partition ``home``."""
    tree = runtime.file_tree(home)
    in_force = read_in_force(tree)
    if in_force is None or not in_force.admin_node:
        return Outlook(None, "the region is not configured")
    (answer, *_) = await ask(runtime, (in_force.admin_node,))
    try:
        database = look_into(Path(home, NEO_HOME))
        step = choose_step(read_asked(tree).wanted, database, answer)
    except Refused as error:
        return Outlook(None, str(error))
    except CommandFailed as error:
        return Outlook(None, error.sentence)
    return Outlook(step, admin_node=in_force.admin_node)


async def have_all_copied(runtime: Runtime, home: str) -> None:
    """Do step after step until nothing is left, tell the master; never return."""
    told, is_changed = "", False
    while True:
        outlook = await look_at_holders(runtime, home)
        if outlook.sentence != told:
            told = outlook.sentence
            print_note(told)
        if outlook.step and outlook.step.verb is Verb.DONE:
            break
        if outlook.step and outlook.step.verb is not Verb.WAIT:
            refusal = await _do(runtime, home, outlook.step, outlook.admin_node)
            is_changed = True
            if refusal:
                print_note(f"not now: {refusal}")
        await pause(runtime.clock, LOOK_SECONDS)
    if is_changed:
        told = "the storage node of the region has all its cells"
        await bang_until_heard(runtime, home, told)
    # What ended would be started again.
    await Deferred()


async def have_all_dropped(runtime: Runtime, home: str) -> None:
    """Have the cells of regions that leave dropped, as often as it takes; never return.

    A region that was away may come back and have everything copied to it again.
    """
    told = ""
    while True:
        outlook = await look_at_leaving(runtime, home)
        if outlook.sentence != told:
            told = outlook.sentence
            print_note(told)
        if outlook.step and outlook.step.verb is Verb.DROP:
            refusal = await _do(runtime, home, outlook.step, outlook.admin_node)
            if refusal:
                print_note(f"not now: {refusal}")
        await pause(runtime.clock, LOOK_SECONDS)


async def look_at_leaving(runtime: Runtime, home: str) -> Outlook:
    """Return what is next for the regions that the one in ``home`` lets leave."""
    tree = runtime.file_tree(home)
    in_force = read_in_force(tree)
    if in_force is None or not in_force.admin_node:
        return Outlook(None, "the region is not configured")
    (answer, *_) = await ask(runtime, (in_force.admin_node,))
    silence = say_silence(answer)
    if silence:
        return Outlook(None, silence)
    leaving = read_asked(tree).wanted.cells.drops
    return Outlook(plan_next_drop(leaving, answer), admin_node=in_force.admin_node)


async def _do(runtime: Runtime, home: str, step: Step, admin_node: str) -> str:
    """Do a step; return why it is refused for now, or ``""``."""
    if step.verb in {Verb.ADD, Verb.DROP}:
        assert step.storage is not None
        return await change_holders(runtime, admin_node, step.verb.value, step.storage)
    assert step.verb is Verb.SET_ASIDE, step
    set_aside(Path(home, NEO_HOME))
    # It may still have the file that is gone; its agent starts another one.
    _end_processes_with(os.fsencode(Path(home, NEO_HOME, DATABASE)))
    return ""


def _end_processes_with(argument: bytes) -> None:
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if argument in (entry / "cmdline").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            # It ended just now, or is somebody else's.
            continue
