"""A real master whose real NEO falls silent: what it answers, also after a restart."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen  # noqa: TID251 - tests watch programs from outside

import pytest
from attrs import define, field

from slap import calls
from slap.calls import encode_call
from slap.freshness import STALE_HEADER
from tests.builders import a_computer_definition, an_installation
from tests.neo_port.test_cluster import NAME, NeoCluster
from tests.neo_port.wakes import HOST, POLL, Replica
from tests.programs import eventually, free_port, is_listening, running

BIN = Path(__file__).parents[2] / "bin"
PROGRAM = (sys.executable, "-c", "from slapcluster.cli import main; main()")
START_SECONDS_MAX = 30.0
ANSWER_SECONDS_MAX = 5.0
FOUND_SECONDS_MAX = 60.0


@define(eq=False)
class Cloud:
    """A neo_cluster, and a master that keeps documents."""

    home: Path
    stack: ExitStack
    neo: NeoCluster
    port: int = field(factory=free_port)
    master: Popen[bytes] | None = None

    def start_master(self) -> None:
        masters = self.neo.master_nodes.replace(" ", ",")
        argv = (*PROGRAM, "proxy", "--store", f"neo:{NAME}@{masters}")
        argv += ("--listen", f"{HOST}:{self.port}")
        argv += ("--documents", str(self.home / "documents"))
        self.master = self.stack.enter_context(running(argv, self.home / "master.log"))
        eventually(
            lambda: is_listening(HOST, self.port), START_SECONDS_MAX, "the master"
        )

    def kill_master(self) -> None:
        assert self.master is not None
        self.master.kill()
        self.master.wait()

    def silence(self, number: signal.Signals) -> None:
        """Let all neo_masters stand still, or go on."""
        for neo_master in self.neo.neo_masters.values():
            neo_master.send_signal(number)

    def ask(self, verb: str, path: str, body: bytes = b"") -> tuple[int, str | None]:
        """Ask; the status, and how stale it is. It takes no longer than it may."""
        connection = Replica(self.port).connect()
        begun = time.monotonic()  # noqa: TID251 - of this computer
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request(verb, path, body or None, kind if body else {})
        reply = connection.getresponse()
        reply.read()
        seconds = time.monotonic() - begun  # noqa: TID251 - as above
        connection.close()
        assert seconds < ANSWER_SECONDS_MAX
        return reply.status, reply.getheader(STALE_HEADER)

    def supply(self) -> int:
        wanted = encode_call(calls.supply(an_installation()))
        return self.ask(wanted.verb, f"/{wanted.path}", wanted.body)[0]

    def is_current(self) -> bool:
        return self.ask("GET", POLL) == (200, None)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with ExitStack() as stack:
        cloud = Cloud(tmp_path, stack, NeoCluster(tmp_path, BIN, stack))
        cloud.start_master()
        # A neo_master that stands still does not end when it is told to.
        stack.callback(cloud.silence, signal.SIGCONT)
        yield cloud


def test_a_master_whose_neo_cluster_is_silent_answers_as_of_before(
    cloud: Cloud,
) -> None:
    """Within seconds, after a kill too; and goes on when it is there again."""
    replica = Replica(cloud.port)
    replica.perform(calls.define_computer(a_computer_definition(2)))
    assert cloud.is_current()
    # Until the document and how far it is good are on the disk.
    eventually(
        lambda: len(list((cloud.home / "documents").iterdir())) > 1, 20, "documents"
    )
    cloud.silence(signal.SIGSTOP)
    assert cloud.supply() == 503
    eventually(lambda: cloud.ask("GET", POLL)[1] is not None, 5, "a stale answer")
    assert cloud.supply() == 503

    cloud.kill_master()
    cloud.start_master()
    status, stale = cloud.ask("GET", POLL)
    assert (status, stale is None) == (200, False)
    assert (cloud.supply(), cloud.ask("GET", "/readyz")[0]) == (503, 503)

    cloud.silence(signal.SIGCONT)
    eventually(cloud.is_current, FOUND_SECONDS_MAX, "a current answer")
    assert cloud.supply() == 200
