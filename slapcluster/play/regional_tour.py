"""Shell. The steps of the demo of three regions: a cloud that hosts itself.

Each step is a coroutine that does something, waits for what must follow, and gives the
sentence of what was seen. ``REGIONAL_STEPS`` lists them with their bounds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attrs import define

from replication.answers import decode_answers
from runtime.ports import Runtime
from slapcluster.hosting.layout import IN_FORCE_FILE, PROMISES
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.play import computers, namespaces, three_regions
from slapcluster.play.bootstrapping import bootstrap
from slapcluster.play.calling import Caller
from slapcluster.play.calls import longest_gap, missing_titles
from slapcluster.play.checkouts import Checkout
from slapcluster.play.cloud import Say
from slapcluster.play.computers import HELLO_URL, REGIONS, title_of
from slapcluster.play.places import Record
from slapcluster.play.second_release import fill_second_release, fingerprint_of
from slapcluster.play.steps import Step, check
from slapcluster.play.visitor import Visitor, first_line

SERVICE = "greeter"

LOAD_COUNT = 5
"""Requests that are granted before something is broken, and again before it counts as
mended."""

POLL_SECONDS = 0.3

PROMISE_SECONDS_MAX = 30
"""One look at a promise: an interpreter on a loaded machine."""

ROLL_SECONDS_MAX = 600
"""For each build and each region, on a loaded machine."""

UPGRADE_SECONDS_MAX = 1500
"""For all of them: it was 661 s where six to twelve programs shared a core."""

_APART = """
import json, os, socket, sys
assert os.getuid() != 0, "runs as root"
for path in sys.argv[1:]:
    shown = os.listdir(path) if os.access(path, os.R_OK) else []
    assert not shown, f"sees {path}: {shown}"
