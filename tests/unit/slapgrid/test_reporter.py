"""Reports of instances on their way to the master, whatever ends on the way."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from labsim.lives.dying import Died, Fate
from labsim.lives.usage import build_reporter
from labsim.world.host import Process
from labsim.world.world import World
from master_cluster import config as master_config
from master_cluster.service import build_service as build_master
from runtime.ports import Exit, IFileTree, Program, Runtime, TcpAddress
from slap import calls
from slap.calls import Call
from slap.tioxml import decode_journal
from slap.usage import UsageList, UsageReport
from slapgrid.config import Config
from slapgrid.format.settings import FormatSettings
from slapgrid.identity import Identity
from slapgrid.layout import USAGE_CLAIMS, USAGE_OUTGOING, USAGE_REFUSED
from slapgrid.reporting.merging import REPORT_BYTES_MAX
from slapgrid.reporting.reporter import SETTLED_SECONDS, Reported, Reporter
from slapgrid.slap_client import SlapClient
from tests.builders import a_computer_definition, a_usage_document

PORT = 5000
PARTITION = "slappart0/var/xml_report"


def a_report(quantity: float = 1, title: str = "a title", count: int = 1) -> bytes:
    """What an instance reports that consumed so much, so many times."""
    movement = (
        "<movement><resource>service_module/visits</resource>"
        f"<title>{title}</title><reference>mine</reference>"
        f"<quantity>{quantity}</quantity><price>0.0</price><VAT></VAT>"
        "<category>type/visits</category></movement>"
    )
    return f"<consumption>{movement * count}</consumption>".encode()


@define
class UsageCloud:
    """A master that keeps what it is told, and a computer of two partitions."""

    world: World = field(factory=lambda: World(seed=1))
    reporter: Reporter = field(init=False)
    asked: Counter[str] = field(factory=Counter)
    _client: SlapClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.world.host("master").boot(
            lambda runtime: build_master(
                master_config.Config(
                    "memory:",
                    TcpAddress(self.world.host("master").address, PORT),
                    is_loopback_only=False,
                ),
                runtime,
            )
        )
        for index in range(2):
            self.files.make_directory(f"slappart{index}", 0o750)
            self.files.change(f"slappart{index}", uid=1001 + index, gid=1001 + index)
            self.files.make_directory(f"slappart{index}/var/xml_report")
        self.world.run_for(10)
        self.restart()
        self.perform(calls.define_computer(a_computer_definition(2)))

    @property
    def config(self) -> Config:
        return Config(
            computer_id="COMP-1",
            master_urls=(f"http://[{self.world.host('master').address}]:{PORT}",),
            software_root="/srv/software",
            instance_root="/srv/instances",
            format=FormatSettings(partition_amount=2),
        )

    @property
    def files(self) -> IFileTree:
        return self.world.host("computer").runtime.file_tree("/srv/instances")

    def restart(self, fate: Fate | None = None) -> None:
        """Another process reports, one that dies if it has a fate."""
        runtime: Runtime = self.world.host("computer").runtime
        self.reporter, self._client = build_reporter(
            self.config, runtime, self._identity_of, fate
        )

    def _identity_of(self, partition_id: str) -> Identity:
        owner = self.files.status(partition_id)
        assert owner is not None
        return Identity(owner.uid, owner.gid)

    def report(self) -> Reported:
        """A whole pass; raises ``Died`` if the process dies in it."""
        return self.world.result(self.reporter.report(("slappart0", "slappart1")), 4000)

    def perform(self, call: Call) -> object:
        return self.world.result(self._client.perform(call))

    def kept_documents(self) -> list[str]:
        answer = self.perform(calls.list_usage("COMP-1"))
        assert isinstance(answer, UsageList)
        documents = []
        for summary in answer.documents:
            found = self.perform(
                calls.get_usage_document("COMP-1", summary.document_id)
            )
            assert isinstance(found, UsageReport)
            documents.append(found.document)
        return documents

    def kept(self) -> list[tuple[str, str]]:
        """Of every movement that the master has, whose it is and how much."""
        return sorted(
            (movement.reference, movement.quantity)
            for document in self.kept_documents()
            for entry in decode_journal(document).entries
            for movement in entry.movements
        )

    def names(self, directory: str) -> tuple[str, ...]:
        try:
            return self.files.list(directory)
        except FileNotFoundError:
            return ()

    def add_program(self, behaviour: str) -> None:
        """Give the first partition a report program, which does as it is told."""
        self.files.make_directory("slappart0/etc/report")
        self.files.write("slappart0/etc/report/visits", b"#!/bin/sh\n", 0o755)

        async def run(program: Program, process: Process) -> Exit:
            self.asked[f"{program.uid} {program.directory}"] += 1
            path = program.argv[1].removeprefix("/srv/instances/")
            files = process.host.pending_files("/srv/instances")
            if behaviour == "hangs":
                files.write(path, b"<consumption>")
                await process.sleep(1e9)
            content = b"<consumption>" if behaviour == "fails" else a_report(7)
            files.write(path, content)
            return Exit(1 if behaviour == "fails" else 0, output=b"no log\n")

        self.world.host("computer").add_behaviour(
            lambda program: "/etc/report/" in program.argv[0], run
        )

    def finish(self) -> None:
        self.world.result(self._client.close())
        self.world.finish()


@pytest.fixture
def cloud() -> UsageCloud:
    return UsageCloud()


def test_reports_of_all_partitions_become_one_document(cloud: UsageCloud) -> None:
    """Each movement names its partition; texts are escaped, an empty VAT is empty."""
    cloud.files.write(f"{PARTITION}/one", a_report(1, "a &lt; b"))
    cloud.files.make_directory("var/xml_report/slappart1")
    cloud.files.write("var/xml_report/slappart1/two.xml", a_report(2))

    reported = cloud.report()

    (document,) = cloud.kept_documents()
    (entry,) = decode_journal(document).entries
    assert (entry.title, entry.start_date, entry.stop_date, entry.reference) == (
        "Resource consumptions",
        "",
        "2023-11-14 at 22:13:30",
        "COMP-1",
    )
    assert [it.kind for it in entry.arrows] == ["Administration"]
    assert [
        (it.reference, it.title, it.quantity, it.vat) for it in entry.movements
    ] == [
        ("slappart0", "a < b", "1", ""),
        ("slappart1", "a title", "2", ""),
    ]
    assert reported.reason == "1 usage documents delivered"
    assert cloud.names(PARTITION) == cloud.names("var/xml_report/slappart1") == ()
    assert cloud.names(USAGE_OUTGOING) == cloud.names(USAGE_CLAIMS) == ()
    cloud.finish()


def test_documents_of_the_computer_are_sent_as_they_are(cloud: UsageCloud) -> None:
    document = a_usage_document("42.5")
    cloud.files.make_directory("var/xml_report/COMP-1")
    cloud.files.write("var/xml_report/COMP-1/2026-11-20.xml", document.encode())

    cloud.report()

    assert cloud.kept_documents() == [document]
    assert cloud.names("var/xml_report/COMP-1") == ()


def test_equal_reports_in_one_second_are_two_consumptions(cloud: UsageCloud) -> None:
    """A master that keeps each text once must not take one for the other."""
    for _ in range(2):
        cloud.files.write(f"{PARTITION}/hourly", a_report(1))
        cloud.world.result(cloud.reporter.deliver())

    assert cloud.kept() == [("slappart0", "1")] * 2


def test_a_report_program_runs_as_the_user_of_its_partition(
    cloud: UsageCloud,
) -> None:
    cloud.add_program("works")

    cloud.report()

    assert cloud.asked == {"1001 /srv/instances/slappart0": 1}
    assert cloud.kept() == [("slappart0", "7")]


@pytest.mark.parametrize("behaviour", ["fails", "hangs"])
def test_a_report_program_that_fails_does_not_hold_the_others_up(
    cloud: UsageCloud, behaviour: str
) -> None:
    """What it wrote is kept aside with the reason."""
    cloud.add_program(behaviour)
    cloud.files.write("slappart1/var/xml_report/one", a_report(3))

    reported = cloud.report()

    assert cloud.kept() == [("slappart1", "3")]
    assert "slappart0: etc/report/visits" in reported.reason
    assert len(cloud.names(USAGE_REFUSED)) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<consumption>",
        b"\xff\xfe",
        a_usage_document().encode(),
        a_report().replace(b"<VAT>", b"<vat>"),
        a_report(title=">" * 4000, count=200),
    ],
    ids=range(6),
)
def test_an_invalid_report_is_kept_aside_once_nobody_writes_it(
    cloud: UsageCloud, content: bytes
) -> None:
    cloud.files.write(f"{PARTITION}/bad", content)
    cloud.files.write(f"{PARTITION}/good", a_report(5))
    fresh = cloud.report()
    assert cloud.names(PARTITION) == ("bad",)
    cloud.world.run_for(SETTLED_SECONDS)

    settled = cloud.report()

    assert "is invalid or not complete" in fresh.reason
    assert "is invalid and kept aside" in settled.reason
    assert cloud.names(PARTITION) == ()
    kept, reason = cloud.names(USAGE_REFUSED)
    assert cloud.files.read(f"{USAGE_REFUSED}/{kept}") == content
    assert cloud.files.read(f"{USAGE_REFUSED}/{reason}") != b""
    assert cloud.kept() == [("slappart0", "5")]


def test_what_is_no_report_stays_where_it_is(cloud: UsageCloud) -> None:
    """A link leads to the files of another; a large one fills the disk."""
    cloud.files.link(f"{PARTITION}/link", "/etc/shadow")
    cloud.files.write(f"{PARTITION}/large", b" " * (REPORT_BYTES_MAX + 1))
    cloud.files.write(f"{PARTITION}/.unfinished", a_report())
    cloud.files.make_directory(f"{PARTITION}/directory")

    reported = cloud.report()

    assert cloud.names(PARTITION) == (".unfinished", "directory", "large", "link")
    assert reported.reason.count("cannot be read") == 3
    assert cloud.kept() == []


def test_without_a_master_documents_wait_unchanged(cloud: UsageCloud) -> None:
    cloud.files.write(f"{PARTITION}/one", a_report(1))
    cloud.world.sever("master", "computer")
    away = cloud.report()
    (waiting,) = cloud.names(USAGE_OUTGOING)
    content = cloud.files.read(f"{USAGE_OUTGOING}/{waiting}")
    cloud.world.run_for(86400)
    cloud.world.heal("master", "computer")

    cloud.report()

    assert "1 wait: no answer from" in away.reason
    assert cloud.kept_documents() == [content.decode()]


def test_a_document_that_the_master_refuses_does_not_block_the_others(
    cloud: UsageCloud,
) -> None:
    """It is kept aside with what the master said."""
    cloud.files.make_directory(USAGE_OUTGOING)
    cloud.files.write(f"{USAGE_OUTGOING}/0000000000-bad.xml", b"no journal")
    cloud.files.write(f"{PARTITION}/one", a_report(1))

    reported = cloud.report()

    assert reported.reason == (
        "1 usage documents delivered, 1 refused by the master and kept aside"
    )
    assert cloud.names(USAGE_REFUSED) == (
        "0000000000-bad.xml",
        "0000000000-bad.xml.reason",
    )
    assert cloud.kept() == [("slappart0", "1")]


def test_many_reports_become_documents_that_masters_read(cloud: UsageCloud) -> None:
    report = a_report(1, "x" * 3000, count=300)
    for index in range(5):
        cloud.files.write(f"{PARTITION}/{index}", report)

    reported = cloud.report()

    assert reported.delivered_count == 2
    assert len(cloud.kept()) == 1500


def test_the_last_reports_of_a_partition_are_taken_before_it_goes(
    cloud: UsageCloud,
) -> None:
    cloud.add_program("works")
    cloud.files.write(f"{PARTITION}/bad", b"<consumption>")

    failure = cloud.world.result(
        Deferred.fromCoroutine(cloud.reporter.farewell("slappart0"))
    )

    assert failure is None
    assert cloud.names(PARTITION) == ()
    cloud.report()
    assert cloud.kept() == [("slappart0", "7"), ("slappart0", "7")]


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_effect_delivers_everything_exactly_once(
    is_after: bool,
) -> None:
    """Files, and answers of the master, are effects alike."""
    for effects_left in range(200):
        cloud = UsageCloud()
        cloud.files.write(f"{PARTITION}/one", a_report(1))
        cloud.files.write("slappart1/var/xml_report/two", a_report(2))
        cloud.files.make_directory("var/xml_report/COMP-1")
        document = a_usage_document("4")
        cloud.files.write("var/xml_report/COMP-1/day.xml", document.encode())
        fate = Fate(effects_left, is_after)
        cloud.restart(fate)
        is_over = True
        try:
            cloud.report()
        except Died:
            is_over = False
            cloud.world.run_for(1)  # a removal that it began ends
        cloud.restart()
        cloud.files.write(f"{PARTITION}/three", a_report(8))
        cloud.report()

        assert cloud.kept() == [
            ("slappart0", "1"),
            ("slappart0", "4"),
            ("slappart0", "8"),
            ("slappart1", "2"),
        ]
        assert cloud.names(USAGE_OUTGOING) == cloud.names(USAGE_CLAIMS) == ()
        if is_over:
            break
    else:
        pytest.fail("it never lived")
    assert effects_left > 10


@pytest.mark.parametrize("seed", range(6))
def test_power_losses_at_random_instants_lose_and_repeat_nothing(seed: int) -> None:
    """Thirty losses; each partition keeps reporting, the master keeps each once."""
    cloud = UsageCloud(World(seed))
    computer = cloud.world.host("computer")
    entropy = cloud.world.entropy("losses")
    written = []
    for number in range(30):
        name = f"slappart{number % 2}"
        cloud.files.write(f"{name}/var/xml_report/{number}", a_report(number))
        written.append((name, str(number)))
        cloud.restart()
        Deferred.fromCoroutine(
            cloud.reporter.report(("slappart0", "slappart1"))
        ).addErrback(lambda _: None)
        cloud.world.run_for(entropy.choice((0.0, 0.01, 0.03, 0.05, 0.2, 1.0)))
        computer.crash()
        cloud.world.run_for(0.1)
        computer.boot(None)

    cloud.restart()
    cloud.report()

    assert cloud.kept() == sorted(written)
