"""The state of a mini-master moves to replicas over NEO, all of them real programs."""

from __future__ import annotations

import http.client
import json
import sqlite3
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from subprocess import Popen  # noqa: TID251 - tests watch programs from outside
from threading import Thread  # noqa: TID251 - writers at once
from typing import Any

import pytest
from attrs import define, field

from slap import calls
from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.errors import MasterAway, Unavailable
from slap.freshness import FRESHNESS_HEADER
from slap.identities import Identity, Role
from slap.replicas import REPLICAS_HEADER, ListedReplica, decode_replicas
from slap.reports import CloudReport
from slap.transfer import Piece, TransferReport
from slapcluster import neo_copies
from tests.builders import COMPUTER_ID, a_computer_definition, an_instance_request
from tests.certificates import a_region, a_root, write_identity
from tests.neo_port.test_cluster import NAME, NeoCluster
from tests.programs import eventually, free_port, is_listening, run, running

BIN = Path(__file__).parents[2] / "bin"
PROGRAM = (sys.executable, "-c", "from slapcluster.cli import main; main()")
HOST = "127.0.0.1"
POLL = f"/getFullComputerInformation?computer_id={COMPUTER_ID}"
SECONDS_MAX = 60.0
CALL_SECONDS_MAX = 30.0
WRITERS = 4
#: Acknowledged before the state is frozen, at least.
REQUESTS = 60
PARTITIONS = 600
PIECE_BYTES = 40_000

ROOT = a_root()
REGION = a_region(ROOT)

# A client of NEO ends its thread by SystemExit, which Python passes over.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


@define(eq=False)
class Master:
    """One master as a program, and somebody who asks it."""

    port: int
    trust: ssl.SSLContext | None = None
    program: Popen[bytes] | None = None

    def ask(self, verb: str, path: str, **options: Any) -> http.client.HTTPResponse:
        kind: Any = http.client.HTTPConnection
        kept: dict[str, Any] = {"timeout": CALL_SECONDS_MAX}
        if self.trust is not None:
            kind, kept["context"] = http.client.HTTPSConnection, self.trust
        with closing(kind(HOST, self.port, **kept)) as connection:
            connection.request(verb, path, **options)
            reply: http.client.HTTPResponse = connection.getresponse()
            reply.content = reply.read()  # type: ignore[attr-defined]
        return reply

    def perform(self, call: Call) -> Any:
        it = encode_call(call)
        body, headers = it.body or None, dict(it.headers)
        told = self.ask(it.verb, f"/{it.path}", body=body, headers=headers)
        content: bytes = told.content  # type: ignore[attr-defined]
        answer = HttpAnswer(told.status, dict(told.getheaders()), content)
        return decode_answer(call, answer)

    def report(self) -> TransferReport:
        report = self.perform(calls.get_transfer())
        assert isinstance(report, TransferReport)
        return report

    def titles(self) -> set[str]:
        report = self.perform(calls.get_cloud_report())
        assert isinstance(report, CloudReport)
        return {it.title for it in report.trees}

    def is_ready(self) -> bool:
        return self.ask("GET", "/readyz").status == 200

    def kill(self) -> None:
        assert self.program is not None
        self.program.kill()
        self.program.wait()


@define(eq=False)
class Cloud:
    home: Path
    stack: ExitStack
    neo: NeoCluster
    acknowledged: list[str] = field(factory=list)
    refused: list[str] = field(factory=list)

    @property
    def uri(self) -> str:
        return f"neo:{NAME}@{self.neo.master_nodes.replace(' ', ',')}"

    @property
    def old_path(self) -> Path:
        return self.home / "old.fs"

    def start(self, master: Master, *words: str) -> None:
        argv = (*PROGRAM, *words, "--listen", f"{HOST}:{master.port}")
        log = self.home / f"{master.port}.log"
        master.program = self.stack.enter_context(running(argv, log))
        eventually(lambda: is_listening(HOST, master.port), SECONDS_MAX, "the master")

    def start_old(self) -> Master:
        old = Master(free_port())
        self.start(old, "proxy", "--store", f"file:{self.old_path}")
        return old

    def build_new(self, name: str) -> Master:
        replica = REGION.issue_to(Identity(Role.REPLICA, name))
        person = REGION.issue_to(Identity(Role.PERSON, "ada"))
        (self.home / name).mkdir()
        write_identity(self.home / name / "identity", replica, ROOT)
        own = write_identity(self.home / name / "person", person, ROOT)
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname = False
        trust.load_verify_locations(own / "root.crt")
        trust.load_cert_chain(own / "own.crt", own / "own.key")
        return Master(free_port(), trust)

    def start_new(self, master: Master, name: str) -> None:
        self.start(
            master,
            *("master", "--receive", "--store", self.uri),
            *("--identity", str(self.home / name / "identity")),
            *("--documents", str(self.home / name / "documents")),
        )

    def write(self, master: Master, number: int) -> None:
        """Request until the first refusal."""
        for count in range(PARTITIONS):
            title = f"writer {number} request {count}"
            try:
                master.perform(calls.request_instance(an_instance_request(title=title)))
            except Unavailable:
                self.refused.append(title)
                return
            self.acknowledged.append(title)

    def transaction_count(self) -> int:
        """By what the first storage node has written."""
        with closing(sqlite3.connect(self.home / "0.sqlite")) as connection:
            ((count,),) = connection.execute("SELECT COUNT(*) FROM trans")
        return int(count)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with ExitStack() as stack:
        yield Cloud(tmp_path, stack, NeoCluster(tmp_path, BIN, stack))


