"""Shell. The steps of the demo: what a cloud does, from supply to destruction.

Each step is a coroutine that does something, waits for what must follow, and gives the
sentence of what was seen. ``STEPS_OF`` lists them with their bounds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import define
from twisted.internet.defer import Deferred

from slapcluster.play.places import PARTITION_COUNT, Record
from slapcluster.play.settings import COMPUTER_ID, NEO_DIRECTORY, StoreKind
from slapcluster.play.steps import Step, check
from slapcluster.play.visitor import Visitor, first_line

CHILD_COUNT = 2

AGENT_SUPERVISORD_CONF = "srv/etc/supervisord.conf"

_APART = """
import os, socket, sys
assert os.getuid() != 0, "runs as root"
shown = os.listdir(sys.argv[1]) if os.access(sys.argv[1], os.R_OK) else []
assert not shown, f"sees the checkout: {shown}"
names = [name for _, name in socket.if_nameindex()]
assert names == ["lo"], f"sees networks: {names}"
print(f"user {os.getuid()}, only lo, no checkout", end="")
"""


@define
class Tour:
    """A visit of one cloud; what earlier steps learned is kept for later ones."""

    visitor: Visitor
    record: Record
    checkout: Path
    url: str = ""

    def release_url(self, profile: str) -> str:
        return f"{self.record.master_url}release/software/hello/{profile}"

    async def show_computer(self) -> str:
        report = await self.visitor.slapcluster("computer", "info", COMPUTER_ID)
        addresses = {
            it["address"] for part in report["partitions"] for it in part["addresses"]
        }
        ipv6_count = sum(":" in address for address in addresses)
        check(len(report["partitions"]) == PARTITION_COUNT, "not ten partitions")
        return f"partitions: {PARTITION_COUNT}, IPv6 addresses: {ipv6_count}"

    async def show_confinement(self) -> str:
        if not self.record.way.is_apart:
            return "this machine refuses namespaces; ::1 and distinct ports instead"
        argv = ("python", "-I", "-c", _APART, str(self.checkout))
        return await self.visitor.run(argv)

    async def supply(self) -> str:
        return await self._supply("software.cfg")

    async def request_tree(self) -> str:
        instance = await self._request("Hello")
        self.url = instance["connection_parameters"]["url"]
        tree = await self.visitor.slapcluster("service", "info", "greeter")
        titles = [it["title"] for it in tree["instances"]]
        check(len(titles) == 1 + CHILD_COUNT, f"instances: {titles}")
        states = {it["reported_state"] for it in tree["instances"]}
        check(states == {"started"}, f"reported: {states}")
        return f"{', '.join(titles)}: promises kept"

    async def request_shared(self) -> str:
        seen = []
        for title, greeting in (("morning", "Good morning"), ("night", "Good night")):
            shared = await self.visitor.slapcluster(
                *("request", title, self.release_url("software.cfg"), "--shared"),
                *("--parameters", f"greeting={greeting}", "--wait"),
            )
            url = shared["connection_parameters"]["url"]
            page = await self._until_page(url, greeting)
            seen.append(first_line(page))
        return ", ".join(seen)

    async def fetch(self) -> str:
        page = await self.visitor.fetch(self.url)
        check(page.startswith("Hello"), f"it says {page!r}")
        children = [line.partition(": ")[2] for line in page.splitlines()[1:]]
        check(len(children) == CHILD_COUNT, f"it says {page!r}")
        for url in children:
            greeting = await self.visitor.fetch(url)
            check(greeting.startswith("Hello"), f"{url} says {greeting!r}")
        return f"{self.url} and {len(children)} children say {first_line(page)}"

    async def change_parameter(self) -> str:
        await self._request("Bonjour")
        page = await self._until_page(self.url, "Bonjour")
        return f"it says {first_line(page)}"

    async def upgrade(self) -> str:
        await self._supply("software-2.cfg")
        await self._request("Bonjour", "software-2.cfg")
        page = await self._until_page(f"{self.url}about", '"release"')
        return f"release {json.loads(page)['release']} answers"

    async def kill_program(self) -> str:
        name, before = await self._program()
        await self.visitor.kill(before)
        _, after = await self.visitor.until(
            self._program, lambda found: found[1] != before
        )
        page = await self._until_page(self.url, "Bonjour")
        return f"{name}: process {before} is {after} now, {first_line(page)}"

    async def kill_agent(self) -> str:
        """Kill the agent while it makes an instance, and see the instance made."""
        before = await self.visitor.agent_pid()
        release_url = self.release_url("software-2.cfg")
        command = ("request", "late", release_url, "--parameters", "greeting=Late")
        instance = await self.visitor.slapcluster(*command)
        partition = f"srv/{instance['key']['partition_id']}"
        begun = self.visitor.file(f"{partition}/buildout.cfg")
        finished = self.visitor.file(f"{partition}/.timestamp")
        await self.visitor.until_true(begun.exists)
        await self.visitor.kill(before)
        check(not finished.exists(), "the pass had ended before the agent was killed")
        after = await self.visitor.until(
            self.visitor.agent_pid, lambda pid: pid not in {0, before}
        )
        instance = await self.visitor.slapcluster(*command, "--wait")
        page = await self.visitor.fetch(instance["connection_parameters"]["url"])
        return (
            f"agent {before} is {after} now; the new instance says {first_line(page)}"
        )

    async def destroy(self) -> str:
        before = await self._free_count()
        await self.visitor.slapcluster("service", "destroy", "late", "--wait")
        after = await self._free_count()
        check(after == before + 1, f"{before} partitions were free, {after} are")
        return f"{after} of {PARTITION_COUNT} partitions free"

    async def lose_region(self) -> str:
        """Make a request while the region of the primary is killed, then start it."""
        before = await self._neo_cluster()
        check(before["standing"] == "whole", f"remarks: {before['remarks']}")
        lost = next(it for it in before["regions"] if it["is_primary"])
        name = lost["name"]
        check(lost["if_lost"] == "goes on", f"if {name} is lost: {lost['if_lost']}")
        requesting = Deferred.fromCoroutine(
            self.visitor.slapcluster(
                *("request", "evening", self.release_url("software-2.cfg"), "--shared"),
                *("--parameters", "greeting=Good evening", "--wait"),
            )
        )
        # The kernel kills the programs of a supervisord that dies.
        await self.visitor.kill(lost["supervisord"]["pid"])
        shared = await requesting
        page = await self._until_page(
            shared["connection_parameters"]["url"], "Good evening"
        )
        without = await self._neo_cluster()
        primary = next(it["name"] for it in without["regions"] if it["is_primary"])
        check(primary != name, f"{primary} is the primary")
        directory = f"{self.record.place}/{NEO_DIRECTORY}"
        await self.visitor.run(
            ("slapcluster", "storage", "start", directory, "--region", name)
        )
        await self.visitor.until(
            self._neo_cluster, lambda it: it["standing"] == "whole"
        )
        return (
            f"{name} is dead, {primary} decides in epoch {without['epoch']}; requested "
            f"meanwhile: {first_line(page)}; {name} is back and has caught up"
        )

    async def _neo_cluster(self) -> Any:
        directory = f"{self.record.place}/{NEO_DIRECTORY}"
        argv = ("slapcluster", "--output", "json", "storage", "status", directory)
        # Its exit code says whether it is whole; so does what it writes.
        return json.loads(await self.visitor.run(("sh", "-c", f"{' '.join(argv)}; :")))

    async def _supply(self, profile: str) -> str:
        url = self.release_url(profile)
        await self.visitor.slapcluster("supply", url, COMPUTER_ID, "--wait")
        return f"{profile} built from the wheels that the mini-master serves"

    async def _request(self, greeting: str, profile: str = "software.cfg") -> Any:
        return await self.visitor.slapcluster(
            *("request", "greeter", self.release_url(profile), "--wait"),
            *("--parameters", f"greeting={greeting}"),
            *("--parameters", f"children={CHILD_COUNT}"),
        )

    async def _until_page(self, url: str, text: str) -> str:
        """Visit until the page holds a text."""
        return await self.visitor.until(
            lambda: self.visitor.fetch(url), lambda page: text in page
        )

    async def _program(self) -> tuple[str, int]:
        """Return the program of the root instance, and its process."""
        tree = await self.visitor.slapcluster("service", "info", "greeter")
        partition_id = tree["instances"][0]["partition"]["partition_id"]
        listing = await self.visitor.supervisor(
            AGENT_SUPERVISORD_CONF, "status", f"{partition_id}:*"
        )
        name, status, *rest = listing.split()
        check(status == "RUNNING", listing)
        return name, int(rest[rest.index("pid") + 1].rstrip(","))

    async def _free_count(self) -> int:
        computers = await self.visitor.slapcluster("computer", "list")
        return int(computers[0]["free_count"])


STEPS = (
    Step("a computer with ten partitions", Tour.show_computer, 20),
    Step("apart from this machine", Tour.show_confinement, 20),
    Step("hello supplied", Tour.supply, 60),
    Step("a tree requested", Tour.request_tree, 60),
    Step("two shared instances", Tour.request_shared, 40),
    Step("fetched over IPv6", Tour.fetch, 20),
    Step("a parameter changed", Tour.change_parameter, 40),
    Step("the release upgraded", Tour.upgrade, 90),
    Step("a process killed", Tour.kill_program, 30),
    Step("the agent killed in a pass", Tour.kill_agent, 60),
    Step("an instance destroyed", Tour.destroy, 40),
)

STEPS_OF = {
    StoreKind.FILE: STEPS,
    StoreKind.NEO: (*STEPS, Step("a region killed", Tour.lose_region, 90)),
}