names = sorted(name for _, name in socket.if_nameindex())
assert names == ["eth0", "lo"], f"sees networks: {names}"
print(os.getuid(), end="")
"""


@define
class RegionalTour:
    """A visit of one cloud; what earlier steps learned is kept for later ones."""

    runtime: Runtime
    checkout: Checkout
    say: Say
    record: Record
    url: str = ""
    lost: str = ""
    second_release: str = ""
    _caller: Caller | None = None

    @property
    def visitor(self) -> Visitor:
        return Visitor(self.runtime, self.record)

    def at(self, region: str) -> Visitor:
        return Visitor(self.runtime, self.record, region)

    def end(self) -> None:
        """Have nobody request any more."""
        if self._caller is not None:
            self._caller.end()

    @property
    def caller(self) -> Caller:
        if self._caller is None:
            self._caller = Caller(self.runtime, self.record, self.say)
        return self._caller

    async def show_confinement(self) -> str:
        users = []
        for region in REGIONS:
            others = [f"{self.record.place}/{it}" for it in REGIONS if it != region]
            closed = (*others, f"{self.record.place}/home", str(self.checkout.path))
            argv = ("python", "-I", "-c", _APART, *closed)
            users.append(await self.at(region).run(argv))
        return (
            f"users {', '.join(dict.fromkeys(users))}; none sees files, processes or "
            "networks of another"
        )

    async def bootstrap(self) -> str:
        done = await bootstrap(self.runtime, self.checkout, self.record, self.say)
        self.record = done.record
        return ", ".join(
            f"{title} {seconds:.0f} s" for title, seconds in done.seconds.items()
        )

    async def show_self_hosted(self) -> str:
        """See that nothing is left of the mini-master, and that others answer."""
        home = f"{self.record.bootstrap_home}/mini-master"
        is_there = self.visitor.file("home/cloud/mini-master").exists()
        check(not is_there, f"{home} is there")
        left = namespaces.processes_that_name(self.record, home)
        check(not left, f"processes of the mini-master: {left}")
        listed = await self.visitor.slapcluster("replica", "list")
        urls = {it["url"].rstrip("/") for it in listed}
        wanted = {it.rstrip("/") for it in self.record.replica_urls}
        check(wanted <= urls, f"replicas: {sorted(urls)}")
        return f"no process, no directory, no key; {len(wanted)} replicas answer"

    async def request_service(self) -> str:
        """Supply hello and request it, on a computer that will not be lost."""
        primary = await self.primary()
        region = next(it for it in REGIONS if it != primary)
        computer_id = self.computer_id(region)
        await self.visitor.slapcluster("supply", HELLO_URL, computer_id, "--wait")
        instance = await self.visitor.slapcluster(
            *("request", SERVICE, HELLO_URL, "--wait"),
            *("--parameters", "greeting=Hello"),
            *("--node", f"computer_guid={computer_id}"),
        )
        self.url = instance["connection_parameters"]["url"]
        page = await self._until_page(self.url, "Hello")
        return f"{self.url} on {title_of(region)} says {first_line(page)}"

    async def begin_calling(self) -> str:
        """Have somebody request all the time, from here to the end."""
        begun = self.runtime.clock.seconds()
        self.caller.begin(HELLO_URL)
        await self.caller.until_granted(LOAD_COUNT, begun)
        count = len(self.caller.granted_since(begun))
        seconds = self.runtime.clock.seconds() - begun
        return f"{count} shared instances in {seconds:.1f} s"

    async def lose_region(self) -> str:
        """Take the power of the computer of the primary, and see requests go on."""
        self.lost = await self.primary()
        died_at = self.runtime.clock.seconds()
        three_regions.take_power(self.record, self.lost)
        await three_regions.until_off(self.runtime, self.record, self.lost)
        await self.caller.until_granted(LOAD_COUNT, died_at + 1)
        seconds = longest_gap(self.caller.answers, died_at)
        while (primary := await self.primary()) == self.lost:
            await pause(self.runtime.clock, POLL_SECONDS)
        return (
            f"{self.lost} is dead, nothing was granted for {seconds:.1f} s, {primary} "
            "decides"
        )

    async def use_meanwhile(self) -> str:
        """Request, and fetch what came of it, with a region missing."""
        shared = await self.visitor.slapcluster(
            *("request", "evening", HELLO_URL, "--shared", "--wait"),
            *("--parameters", "greeting=Good evening"),
        )
        page = await self._until_page(
            shared["connection_parameters"]["url"], "Good evening"
        )
        return f"without {self.lost}: {first_line(page)}"

    async def give_back(self) -> str:
        """Start the computer again, and see its region keep all its promises."""
        three_regions.give_power(self.record, self.lost)
        await three_regions.until_on(self.runtime, self.record, self.lost)
        while True:
            sentences = await self._promises(self.lost)
            # It is kept without a region, too, and that one may be late in its eyes.
            if f"all {len(REGIONS)} regions" in sentences["quorum"]:
                return f"{self.lost}: {sentences['quorum']}; {sentences['lag']}"

    async def show_nothing_missing(self) -> str:
        """See that all that was granted is there."""
        answers = list(self.caller.answers)
        listed = await self.visitor.slapcluster("service", "list")
        missing = missing_titles(answers, (it["title"] for it in listed))
        check(not missing, f"granted and not there: {', '.join(missing)}")
        count = sum(it.is_granted for it in answers)
        return f"all {count} are there, {len(answers) - count} calls were refused"

    async def lose_all(self) -> str:
        """Take the power of all computers at once."""
        for region in REGIONS:
            three_regions.take_power(self.record, region)
        for region in REGIONS:
            await three_regions.until_off(self.runtime, self.record, region)
        left = [it for it in REGIONS if namespaces.first_pid_of(self.record, it)]
        check(not left, f"these run: {left}")
        return "nothing runs but whoever requests"

    async def start_cold(self) -> str:
        """Start them in an order that is drawn; nobody does anything else."""
        order = list(REGIONS)
        self.runtime.entropy.shuffle(order)
        begun = self.runtime.clock.seconds()
        for region in order:
            three_regions.give_power(self.record, region)
            await three_regions.until_on(self.runtime, self.record, region)
            await pause(self.runtime.clock, self.runtime.entropy.uniform(0, 5))
        await self.caller.until_granted(LOAD_COUNT, begun)
        seconds = self.caller.granted_since(begun)[0].instant - begun
        await self._until_page(self.url, "Hello")
        total = self.runtime.clock.seconds() - begun
        return (
            f"{', '.join(order)}: requests are granted after {seconds:.0f} s, the "
            f"service answers after {total:.0f} s, no mini-master"
        )

    async def make_second_release(self) -> str:
        """Fill another release of the checkout, where the operator reads it."""
        directory = Path(self.record.place, "second")
        filling = fill_second_release(self.runtime, self.checkout, directory, self.say)
        release = await filling
        self.second_release = str(release)
        return f"{fingerprint_of(release)[:12]}: a record has a field more"

    async def roll(self) -> str:
        """Have the master take up the other release, and see nobody refused."""
        begun = self.runtime.clock.seconds()
        told = await self.upgrade(self.second_release)
        within = [it for it in self.caller.answers if it.instant > begun]
        refused = sum(not it.is_granted for it in within)
        check(not refused, f"{refused} of {len(within)} requests were refused")
        seconds = longest_gap(self.caller.answers, begun)
        regions = ", ".join(it["title"] for it in told["instances"][1:])
        return (
            f"{regions} run it; {len(within)} requests were granted meanwhile and 0 "
            f"refused, nothing was granted for {seconds:.1f} s at most"
        )

    async def upgrade(self, release: str) -> Any:
        """Type the command, and wait until the master runs it; return its answer."""
        told = await self.visitor.slapcluster(
            *("upgrade", release, "--timeout", str(ROLL_SECONDS_MAX)),
            timeout_seconds=UPGRADE_SECONDS_MAX,
        )
        url = told["release_url"]
        left = [it["title"] for it in told["instances"] if it["runs"] != url]
        check(told["is_done"] and not left, f"{', '.join(left)} does not run {url}")
        return told

    def computer_id(self, region: str) -> str:
        logbook = Path(self.record.bootstrap_home, "logbook.json").read_bytes()
        return computers.computer_id_of(logbook, region)

    def partition_of(self, region: str) -> Path:
        """Return where the region of a computer runs."""
        home = Path(self.record.place, region)
        found = [*home.glob(f"srv/slappart*/{IN_FORCE_FILE}")]
        check(len(found) == 1, f"{region} has {len(found)} regions")
        return Path(str(found[0]).removesuffix(f"/{IN_FORCE_FILE}"))

    async def primary(self) -> str:
        """Return the region whose neo_master decides, when those who run agree."""
        while True:
            for region in REGIONS:
                found = await self._primary_known_to(region)
                if found is not None:
                    return found
            await pause(self.runtime.clock, POLL_SECONDS)

    async def _primary_known_to(self, region: str) -> str | None:
        if namespaces.first_pid_of(self.record, region) is None:
            return None
        in_force = json.loads((self.partition_of(region) / IN_FORCE_FILE).read_bytes())
        look = ("-m", "replication.neo.neoctl", "look", in_force["admin_node"])
        try:
            said = await self.at(region).run(("python", "-I", *look))
        except CommandFailed:
            return None
        (answer,) = decode_answers(said.encode())
        if answer.failure or answer.is_primary_silent or not answer.is_running:
            return None
        host = answer.primary_address.rpartition(":")[0].strip("[]")
        return computers.region_at(self.record, host)

    async def _promises(self, region: str) -> dict[str, str]:
        """Wait until all promises of a region are kept; return what they say."""
        return await self.until_kept(region, str(self.partition_of(region)))

    async def until_kept(self, region: str, home: str) -> dict[str, str]:
        """Do so for a partition of the computer of a region."""
        kept: dict[str, str] = {}
        while len(kept) < len(PROMISES):
            kept = {}
            for name in PROMISES:
                checking = ("hosted", "check", name, home)
                argv = ("slapcluster", "--output", "json", *checking)
                try:
                    said = await self.at(region).run(argv, PROMISE_SECONDS_MAX)
                except CommandFailed as error:
                    self.say(f"{region}: {first_line(error.sentence)}")
                    break
                kept[name] = json.loads(said)["sentence"]
            else:
                break
            await pause(self.runtime.clock, POLL_SECONDS)
        return kept

    async def _until_page(self, url: str, text: str) -> str:
        return await self.visitor.until(
            lambda: self.visitor.fetch(url), lambda page: text in page
        )


REGIONAL_STEPS: tuple[Step[RegionalTour], ...] = (
    Step("apart from each other", RegionalTour.show_confinement, 60),
    Step("bootstrap", RegionalTour.bootstrap, 900),
    Step("the mini-master is gone", RegionalTour.show_self_hosted, 60),
    Step("a service requested", RegionalTour.request_service, 120),
    Step("somebody requests all the time", RegionalTour.begin_calling, 60),
    Step("the primary's region killed", RegionalTour.lose_region, 120),
    Step("requests go on", RegionalTour.use_meanwhile, 90),
    Step("the region comes back", RegionalTour.give_back, 240),
    Step("nothing granted is missing", RegionalTour.show_nothing_missing, 60),
)

FULL_STEPS: tuple[Step[RegionalTour], ...] = (
    Step("all lose power at once", RegionalTour.lose_all, 60),
    Step("a cold start", RegionalTour.start_cold, 180),
    Step("nothing is missing after it", RegionalTour.show_nothing_missing, 60),
    Step("another release is made", RegionalTour.make_second_release, 300),
    Step("it rolls over the regions", RegionalTour.roll, UPGRADE_SECONDS_MAX),
    Step("nothing is missing after the roll", RegionalTour.show_nothing_missing, 60),
)
