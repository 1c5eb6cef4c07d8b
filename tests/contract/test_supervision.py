"""Supervision, as supervisord does it and as its model does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from labsim.models.supervisord import SupervisordModel
from runtime.ports import IFileTree, Runtime
from runtime.real import build_runtime
from slapgrid.convergence.views import ProgramState, ProgramStatus
from slapgrid.layout import ProgramKind, group_file
from slapgrid.supervision.conf import (
    ProgramDefinition,
    ProgramGroup,
    render_main,
)
from slapgrid.supervision.port import GroupStatus, ISupervision, ProgramKey
from slapgrid.supervision.stopping import STOPPING_SECONDS_MAX
from slapgrid.supervision.supervisord import Supervisord, find_account
from tests import programs
from tests.reactor import ReactorBench

LASTING = "#!/bin/sh\nexec sleep 1000\n"
FAILING = "#!/bin/sh\nexit 3\n"
#: Ignores the signal that asks it to end for a moment, as a server that flushes does.
SLOW_TO_END = "#!/bin/sh\ntrap 'sleep 0.5; exit 0' TERM\nsleep 1000 & wait\n"
SETTLE_SECONDS = 10.0
SCENARIO_SECONDS_MAX = 2 * STOPPING_SECONDS_MAX
"""Between fork and exec a program of supervisord swallows the signal to end, one in a
hundred on a busy machine, and is killed when its time is over."""


class Bench:
    """A supervision with an instance root of its own."""

    def __init__(
        self,
        run: ReactorBench,
        root: Path,
        runtime: Runtime,
        build: Callable[[], ISupervision],
        *,
        replaces_groups: bool = False,
    ) -> None:
        """``replaces_groups``: a group that changes loses its processes."""
        self._run = run
        self.replaces_groups = replaces_groups
        self.root = root
        self.runtime = runtime
        self.build = build
        self.tested = build()

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        """Run a scenario, then end all programs."""

        async def whole() -> None:
            try:
                await scenario
            finally:
                await self.tested.shut_down()

        self._run(whole(), SCENARIO_SECONDS_MAX)

    def group(self, partition_id: str, **scripts: str) -> ProgramGroup:
        """A group whose programs, named ``run_...`` or ``service_...``, do so."""
        directory = self.root / partition_id
        programs = []
        for name, script in scripts.items():
            kind = ProgramKind.RUN if name.startswith("run") else ProgramKind.SERVICE
            path = directory / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(script)
            path.chmod(0o755)
            programs.append(ProgramDefinition(name, kind))
        account = find_account(os.getuid(), os.getgid())
        return ProgramGroup(partition_id, str(directory), tuple(programs), account)

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Wait for what a program does."""
        deadline = self.runtime.clock.seconds() + SETTLE_SECONDS
        while not predicate():
            assert self.runtime.clock.seconds() < deadline, "it never happened"
            await deferLater(self.runtime.clock, 0.05)

    async def eventually(self, *wanted: GroupStatus) -> None:
        """The groups become exactly these."""
        clock = self.runtime.clock
        deadline = clock.seconds() + SETTLE_SECONDS
        while (seen := await self.tested.observe()) != wanted:
            assert clock.seconds() < deadline, f"still {seen}"
            await deferLater(clock, 0.05)


STOCK_MAIN = """\
import sys
sys.path[:] = {path!r}
from supervisor.supervisord import main
main(["-c", {conf!r}])
"""


def start_stock_supervisord(tree: IFileTree, socket: str = "sv.sock") -> None:
    """A supervisord as stock agents start it: without any method of ours."""
    ours = render_main(tree.root, socket)
    begin = ours.index("[rpcinterface:slapgrid]")
    end = ours.index("[include]")
    for directory in ("etc/supervisord.conf.d", "var/log", "var/run"):
        tree.make_directory(directory)
    tree.write("etc/supervisord.conf", (ours[:begin] + ours[end:]).encode())
    code = STOCK_MAIN.format(
        path=[each for each in sys.path if each], conf=tree.path("etc/supervisord.conf")
    )
    done = programs.run([sys.executable, "-I", "-c", code])
    assert done.returncode == 0, done.stdout + done.stderr
    programs.eventually(lambda: tree.status(socket), 10, "the socket of supervisord")


@pytest.fixture(params=["supervisord", "stock", "stock-of-old", "model"])
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, run_real: ReactorBench
) -> Bench:
    runtime = build_runtime(run_real.reactor)
    # A socket's path is short; that of a test's directory may not be.
    root = tmp_path / "i"
    tree = runtime.file_tree(str(root))
    tree.make_directory("")
    is_stock = request.param.startswith("stock")
    if is_stock:
        is_old = request.param == "stock-of-old"
        start_stock_supervisord(tree, "supervisord.socket" if is_old else "sv.sock")
    build = SupervisordModel if request.param == "model" else Supervisord
    return Bench(
        run_real, root, runtime, lambda: build(runtime, tree), replaces_groups=is_stock
    )