def test_a_state_moves_and_nothing_that_was_acknowledged_is_lost(cloud: Cloud) -> None:
    """With writers all the time, and the receiving replica killed thrice."""
    old = cloud.start_old()
    old.perform(calls.define_computer(a_computer_definition(PARTITIONS)))
    writers = [Thread(target=cloud.write, args=(old, it)) for it in range(WRITERS)]
    for writer in writers:
        writer.start()
    eventually(lambda: len(cloud.acknowledged) > REQUESTS, SECONDS_MAX, "requests")
    assert old.perform(calls.freeze()).standing == "frozen"
    copy = cloud.home / "copy.fs"
    content = back_up(cloud.old_path, copy)
    for writer in writers:
        writer.join()
    assert len(cloud.refused) == WRITERS
    # Frozen it stays, whatever happens to its process.
    old.kill()
    cloud.start(old, "proxy", "--store", f"file:{cloud.old_path}")
    assert (old.report().standing, old.ask("GET", POLL).status) == ("frozen", 200)

    new, second = cloud.build_new("new"), cloud.build_new("second")
    cloud.start_new(new, "new")
    cloud.start_new(second, "second")
    eventually(lambda: says_receiving(new), SECONDS_MAX, "it waits for a state")
    whole = copy.read_bytes()
    send(new, content["digest"], whole, len(whole) // 2)
    new.kill()
    cloud.start_new(new, "new")
    eventually(lambda: says_receiving(new), SECONDS_MAX, "it waits for a state")
    assert new.report().received_byte_count >= len(whole) // 2
    send(new, content["digest"], whole, len(whole))
    for count in (5, REQUESTS // 2):
        eventually(
            lambda count=count: cloud.transaction_count() > count,  # type: ignore[misc]
            SECONDS_MAX,
            "the store is filled",
        )
        new.kill()
        assert says_receiving(second)
        cloud.start_new(new, "new")
    eventually(lambda: says_receiving(new), SECONDS_MAX, "it waits for a state")
    eventually(lambda: new.report().is_whole, SECONDS_MAX, new.report().sentence)
    assert says_receiving(second)
    there = neo_copies.back_up(
        cloud.uri, cloud.home / "there.fs", lambda *_: None, is_forced=False
    )
    assert (there.digest, there.last_transaction) == (
        content["digest"],
        content["last_transaction"],
    )

    assert new.perform(calls.open_received(content["digest"])).standing == "open"
    for master in (new, second):
        eventually(master.is_ready, SECONDS_MAX, "it serves")
        assert master.titles() == set(cloud.acknowledged)
    old_poll, new_poll = old.ask("GET", POLL), second.ask("GET", POLL)
    known = [it.getheader(FRESHNESS_HEADER) for it in (old_poll, new_poll)]
    assert old_poll.status == new_poll.status == 200
    assert old_poll.getheader("ETag") == new_poll.getheader("ETag")
    assert "" < str(known[0]) < str(known[1])
    replica = ListedReplica(f"https://{HOST}:{new.port}", "eu")
    old.perform(calls.move((replica,)))
    moved = old.ask("GET", POLL)
    assert moved.status == 503
    assert decode_replicas(str(moved.getheader(REPLICAS_HEADER))) == (replica,)
    for title in cloud.refused:
        second.perform(calls.request_instance(an_instance_request(title=title)))
    assert new.titles() == {*cloud.acknowledged, *cloud.refused}
    assert not list((cloud.home / "new" / "documents" / "received").iterdir())


def says_receiving(master: Master) -> bool:
    reply = master.ask("GET", "/readyz")
    content: bytes = reply.content  # type: ignore[attr-defined]
    return reply.status == 503 and content.startswith(b"receiving")


def send(master: Master, digest: str, whole: bytes, end: int) -> None:
    """Send a copy up to there, from where the master says."""
    done = master.report().received_byte_count
    while done < end:
        content = whole[done : done + PIECE_BYTES]
        piece = Piece(digest, len(whole), done, content)
        try:
            report = master.perform(calls.receive(piece))
        except MasterAway:
            continue
        done = report.received_byte_count


def back_up(path: Path, copy: Path) -> dict[str, Any]:
    argv = (*PROGRAM, "--output", "json", "storage", "backup", f"file:{path}")
    done = run((*argv, str(copy)), timeout_seconds=SECONDS_MAX)
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content
