"""Shell. The first half of a bootstrap: computers come together and run the master.

What is waited for is what the mini-master knows, as of any other service.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import evolve

from slap.errors import NotFound, NotReady
from slap.model import InstanceRequest, SoftwareInstallation
from slap.reports import ComputerReport, TreeReport
from slap.statuses import AccessStatus
from slapcluster.bootstrap.errands import Errand, run_errands
from slapcluster.bootstrap.identifying import identify, sign_regions
from slapcluster.bootstrap.logbook import Undertaking
from slapcluster.bootstrap.wanted_cloud import WantedComputer
from slapcluster.bootstrap.work import Work
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed
from slapcluster.settling import supply_activity, tree_activity

JOIN_SECONDS_MAX = 300.0
"""Of a command that has a computer join, over a slow line to it."""

SPARE_PARTITION_COUNT = 1
"""Besides one in each region: the root of the master is an instance too."""


class Gathering:
    """These steps of one bootstrap."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._wanted = work.wanted

    async def identify(self) -> None:
        identify(self._work.home, self._wanted.host)

    async def have_computers_join(self) -> None:
        await self.have_join()
        await self.check_room()

    async def have_join(self) -> None:
        """Have each computer come in, or come back to a state that knows it."""
        for computer in self._wanted.computers:
            await self._register(computer)
        invited = [await self._invite(it) for it in self._wanted.computers]
        await self._have_join(tuple(it for it in invited if it is not None))
        for computer in self._wanted.computers:
            await self._take_in(computer)

    @property
    def _is_recovery(self) -> bool:
        return self._work.logbook.undertaking is Undertaking.RECOVER

    async def _take_in(self, computer: WantedComputer) -> None:
        """Wait for the partitions of a computer, and say in which region they are."""

        def activity(report: ComputerReport) -> str:
            return (
                "" if report.partitions else f"{computer.title} has no partitions yet"
            )

        await self._hear(computer)
        await self._work.wait(lambda _: self._report(computer), activity)
        computer_id = self._work.logbook.computer_ids[computer.title]
        attributes = {"region": computer.region}
        await self._work.ask(
            lambda master: master.set_computer_attributes(computer_id, attributes)
        )

    async def _hear(self, computer: WantedComputer) -> None:
        """Wait for one that was known before: its partitions say nothing of now."""
        logbook = self._work.logbook
        if not self._is_recovery or computer.title in logbook.joined:
            return
        computer_id = logbook.computer_ids[computer.title]

        def activity(status: AccessStatus) -> str:
            return "" if status.is_known else f"{computer.title} was not heard yet"

        await self._work.wait(
            lambda master: master.computer_status(computer_id), activity
        )
        joined = (*logbook.joined, computer.title)
        self._work.write(evolve(logbook, joined=joined))

    async def _register(self, computer: WantedComputer) -> None:
        registered = await self._work.ask(
            lambda master: master.register_computer(computer.title)
        )
        ids = {
            **self._work.logbook.computer_ids,
            computer.title: registered.computer_id,
        }
        self._work.write(evolve(self._work.logbook, computer_ids=ids))

    async def _invite(self, computer: WantedComputer) -> Errand | None:
        """Return what has a computer come in; a person is told where nothing does."""
        if await self._is_in(computer):
            return None
        token = await self._work.ask(lambda master: master.token("computer"))
        url, title = self._wanted.mini_master_url, computer.title
        words = ("join", url, token, "--title", title)
        if computer.command:
            return Errand(computer, words, JOIN_SECONDS_MAX)
        self._work.say(
            f"On {title}, type: slapcluster {' '.join(computer.words(*words))}\n"
            "and have `slapcluster node run` run there."
        )
        return None

    async def _is_in(self, computer: WantedComputer) -> bool:
        if self._is_recovery:
            return computer.title in self._work.logbook.joined
        return bool((await self._report(computer)).partitions)

    async def _have_join(self, errands: tuple[Errand, ...]) -> None:
        ran = await run_errands(self._work.home.runtime, errands, self._work.show)
        for errand in errands:
            ended = ran[errand.computer.title]
            if ended.failure or ended.status:
                _, _, token, *_ = errand.words
                said = ended.failure.replace(token, "TOKEN")
                raise CommandFailed(
                    f"{errand.computer.title} does not join: {said}\n"
                    "Repeat the command when that is mended."
                )

    async def check_room(self) -> None:
        """See that each region has a partition, and one of them a second one."""
        reports = [await self._report(it) for it in self._wanted.computers]
        free: dict[str, int] = {}
        for computer, report in zip(self._wanted.computers, reports, strict=True):
            count = sum(
                it.title is None or it.root_title == self._wanted.name
                for it in report.partitions
            )
            free[computer.region] = free.get(computer.region, 0) + count
        without = [region for region, count in free.items() if not count]
        if without:
            raise CommandFailed(
                f"{', '.join(without)} has no free partition: give one of its "
                "computers more (`partition_amount` of its slapos.cfg)."
            )
        needed = len(free) + SPARE_PARTITION_COUNT
        if sum(free.values()) < needed:
            raise CommandFailed(
                f"The regions have {sum(free.values())} free partitions, and the "
                f"master needs {needed}: one in each region, and one for its root."
            )

    async def _report(self, computer: WantedComputer) -> ComputerReport:
        computer_id = self._work.logbook.computer_ids[computer.title]
        return await self._work.ask(lambda master: master.computer(computer_id))

    async def supply(self) -> None:
        for computer in self._wanted.computers:
            await self._supply(computer)
        for computer in self._wanted.computers:
            await self._until_built(computer)

    async def _supply(self, computer: WantedComputer) -> None:
        computer_id = self._work.logbook.computer_ids[computer.title]
        wanted = SoftwareInstallation(self._wanted.release_url, computer_id)
        await self._work.ask(lambda master: master.supply(wanted))

    async def _until_built(self, computer: WantedComputer) -> None:
        url = self._wanted.release_url
        await self._work.wait(
            lambda _: self._report(computer),
            lambda report: supply_activity(report, url),
        )

    def _instance_request(self, authority: Mapping[str, str]) -> InstanceRequest:
        """Return the request for the master itself."""
        wanted = self._wanted
        parameters = {
            "regions": " ".join(wanted.regions),
            "storage": "create",
            "neo-cluster": wanted.name,
        }
        if wanted.neo_partition_count is not None:
            parameters["neo-partitions"] = str(wanted.neo_partition_count)
        if authority:
            parameters["authority"] = json.dumps(dict(authority), sort_keys=True)
        return InstanceRequest(wanted.name, wanted.release_url, parameters=parameters)

    async def request_instances(self) -> None:
        """Ask for the master, and wait for the keys that are to be signed."""
        if not (await self._tree()).instances:
            await self._ask_for(self._instance_request({}))
        names = self._wanted.regions

        def activity(tree: TreeReport) -> str:
            missing = [it for it in names if not _requests_of(tree).get(it)]
            if not missing:
                return ""
            there = tree_activity(tree, None)
            return f"{', '.join(missing)}: no key yet; {there}".rstrip("; ")

        await self._work.wait(lambda _: self._tree(), activity)

    async def sign(self) -> None:
        tree = await self._tree()
        asked = json.loads(tree.instances[0].parameters.get("authority", "{}"))
        if set(self._wanted.regions) <= set(asked):
            # A second certificate of the same key would process all of it anew.
            return
        signed = sign_regions(self._work.home, _requests_of(tree), self._wanted.regions)
        await self._ask_for(self._instance_request(signed))

    async def settle(self) -> None:
        """Wait until each promise of the whole tree is kept."""
        names = self._wanted.regions

        def activity(tree: TreeReport) -> str:
            if len(tree.instances) <= len(names):
                return f"{len(tree.instances)} of {len(names) + 1} instances are there"
            without = [it for it in names if it not in replicas_of(tree)]
            if without:
                return f"{', '.join(without)}: no replica yet"
            return tree_activity(tree, None)

        tree = await self._work.wait(lambda _: self._tree(), activity)
        self._work.write(evolve(self._work.logbook, replica_urls=replicas_of(tree)))

    async def _ask_for(self, wanted: InstanceRequest) -> None:
        async def question(master: Master) -> None:
            try:
                await master.request_instance(wanted)
            except NotReady:
                # It is accepted; who waits for it asks for its tree.
                return

        await self._work.ask(question)

    async def _tree(self) -> TreeReport:
        try:
            return await self._work.ask(lambda master: master.tree(self._wanted.name))
        except NotFound:
            return TreeReport(self._wanted.name)


def _requests_of(tree: TreeReport) -> Mapping[str, str]:
    """Return the requests for certificates that regions published, by name."""
    if not tree.instances:
        return {}
    published = tree.instances[0].connection_parameters
    found = json.loads(published.get("certificate-requests", "{}"))
    return {name: it for name, it in found.items() if it}


def replicas_of(tree: TreeReport) -> dict[str, str]:
    """Return the addresses of the replicas in a tree of the master, by region."""
    found = (it.connection_parameters for it in tree.instances[1:])
    return {
        it["region"]: it["replica-url"]
        for it in found
        if it.get("region") and it.get("replica-url")
    }