def resting(name: str) -> ProgramStatus:
    return ProgramStatus(name, name.startswith("service"), ProgramState.STOPPED)


def running(name: str) -> ProgramStatus:
    return ProgramStatus(name, name.startswith("service"), ProgramState.RUNNING)


def test_it_provides_the_whole_port(bench: Bench) -> None:
    """Every method of the port exists with its arguments."""

    async def scenario() -> None:
        assert verifyObject(ISupervision, bench.tested)

    bench.run(scenario())


def test_a_defined_program_rests_until_it_is_started(bench: Bench) -> None:
    """Defining starts nothing; starting runs it."""
    group = bench.group("slappart0", run_b=LASTING, service_a=LASTING)

    async def scenario() -> None:
        assert await bench.tested.define((group,)) == {}
        await bench.eventually(
            GroupStatus("slappart0", (resting("run_b"), resting("service_a")))
        )
        assert await bench.tested.start((ProgramKey("slappart0", "service_a"),)) == {}
        await bench.eventually(
            GroupStatus("slappart0", (resting("run_b"), running("service_a")))
        )

    bench.run(scenario())


def test_a_program_that_ends_is_left_ended_with_its_status(bench: Bench) -> None:
    """Nothing restarts it; it can be started again."""
    group = bench.group("slappart0", service_a=FAILING)
    ended = ProgramStatus("service_a", True, ProgramState.EXITED, 3)  # noqa: FBT003

    async def scenario() -> None:
        await bench.tested.define((group,))
        for _ in range(2):
            assert (
                await bench.tested.start((ProgramKey("slappart0", "service_a"),)) == {}
            )
            await bench.eventually(GroupStatus("slappart0", (ended,)))

    bench.run(scenario())


def test_only_what_changed_is_stopped(bench: Bench) -> None:
    """A program that stays keeps its process; new ones rest, missing ones are gone.

    Where another agent started supervisord, a program that stays runs again instead.
    """
    note = bench.root / "note"
    noting = f"#!/bin/sh\necho $$ >> {note}\nexec sleep 1000\n"
    before = bench.group("slappart0", service_a=noting, service_b=LASTING)
    after = bench.group("slappart0", service_a=noting, run_c=LASTING)

    async def scenario() -> None:
        await bench.tested.define((before,))
        await bench.tested.start(
            (ProgramKey("slappart0", "service_a"), ProgramKey("slappart0", "service_b"))
        )
        await bench.eventually(
            GroupStatus("slappart0", (running("service_a"), running("service_b")))
        )
        await bench.until(note.exists)
        assert await bench.tested.define((after,)) == {}
        await bench.tested.start(
            (ProgramKey("slappart0", "service_a"), ProgramKey("slappart0", "run_c"))
        )
        await bench.eventually(
            GroupStatus("slappart0", (running("run_c"), running("service_a")))
        )

    bench.run(scenario())
    assert len(note.read_text().split()) == (2 if bench.replaces_groups else 1)


def test_what_is_equal_is_not_touched_by_another_agent(bench: Bench) -> None:
    """A new agent defines what runs already: no process ends, none begins."""
    note = bench.root / "note"
    noting = f"#!/bin/sh\necho $$ >> {note}\nexec sleep 1000\n"
    names = ("slappart1", "slappart10")
    groups = tuple(bench.group(name, service_a=noting) for name in names)

    async def scenario() -> None:
        await bench.tested.define(groups)
        keys = tuple(ProgramKey(name, "service_a") for name in names)
        await bench.tested.start(keys)
        await bench.until(lambda: note.exists() and note.read_text().count("\n") == 2)
        if not isinstance(bench.tested, SupervisordModel):
            bench.tested = bench.build()
        assert await bench.tested.define(groups) == {}
        assert await bench.tested.start(keys) == {}
        assert await bench.tested.define(groups) == {}
        await bench.eventually(
            *(GroupStatus(name, (running("service_a"),)) for name in names)
        )

    bench.run(scenario())
    assert len(note.read_text().split()) == len(names)


def test_a_group_without_programs_goes(bench: Bench) -> None:
    """Defining nothing removes the group."""
    group = bench.group("slappart0", service_a=LASTING)
    empty = bench.group("slappart0")

    async def scenario() -> None:
        await bench.tested.define((group,))
        await bench.tested.start((ProgramKey("slappart0", "service_a"),))
        assert await bench.tested.define((empty,)) == {}
        await bench.eventually()

    bench.run(scenario())


