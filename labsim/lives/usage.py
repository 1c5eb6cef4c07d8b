"""Shell. A life of the reports of usage, whose agent dies after any of its effects.

Instances write reports while the agent takes, seals and sends them, and is killed, or
loses its power, or the master. In the end the master has each of them exactly once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from traceback import format_exception

from attrs import define, field

from labsim.lives.dying import Died, Fate, dying
from labsim.world.world import World
from master_cluster import config as master_config
from master_cluster.service import build_service as build_master
from runtime.ports import IFileTree, Runtime, TcpAddress
from slap import calls
from slap.calls import Call
from slap.model import ComputerDefinition, PartitionDefinition
from slap.replicas import Replicas
from slap.tioxml import decode_journal
from slap.usage import UsageList, UsageReport
from slapgrid.config import Config
from slapgrid.format.settings import FormatSettings
from slapgrid.identity import Identity
from slapgrid.reporting.reporter import Reporter
from slapgrid.slap_client import SlapClient

PORT = 5000
COMPUTER = "COMP-0"
INSTANCES = "/srv/instances"
PARTITIONS = ("slappart0", "slappart1")

ROUNDS = 24
REPORTS_MAX = 3
"""Of one round, each of any partition."""

HURRY_FRACTION = 1 / 4
"""After so many rounds there are two documents of one second."""

FULL_FRACTION = 1 / 4
"""Before so many passes the disk is full: nothing is claimed, and what waits leaves."""

EFFECTS_MAX = 16
"""A pass with a report has about as many: most passes end in a death."""

PASS_SECONDS_MAX = 4000.0
"""Several calls of a master that is away."""


class DyingClient(SlapClient):
    """One whose program dies before or after an answer."""

    fate: Fate

    async def perform(self, call: Call) -> object:
        if self.fate.is_after:
            answer = await super().perform(call)
            return self.fate.meet(lambda: answer)
        self.fate.meet(lambda: None)
        return await super().perform(call)


def build_reporter(
    config: Config,
    runtime: Runtime,
    identity_of: Callable[[str], Identity],
    fate: Fate | None,
) -> tuple[Reporter, SlapClient]:
    """A process that reports, with its client; it dies if it has a fate."""
    replicas = Replicas(config.master_urls)
    client = SlapClient(runtime, replicas)
    if fate is not None:
        client = DyingClient(runtime, replicas)
        client.fate = fate
        runtime = dying(runtime, fate)
    return Reporter(config, runtime, identity_of, client), client


def report_of(quantity: int) -> bytes:
    """What an instance reports that consumed so much."""
    return (
        "<consumption><movement><resource>service_module/visits</resource>"
        "<title>visits</title><reference>mine</reference>"
        f"<quantity>{quantity}</quantity><price>0.0</price><VAT></VAT>"
        "<category>type/visits</category></movement></consumption>"
    ).encode()


@define(eq=False)
class Life:
    """A master, a computer of two partitions, and what was reported."""

    world: World
    written: Counter[tuple[str, str]] = field(factory=Counter)
    entropy: Random = field(init=False)
    _client: SlapClient = field(init=False)
    _reporter: Reporter = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.entropy = self.world.entropy("usage")
        address = TcpAddress(self.world.host("master").address, PORT)
        config = master_config.Config("memory:", address, is_loopback_only=False)
        self.world.host("master").boot(lambda it: build_master(config, it))
        for number, name in enumerate(PARTITIONS):
            self.files.make_directory(name, 0o750)
            self.files.change(name, uid=1001 + number, gid=1001 + number)
            self.files.make_directory(f"{name}/var/xml_report")
        self.world.run_for(10)
        self._restart(None)
        definition = ComputerDefinition(
            COMPUTER, partitions=tuple(map(PartitionDefinition, PARTITIONS))
        )
        self._perform(calls.define_computer(definition))

    @property
    def files(self) -> IFileTree:
        return self.world.host("computer").runtime.file_tree(INSTANCES)

    def play(self) -> None:
        for _ in range(ROUNDS):
            for _ in range(self.entropy.randrange(REPORTS_MAX + 1)):
                self._write()
            self._report_and_die()
            if self.entropy.random() < HURRY_FRACTION:
                self._report_twice_in_a_second()
        self._restart(None)
        self._report()

    def kept(self) -> Counter[tuple[str, str]]:
        """Of every movement that the master has, whose it is and how much."""
        answer = self._perform(calls.list_usage(COMPUTER))
        assert isinstance(answer, UsageList)
        kept: Counter[tuple[str, str]] = Counter()
        for summary in answer.documents:
            call = calls.get_usage_document(COMPUTER, summary.document_id)
            found = self._perform(call)
            assert isinstance(found, UsageReport)
            for entry in decode_journal(found.document).entries:
                kept.update((it.reference, it.quantity) for it in entry.movements)
        return kept

    def finish(self) -> None:
        self.world.result(self._client.close())
        self.world.finish()

    def _write(self) -> None:
        """Report under a name that was used before; equal ones are two."""
        name = self.entropy.choice(PARTITIONS)
        path = f"{name}/var/xml_report/{self.entropy.randrange(2)}.xml"
        if self.files.status(path) is None:
            quantity = self.entropy.randrange(3)
            self.files.write(path, report_of(quantity))
            self.written[name, str(quantity)] += 1

    def _report_twice_in_a_second(self) -> None:
        """Two meters that begin at zero again say the same."""
        self._restart(None)
        self._report()
        for _ in range(2):
            path = f"{PARTITIONS[0]}/var/xml_report/meter.xml"
            self.files.write(path, report_of(0))
            self.written[PARTITIONS[0], "0"] += 1
            self._report()

    def _report_without_room(self) -> None:
        disk = self.world.host("computer").disk
        disk.fill()
        self._restart(None)
        self._report()
        disk.empty()

    def _report_and_die(self) -> None:
        entropy = self.entropy
        if entropy.random() < FULL_FRACTION:
            self._report_without_room()
        fate = Fate(entropy.randrange(EFFECTS_MAX), entropy.random() < 1 / 2)
        if entropy.random() < 1 / 4:
            self.world.sever("master", "computer")
        self._restart(fate)
        try:
            self._report()
        except Died:
            if entropy.random() < 1 / 2:
                self.world.run_for(1)  # a removal that it began ends
        self.world.heal("master", "computer")
        if entropy.random() < 1 / 2:
            self.world.host("computer").bounce()
        self.world.run_for(1)

    def _restart(self, fate: Fate | None) -> None:
        """Another process reports, one that dies if it has a fate."""
        runtime: Runtime = self.world.host("computer").runtime
        self._reporter, self._client = build_reporter(
            self._config, runtime, self._identity_of, fate
        )

    @property
    def _config(self) -> Config:
        return Config(
            computer_id=COMPUTER,
            master_urls=(f"http://[{self.world.host('master').address}]:{PORT}",),
            software_root="/srv/software",
            instance_root=INSTANCES,
            format=FormatSettings(partition_amount=len(PARTITIONS)),
        )

    def _identity_of(self, partition_id: str) -> Identity:
        owner = self.files.status(partition_id)
        assert owner is not None
        return Identity(owner.uid, owner.gid)

    def _report(self) -> None:
        self.world.result(self._reporter.report(PARTITIONS), PASS_SECONDS_MAX)

    def _perform(self, call: Call) -> object:
        return self.world.result(self._client.perform(call))


def find_problem(seed: int) -> str:
    """Play one life; say what is lost or counted twice, ``""`` when nothing is."""
    life = Life(World(seed))
    try:
        life.play()
        kept = life.kept()
        life.finish()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
        return "".join(format_exception(error))
    missing, extra = life.written - kept, kept - life.written
    told = [f"{count} of {it} lost" for it, count in missing.items()]
    told += [f"{count} of {it} too many" for it, count in extra.items()]
    return ", ".join(told)
