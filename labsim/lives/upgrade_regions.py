"""Shell. What the regions of a master that rolls really are, whatever anybody was told.

It stands for NEO. A storage node that is lost while most others have everything has to
be copied to when it is back; while too few have everything nobody serves the state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from attrs import define, field

from replication.answers import (
    OUT_OF_DATE,
    RECOVERING,
    RUNNING,
    STORAGE,
    UP_TO_DATE,
)
from replication.observation import REGION_SPAN

COPY_SECONDS = 3.0
"""Until who was away has everything again, from when it is back."""

STALE_SECONDS = 3.0
"""Who looks may act on what was so a moment before."""


class Event(Enum):
    """What troubles follow."""

    BEGUN = "all is there"
    LET_GO = "a region has let its programs go"
    PROVED = "a region is settled"


def _tell_nobody(_: Event, __: int) -> None:
    """Nobody wants to know."""


@define(eq=False)
class Region:
    """One of them; ``taken`` is the release of its programs, as its pass wrote it.

    ``is_well`` when these programs have been there with everything at any time since.
    """

    name: str
    number: int
    taken: str
    is_running: bool = False
    is_severed: bool = False
    is_whole: bool = True
    is_well: bool = True
    runs: str = ""
    is_proved: bool = True
    """Whether a program of its last leg has found it well, and told so."""

    back_at: float = 0.0
    lacks_since: float | None = None

    @property
    def is_there(self) -> bool:
        return self.is_running and not self.is_severed

    @property
    def has_everything(self) -> bool:
        return self.is_there and self.is_whole

    @property
    def node_id(self) -> str:
        return f"S{self.number * REGION_SPAN + 1}"


@define(eq=False)
class Regions:
    """All of them, and what must be of them at any instant."""

    seconds: Callable[[], float]
    regions: dict[str, Region]
    notify: Callable[[Event, int], None] = _tell_nobody
    """Told of each event, of how many of its kind it is."""

    problems: list[str] = field(factory=list)
    has_quorum: bool = True
    let_go_count: int = 0
    proved_count: int = 0
    _is_begun: bool = False

    def begin(self) -> None:
        """From now on programs are what a region is there by."""
        self._is_begun = True
        self.notify(Event.BEGUN, 0)

    def look(self) -> None:
        """Let happen what follows from who is there."""
        now = self.seconds()
        for it in self.regions.values():
            if not it.is_there:
                it.back_at = 0.0
                it.is_whole = it.is_whole and not self._goes_on_without(it)
            elif not it.back_at:
                it.back_at = now
            elif self.has_quorum and now - it.back_at >= COPY_SECONDS:
                it.is_whole = True
            if not it.has_everything:
                it.lacks_since = now if it.lacks_since is None else it.lacks_since
                continue
            it.lacks_since = None
            it.is_well = it.is_well or it.runs == it.taken
        self.has_quorum = self._is_most(self._with_everything())

    def _goes_on_without(self, region: Region) -> bool:
        others = [it for it in self._with_everything() if it is not region]
        return self.has_quorum and self._is_most(others)

    def _with_everything(self) -> list[Region]:
        return [it for it in self.regions.values() if it.has_everything]

    def _is_most(self, regions: Iterable[Region]) -> bool:
        return 2 * len(tuple(regions)) > len(self.regions)

    # -- what is told of them

    def tell(self, name: str) -> dict[str, Any]:
        """What the admin node of a region says, as ``replication.neo.neoctl`` does."""
        own = self.regions[name]
        if not own.is_running:
            return {"admin_node": name, "failure": "nobody listens"}
        states = {True: RUNNING, False: "DOWN"}
        cells = {True: UP_TO_DATE, False: OUT_OF_DATE}
        row = [[it.node_id, cells[it.is_whole]] for it in self.regions.values()]
        return {
            "admin_node": name,
            "cluster_state": RUNNING if self.has_quorum else RECOVERING,
            "is_primary_silent": own.is_severed,
            "nodes": [
                [it.node_id, STORAGE, it.name, states[it.is_there]]
                for it in self.regions.values()
            ],
            "rows": [row],
        }

    def encode(self, names: tuple[str, ...]) -> bytes:
        return json.dumps([self.tell(it) for it in names]).encode() + b"\n"

    # -- what must be

    def let_go(self, name: str, release_url: str) -> None:
        """The pass of a region lets programs of another release go."""
        own = self.regions[name]
        is_needed, own.is_proved = own.is_proved, False
        own.taken, own.is_well = release_url, False
        if not self._is_begun:
            return
        self.let_go_count += 1
        self.notify(Event.LET_GO, self.let_go_count)
        amid = [it.name for it in self._others(name) if not it.is_well]
        if amid:
            self._say(f"{name} is started anew while {', '.join(amid)} is")
        lacking = [it.name for it in self._others(name) if self._lacks_long(it)]
        kept = [it for it in self._others(name) if it.name not in lacking]
        if is_needed and not self._is_most(kept):
            told = ", ".join(lacking)
            self._say(f"{name} is let go while {told} has not everything")

    def _lacks_long(self, region: Region) -> bool:
        since = region.lacks_since
        return since is not None and self.seconds() - since > STALE_SECONDS

    def note_proved(self, name: str) -> None:
        """A program of the region found it well, and tells so."""
        own = self.regions[name]
        own.is_proved = True
        self.proved_count += 1
        self.notify(Event.PROVED, self.proved_count)
        if not own.is_well:
            self._say(f"{name} is settled, and was not well in its leg")

    def note_asked(self, name: str, asked: dict[str, str], release_url: str) -> None:
        """The root has a region begin a leg; ``asked`` is what all were asked then."""
        own = self.regions[name]
        is_in_leg = not own.is_well or asked[name] != own.taken
        if not self._is_begun or is_in_leg:
            return
        amid = [
            it.name
            for it in self._others(name)
            if not it.is_well or asked.get(it.name) != it.taken
        ]
        if amid:
            told = ", ".join(amid)
            self._say(f"{name} is asked for {release_url} while {told} is in a leg")

    def _others(self, name: str) -> list[Region]:
        return [it for it in self.regions.values() if it.name != name]

    def _say(self, problem: str) -> None:
        self.problems.append(f"{problem}, at {self.seconds():.1f} s")