def test_removal_touches_no_group_of_a_longer_name(bench: Bench) -> None:
    """slappart1 goes, slappart10 and slappart1-prerm run on."""
    names = ("slappart1", "slappart10", "slappart1-prerm")
    groups = tuple(bench.group(name, service_a=LASTING) for name in names)

    async def scenario() -> None:
        assert await bench.tested.define(groups) == {}
        await bench.tested.start(tuple(ProgramKey(name, "service_a") for name in names))
        assert await bench.tested.remove(("slappart1",)) == {}
        await bench.eventually(
            GroupStatus("slappart1-prerm", (running("service_a"),)),
            GroupStatus("slappart10", (running("service_a"),)),
        )

    bench.run(scenario())


def test_removal_waits_for_programs_that_are_slow_to_end(bench: Bench) -> None:
    """When the answer comes, all of them have ended; they end at the same time."""
    names = tuple(f"slappart{index}" for index in range(4))
    groups = tuple(bench.group(name, service_a=SLOW_TO_END) for name in names)

    async def scenario() -> None:
        await bench.tested.define(groups)
        await bench.tested.start(tuple(ProgramKey(name, "service_a") for name in names))
        await bench.eventually(
            *(GroupStatus(name, (running("service_a"),)) for name in names)
        )
        assert await bench.tested.remove(names) == {}
        assert await bench.tested.observe() == ()

    bench.run(scenario())


def test_a_program_that_is_stopped_rests_and_its_neighbours_run_on(
    bench: Bench,
) -> None:
    """It has ended when the answer comes; what ended before stays as it ended."""
    ready = bench.root / "ready"
    slow = SLOW_TO_END.replace("sleep 1000", f"touch {ready}; sleep 1000")
    group = bench.group("slappart0", service_a=slow, service_b=LASTING)
    keys = tuple(ProgramKey("slappart0", name) for name in ("service_a", "service_b"))

    async def scenario() -> None:
        await bench.tested.define((group,))
        await bench.tested.start(keys)
        await bench.until(ready.exists)
        await bench.eventually(
            GroupStatus("slappart0", (running("service_a"), running("service_b")))
        )
        unknown = ProgramKey("slappart9", "service_x")
        for _ in range(2):
            failures = await bench.tested.stop((keys[0], unknown))
            assert failures == {"slappart9": "service_x: no such program"}
            assert await bench.tested.observe() == (
                GroupStatus("slappart0", (resting("service_a"), running("service_b"))),
            )
        assert await bench.tested.start(keys) == {}
        await bench.eventually(
            GroupStatus("slappart0", (running("service_a"), running("service_b")))
        )

    bench.run(scenario())


def test_starting_an_unknown_program_is_refused_for_its_partition(bench: Bench) -> None:
    """The others are started."""
    group = bench.group("slappart0", service_a=LASTING)
    keys = (ProgramKey("slappart9", "service_x"), ProgramKey("slappart0", "service_a"))

    async def scenario() -> None:
        await bench.tested.define((group,))
        failures = await bench.tested.start(keys)
        assert failures == {"slappart9": "service_x: no such program"}
        await bench.eventually(GroupStatus("slappart0", (running("service_a"),)))

    bench.run(scenario())


def test_removing_what_is_not_there_is_nothing(bench: Bench) -> None:
    """It succeeds, and twice too."""

    async def scenario() -> None:
        assert await bench.tested.remove(("slappart7",)) == {}
        assert await bench.tested.remove(("slappart7",)) == {}

    bench.run(scenario())


def test_a_definition_that_rotted_is_forgotten_alone(bench: Bench) -> None:
    """It would keep all others from being there; it can be defined again."""
    alpha = bench.group("slappart0", service_a=LASTING)
    beta = bench.group("slappart1", service_b=LASTING)
    (resting_a,) = (GroupStatus("slappart0", (resting("service_a"),)),)
    (resting_b,) = (GroupStatus("slappart1", (resting("service_b"),)),)

    async def scenario() -> None:
        for rotten in (b"\x8f" * 40, b"[group:slappart0\nprogr", b"\0" * 40):
            await bench.tested.define((alpha, beta))
            await bench.eventually(resting_a, resting_b)
            await bench.tested.shut_down()
            bench.root.joinpath(group_file("slappart0")).write_bytes(rotten)
            bench.tested = bench.build()
            await bench.eventually(resting_b)

    bench.run(scenario())


def test_definitions_outlive_supervision(bench: Bench) -> None:
    """After its end the next one knows the group, at rest."""
    group = bench.group("slappart0", service_a=LASTING)

    async def scenario() -> None:
        await bench.tested.define((group,))
        await bench.tested.start((ProgramKey("slappart0", "service_a"),))
        await bench.eventually(GroupStatus("slappart0", (running("service_a"),)))
        await bench.tested.shut_down()
        bench.tested = bench.build()
        await bench.eventually(GroupStatus("slappart0", (resting("service_a"),)))

    bench.run(scenario())
