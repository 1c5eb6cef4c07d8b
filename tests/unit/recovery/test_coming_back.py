"""Computers that the state knows join again, each once, and are waited for."""

from __future__ import annotations

from typing import Any, cast

from attrs import define, field

from labsim.world.world import World
from slap.model import Computer
from slap.reports import ComputerReport, PartitionReport
from slap.statuses import AccessStatus, Subject
from slapcluster.bootstrap.gathering import Gathering
from slapcluster.bootstrap.home import Home
from slapcluster.bootstrap.logbook import Logbook, begin, begin_recovery
from slapcluster.bootstrap.mini_master import MiniMaster
from slapcluster.bootstrap.wanted_cloud import WantedCloud, WantedComputer
from slapcluster.bootstrap.work import Work
from slapcluster.pausing import pause

REGIONS = ("paris", "lyon", "tokyo")
CLOUD = WantedCloud(
    *("again", "2001:db8:1::1", 5443),
    tuple(WantedComputer(f"{it}-1", it) for it in REGIONS),
)


@define(eq=False)
class KnowingMaster:
    """Has a state with all computers, and hears them when somebody lets it."""

    heard: set[str] = field(factory=set)
    attributes: dict[str, Any] = field(factory=dict)

    async def register_computer(self, title: str) -> Computer:
        return Computer(f"COMP-{title}")

    async def computer(self, computer_id: str) -> ComputerReport:
        return ComputerReport(computer_id, partitions=(PartitionReport("slappart0"),))

    async def computer_status(self, computer_id: str) -> AccessStatus:
        is_known = computer_id in self.heard
        return AccessStatus(
            *(Subject.COMPUTER, computer_id, "somebody", "", "", 1, 1),
            is_known=is_known,
        )

    async def token(self, purpose: str) -> str:
        return f"TOKEN-of-{purpose}"

    async def set_computer_attributes(self, computer_id: str, said: Any) -> None:
        self.attributes[computer_id] = said


class Desk(Work):
    master: KnowingMaster
    said: list[str]

    async def ask(self, question: Any, *urls: str) -> Any:
        assert not urls
        return await question(self.master)

    async def wait(self, look: Any, activity: Any, *urls: str) -> Any:
        assert not urls
        while told := activity(found := await look(self.master)):
            self.said.append(told)
            # By then its operator has typed what was said.
            self.master.heard.add(f"COMP-{told.split()[0]}")
            await pause(self.home.runtime.clock, 1)
        return found


def a_desk(world: World, logbook: Logbook) -> Desk:
    home = Home(world.host("desk").runtime, "/srv/recovery", "/media/root")
    home.tree.make_directory("")
    said: list[str] = []
    desk = Desk(
        *(home, CLOUD, logbook, cast("MiniMaster", None)),
        *(lambda _: None, said.append, 20.0),
    )
    desk.master, desk.said = KnowingMaster(), said
    return desk


def test_each_joins_although_its_partitions_are_known_and_is_heard() -> None:
    world = World(1)
    desk = a_desk(world, begin_recovery(CLOUD, "/srv/backup.fs"))

    world.result(Gathering(desk).have_join())

    titles = [f"{it}-1" for it in REGIONS]
    assert [it.split(",")[0] for it in desk.said[:3]] == [f"On {it}" for it in titles]
    assert all("TOKEN-of-computer" in it for it in desk.said[:3])
    assert desk.said[3:] == [f"{it} was not heard yet" for it in titles]
    assert list(desk.logbook.joined) == titles
    assert desk.master.attributes == {f"COMP-{it}-1": {"region": it} for it in REGIONS}

    desk.said.clear()
    desk.master.heard.clear()
    world.result(Gathering(desk).have_join())
    assert desk.said == []


def test_in_a_bootstrap_who_has_partitions_has_joined() -> None:
    world = World(1)
    desk = a_desk(world, begin(CLOUD))

    world.result(Gathering(desk).have_join())

    assert desk.said == []
