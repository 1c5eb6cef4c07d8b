"""``link run`` in virtual time: what is applied when, and a stunnel that ends."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from labsim.world.world import World
from runtime.ports import Exit, IForkServer, IProcessRunner, Program, Runtime
from slapcluster.link_running import DAY_SECONDS, RETRY_SECONDS, LinkRun
from slapcluster.outcomes import CommandFailed
from stunnel_conf.applying import Applied
from stunnel_conf.journal import Journal
from stunnel_conf.links import Endpoint
from stunnel_conf.rendering import CONFIGURATION


@define(eq=False)
class Stunnel:
    """A stunnel as a process of its own, which lives until it is signalled."""

    number: int = 0
    signals: list[signal.Signals] = field(factory=list)
    ended: Deferred[Exit] | None = None

    def pid(self) -> int | None:
        return self.number or None

    find = pid

    def signal(self, number: signal.Signals) -> None:
        if self.number:
            self.signals.append(number)
            self.end()

    def end(self) -> None:
        self.number = 0
        ended, self.ended = self.ended, None
        if ended is not None:
            ended.callback(Exit(1))

    def journal(self) -> Journal:
        return Journal(reasons=["a port is taken"])

    def reload(self) -> None:
        raise AssertionError("whoever applies does that")

    def listening(self) -> tuple[Endpoint, ...]:
        return ()

    def close(self, _origins: object) -> int:
        return 0


@frozen
@implementer(IProcessRunner)
class Runner:
    """Starts the stunnel; when it ends at once it never has a pid."""

    stunnel: Stunnel
    started: list[Program] = field(factory=list)
    ends_at_once: list[bool] = field(factory=lambda: [False])

    def run(self, program: Program, _on_output: object = None) -> Deferred[Exit]:
        self.started.append(program)
        ended: Deferred[Exit] = Deferred(lambda _: self.stunnel.end())
        if self.ends_at_once[0]:
            ended.callback(Exit(1))
            return ended
        self.stunnel.number = 100 + len(self.started)
        self.stunnel.ended = ended
        return ended

    def start_fork_server(self, program: Program) -> Deferred[IForkServer]:
        raise AssertionError(program)


@define
class Links:
    """A file of links, and how often it was applied."""

    home: Path
    stunnel: Stunnel
    file: Path
    applied_count: int = 0
    refusal: str = ""
    warnings: tuple[str, ...] = ()

    def files(self) -> tuple[Path, ...]:
        return (self.file,)

    async def apply(self) -> Applied:
        self.applied_count += 1
        if self.refusal:
            raise CommandFailed(self.refusal)
        (self.home / CONFIGURATION).write_text(self.file.read_text())
        is_running = self.stunnel.pid() is not None
        return Applied({}, is_running, warnings=self.warnings)


class Bench:
    """One `link run` in a world."""

    def __init__(self, place: Path) -> None:
        self.world = World(1)
        self.home = place / "home"
        self.home.mkdir()
        self.stunnel = Stunnel()
        self.runner = Runner(self.stunnel)
        file = place / "links.toml"
        file.write_text("first")
        self.links = Links(self.home, self.stunnel, file)
        self.runtime: Runtime = evolve(
            self.world.host("site").runtime, processes=self.runner
        )
        self.run = self.build()

    def build(self) -> LinkRun:
        return LinkRun(self.runtime, self.links, self.home, self.stunnel)

    def start(self) -> None:
        self.world.result(self.run.startService())

    def stop(self) -> None:
        if self.run.running:
            self.world.result(self.run.stopService())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.stop()
    bench.world.finish()


def test_stunnel_begins_with_what_is_wanted_and_ends_with_the_command(
    bench: Bench,
) -> None:
    bench.start()

    assert [it.argv for it in bench.runner.started] == [
        ("stunnel", str(bench.home / CONFIGURATION))
    ]
    assert bench.stunnel.pid() is not None
    bench.stop()
    assert bench.stunnel.pid() is None


def test_what_changes_is_applied_soon_and_all_of_it_daily(bench: Bench) -> None:
    bench.start()
    bench.world.run_for(3600)
    assert bench.links.applied_count == 1

    bench.links.file.write_text("second one")
    bench.world.run_for(10)
    assert bench.links.applied_count == 2

    bench.world.run_for(DAY_SECONDS + 60)
    assert bench.links.applied_count == 3


def test_what_cannot_be_applied_is_tried_again_and_stunnel_runs_on(
    bench: Bench,
) -> None:
    bench.start()
    bench.links.refusal = "a port is taken."
    bench.links.file.write_text("second one")

    bench.world.run_for(3 * RETRY_SECONDS + 10)
    tries = bench.links.applied_count
    bench.links.refusal = ""
    bench.world.run_for(RETRY_SECONDS + 10)

    assert tries == 5
    assert bench.links.applied_count == tries + 1
    assert len(bench.runner.started) == 1
    assert (bench.home / CONFIGURATION).read_text() == "second one"


def test_links_that_were_never_in_force_end_the_command(bench: Bench) -> None:
    bench.links.refusal = "there is no [peers.x]."

    with pytest.raises(CommandFailed, match=r"there is no \[peers\.x\]"):
        bench.start()

    assert bench.runner.started == []
    bench.links.refusal = ""
    bench.start()


def test_links_that_were_in_force_before_are_used_while_the_file_is_broken(
    bench: Bench,
) -> None:
    (bench.home / CONFIGURATION).write_text("before")
    bench.links.refusal = "no TOML."

    bench.start()

    assert len(bench.runner.started) == 1


def test_a_stunnel_that_ends_is_begun_again_at_once_then_ever_later(
    bench: Bench,
) -> None:
    bench.start()
    bench.stunnel.end()
    bench.world.run_for(4)
    assert len(bench.runner.started) == 2

    bench.runner.ends_at_once[0] = True
    bench.stunnel.end()
    bench.world.run_for(600)
    begun_count = len(bench.runner.started)
    assert 12 < begun_count < 20

    bench.runner.ends_at_once[0] = False
    bench.world.run_for(RETRY_SECONDS + 5)
    assert len(bench.runner.started) == begun_count + 1


def test_a_stunnel_that_was_left_running_is_kept_and_ended(bench: Bench) -> None:
    bench.stunnel.number = 42

    bench.start()
    bench.world.run_for(10)

    assert bench.runner.started == []
    assert bench.links.applied_count == 1
    bench.stop()
    assert bench.stunnel.signals == [signal.SIGTERM]


def test_one_home_has_one_of_them(bench: Bench) -> None:
    bench.start()

    with pytest.raises(CommandFailed, match="Another `link run` has"):
        bench.world.result(bench.build().startService())

    assert len(bench.runner.started) == 1


def test_loops_run_beside_it_and_end_with_it(bench: Bench) -> None:
    ended = []

    async def loop() -> None:
        try:
            await Deferred()
        except CancelledError:
            ended.append(1)
            raise

    bench.run = LinkRun(
        bench.runtime, bench.links, bench.home, bench.stunnel, loops=[loop]
    )
    bench.start()
    bench.stop()

    assert ended == [1]
