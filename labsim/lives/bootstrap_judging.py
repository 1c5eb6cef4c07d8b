"""Shell. What must be while a bootstrap goes on, and what it must leave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import transaction  # type: ignore[import-untyped]
from attrs import define, field
from ZODB.DB import DB  # type: ignore[import-untyped]

from labsim.checkers import acknowledged, tids
from labsim.checkers.table import Watch
from labsim.checkers.violation import Bounds
from labsim.documents import Documents, Seen, as_told
from labsim.history import Ending
from labsim.lives.bootstrap_people import WISH, Person
from labsim.lives.bootstrap_place import DIRECTOR, Place
from labsim.world.world import World
from master_cluster.store.content import snapshot_of, verify
from master_cluster.store.schema import ROOT_KEY
from master_cluster.store.standing import StandingOfState
from master_cluster.transferring import KeptStanding
from slap import calls
from slap.calls import Call
from slap.products import ProductsReport
from slap.replicas import Replicas
from slap.reports import CloudReport, ComputerReport, InstanceReport, TreeReport
from slap.statuses import AccessStatus
from slap.transfer import Standing, TransferReport
from slapcluster.bootstrap.home import LOGBOOK, MINI_MASTER, OPERATOR, ROOT
from slapcluster.settling import tree_activity
from slapgrid.slap_client import SlapClient

SETTLE_SECONDS_MAX = 900.0
"""From the last wish to the last report: what failed is tried again after a delay."""

LOOK_SECONDS = 20.0


def logbook_of(place: Place) -> dict[str, Any]:
    """What is on the disk of the desk."""
    document: dict[str, Any] = json.loads(place.home().tree.read(LOGBOOK))
    return document


@define(eq=False)
class Witness:
    """Looks at both stores when one of them changes: at most one is open."""

    world: World
    place: Place
    problems: list[str] = field(factory=list)
    _is_opened: bool = False

    def note_opening(self) -> None:
        """The new state is open from now on."""
        if self._is_opened:
            self._say("the state is opened twice")
        self._is_opened = True
        logbook = logbook_of(self.place)
        if not logbook["is_opening"]:
            self._say("the logbook does not say that the new master opens")
        standing = self._standing_of_mini_master().standing
        if standing is not Standing.FROZEN:
            self._say(f"the state is opened, and the old one is {standing}")
        digest = verify(self.place.state_path, lambda *_: None).digest
        if digest != logbook["digest"]:
            self._say("what is opened is not all of the mini-master's state")

    def look_at_mini_master(self) -> None:
        """It has committed something."""
        if self._is_opened:
            # A commit is whole when it has been told.
            clock = self.world.host(DIRECTOR).runtime.clock
            clock.callLater(0, self._check_old)

    def _check_old(self) -> None:
        if self._standing_of_mini_master().standing is Standing.OPEN:
            self._say("two states are open")

    def _standing_of_mini_master(self) -> KeptStanding:
        database = self.place.mini_master_database
        if database is not None:
            return _standing_in(database)
        with snapshot_of(self.place.state_path) as snapshot:
            return _standing_in(DB(snapshot.storage))

    def _say(self, problem: str) -> None:
        self.problems.append(f"{problem}, at {self.world.clock.seconds():.3f} s")


@define(eq=False)
class Judge:
    """Asks the new master, when all is done and whole."""

    world: World
    place: Place
    people: list[Person]
    seen: list[Seen]
    problems: list[str] = field(factory=list)
    _client: SlapClient = field(init=False)

    def judge(self) -> str:
        """Look at what is there; return the digest of what each plot leaves."""
        self._client = self._asking(self.place.replica_urls)
        self._check_hosted()
        self._check_wishes()
        self._check_releases()
        self._check_history()
        for it in self.people:
            self.world.result(it.finish(), 200)
        self._settle()
        digest = hashlib.sha256(self.describe().encode()).hexdigest()
        self.world.result(self._client.close())
        return digest

    def _check_hosted(self) -> None:
        logbook = logbook_of(self.place)
        heard: set[str] = set()
        for url in self.place.replica_urls:
            client = self._asking((url,))
            report = self.world.result(client.perform(calls.get_transfer()))
            assert isinstance(report, TransferReport)
            if (report.standing, report.digest) != (Standing.OPEN, logbook["digest"]):
                self.problems.append(f"{url} is {report}")
            for computer_id in logbook["computer_ids"].values():
                call = calls.get_computer_status(computer_id)
                status = self.world.result(client.perform(call))
                assert isinstance(status, AccessStatus)
                if status.is_known:
                    heard.add(computer_id)
            self.world.result(client.close())
        for computer_id in {*logbook["computer_ids"].values()} - heard:
            self.problems.append(f"{computer_id} asks nobody any more")
        if sorted(logbook["replica_urls"].values()) != sorted(self.place.replica_urls):
            self.problems.append(f"replicas are {logbook['replica_urls']}")
        tree = self.place.home().tree
        if self.place.mini_master_runs or tree.status(MINI_MASTER) is not None:
            self.problems.append("something of the mini-master is left")
        self.problems += [
            f"{name} is gone" for name in (ROOT, OPERATOR) if tree.status(name) is None
        ]

    def _check_wishes(self) -> None:
        """Tell the history what is found of each register."""
        titles = {title for it in self.people for title in it.titles}
        for title, tree in self._read_trees().items():
            if title in titles:
                now, found = self.world.clock.seconds(), tree.instances[0].parameters
                self.seen.append(Ending(now, title, "", found[WISH]))

    def _check_releases(self) -> None:
        report = self._ask(ProductsReport, calls.get_products())
        found = [url for it in report.products for url in it.software_release_urls]
        for it in self.people:
            lost = [url for url in it.acknowledged if found.count(url) != 1]
            self.problems += [f"{url} was acknowledged, and is lost" for url in lost]
        asked = set().union(*(it.asked for it in self.people))
        self.problems += [f"nobody asked for {it}" for it in sorted({*found} - asked)]

    def _check_history(self) -> None:
        whole = self.place.store.whole
        assert whole is not None
        watch = Watch(Bounds(), (tids.NAME, acknowledged.NAME))
        for happening in as_told(self.seen, Documents(whole)):
            watch.take(happening)
        watch.finish()
        self.problems += [it.sentence for it in watch.violations]

    def _settle(self) -> None:
        """Wait until all instances are as they are wanted."""
        end = self.world.clock.seconds() + SETTLE_SECONDS_MAX
        while self.world.clock.seconds() < end:
            self.world.run_for(LOOK_SECONDS)
            activities = [tree_activity(it, None) for it in self._read_trees().values()]
            if not any(activities):
                return
        self.problems.append(f"not as wanted in the end: {'; '.join(activities)}")

    def describe(self) -> str:
        """All that is there, but for names and instants that are drawn."""
        computer_ids: Mapping[str, str] = logbook_of(self.place)["computer_ids"]
        regions = {
            computer_ids[it.title]: it.region for it in self.place.sites.values()
        }
        said: dict[str, Any] = {
            title: sorted(_describe_instance(it, regions) for it in tree.instances)
            for title, tree in self._read_trees().items()
        }
        for title, computer_id in computer_ids.items():
            call = calls.get_computer_report(computer_id)
            report = self._ask(ComputerReport, call)
            installations = (
                (it.software_release_url, it.requested_state, it.reported_state)
                for it in report.installations
            )
            said[f"computer {title}"] = (
                dict(report.attributes),
                [it.partition_id for it in report.partitions],
                sorted(installations),
            )
        return json.dumps(said, sort_keys=True)

    def _read_trees(self) -> dict[str, TreeReport]:
        cloud = self._ask(CloudReport, calls.get_cloud_report())
        titles = [it.title for it in cloud.trees]
        if len(set(titles)) != len(titles):
            self.problems.append(f"there twice: {sorted(titles)}")
        return {it: self._ask(TreeReport, calls.get_tree_report(it)) for it in titles}

    def _asking(self, urls: tuple[str, ...]) -> SlapClient:
        return SlapClient(self.world.host("judge").runtime, Replicas(urls))

    def _ask(self, kind: type[Any], call: Call) -> Any:
        answer = self.world.result(self._client.perform(call))
        assert isinstance(answer, kind)
        return answer


def _describe_instance(
    instance: InstanceReport, regions: Mapping[str, str]
) -> tuple[object, ...]:
    """Who runs the master in a region is there; others may be anywhere."""
    place = "nowhere" if instance.partition is None else "somewhere"
    is_region = instance.software_type == "region"
    if is_region and instance.partition is not None:
        place = regions[instance.partition.computer_id]
    return (
        instance.title,
        instance.software_type,
        instance.software_release_url,
        instance.requested_state,
        instance.reported_state,
        sorted(instance.parameters),
        instance.parameters.get(WISH, ""),
        sorted(instance.connection_parameters),
        place,
    )


def _standing_in(database: DB) -> KeptStanding:
    connection = database.open(transaction.TransactionManager())
    try:
        return StandingOfState(connection.root()[ROOT_KEY]).read()
    finally:
        connection.close()
