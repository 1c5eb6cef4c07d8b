"""An agent killed at uniformly random instants of its passes, everything else real.

``python -m tests.emulation.kills ROOT SEED COUNT`` prints what happened as JSON. It is
not for root, since instances never run as root.

Three titles are wanted on and off, by turns; what a computer must look like depends on
the turn alone. In each round the wishes change, a pass over everything is killed, and
passes follow until nothing is left to do. Then the tree of the computer, the programs
that run and what the master heard must be those of an undisturbed round.

Passes run in forks of one process that has everything imported: the pass is killed, and
not the start of an interpreter.
"""

from __future__ import annotations

import configparser
import hashlib
import json
import os
import random
import signal
import stat
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from master_cluster import config as master_config
from master_cluster.service import build_service as build_master
from runtime.ports import Runtime, TcpAddress
from slap import calls
from slap.errors import NotFound
from slap.model import InstanceRequest, RequestedState, SoftwareInstallation
from slap.replicas import Replicas
from slap.reports import TreeReport
from slapcluster.running import launch, serve
from slapgrid.config import Config
from slapgrid.format.settings import FormatSettings
from slapgrid.instance.settings import InstanceSettings
from slapgrid.neighbours.ownership import Ownership
from slapgrid.passes import Agent, ExitStatus
from slapgrid.promises.settings import PromiseSettings
from slapgrid.service import build_agent
from slapgrid.slap_client import SlapClient
from slapgrid.software.settings import SoftwareSettings
from slapgrid.supervision.supervisord import Supervisord
from tests.emulation.agent_scenarios import SOFTWARE, escaped
from tests.emulation.wheels import write_recipe
from tests.programs import eventually, free_port, is_listening

COMPUTER = "COMP-1"
PASSES_MAX = 40
"""Promises of a program that boots fail at first; each pass is some tenths."""

PAUSE_SECONDS = 0.2

DRAWS_PER_HIT_MAX = 4
"""More says that passes are over at once: then there is nothing to be killed."""

WISHES: tuple[Mapping[str, RequestedState], ...] = (
    {
        "first": RequestedState.STARTED,
        "second": RequestedState.STARTED,
        "third": RequestedState.DESTROYED,
    },
    {
        "first": RequestedState.STARTED,
        "second": RequestedState.STOPPED,
        "third": RequestedState.STARTED,
    },
    {
        "first": RequestedState.STARTED,
        "second": RequestedState.DESTROYED,
        "third": RequestedState.STOPPED,
    },
)

INSTANCE = """\
[buildout]
parts = service promise
eggs-directory = ${buildout:eggs-directory}
develop-eggs-directory = ${buildout:develop-eggs-directory}
[service]
recipe = tiny_recipe:file
path = etc/service/sleeper
content =
  |#!/bin/sh
  |exec sleep 1000000
[promise]
recipe = tiny_recipe:file
path = etc/promise/is-there
content =
  |#!/bin/sh
  |exit 0
"""

#: Of no pass in particular: times, logs, what is remembered and derived.
VOLATILE = (
    ".timestamp",
    "/.slapgrid/",
    "/var/log/",
    "/var/run/",
    "/var/slapgrid/",
    "/sv.sock",
    ".log",
)


@frozen
class Round:
    """What an undisturbed or a converged round left."""

    tree: Mapping[str, str]
    programs: tuple[str, ...]
    reported: Mapping[str, str]


@frozen
class Trial:
    """One computer below a folder, and the master that it obeys."""

    root: Path
    port: int

    @property
    def config(self) -> Config:
        return Config(
            computer_id=COMPUTER,
            master_urls=(f"http://127.0.0.1:{self.port}",),
            software_root=str(self.root / "s"),
            instance_root=str(self.root / "i"),
            format=FormatSettings(partition_amount=3),
            promises=PromiseSettings(timeout_seconds=5.0),
            software=SoftwareSettings(free_bytes_min=1),
            instance=InstanceSettings(free_bytes_min=1),
        )

    @property
    def release(self) -> str:
        return str(self.root / "software.cfg")

    def prepare(self) -> None:
        """Format the computer, build the release, give each title its partition."""
        write_recipe(self.root / "wheels")
        profile = SOFTWARE.format(
            wheels=self.root / "wheels", instance=escaped(INSTANCE)
        )
        Path(self.release).write_text(profile)
        assert self.in_fork(_formatted) == ExitStatus.OK
        self.ask(calls.supply(SoftwareInstallation(self.release, COMPUTER)))
        assert self.in_fork(_built) == ExitStatus.OK

    def ask(self, call: calls.Call) -> Any:
        """Call the master from a process of its own; a reactor runs once in each."""
        reading, writing = os.pipe()
        pid = self._fork(lambda: _write(writing, launch(self._asking(call))))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            answer = pipe.read()
        assert os.waitpid(pid, 0)[1] == 0, call
        return json.loads(answer)

    def wish(self, number: int) -> None:
        """Want what the turn says; what is destroyed already need not be told."""
        for title, wanted in WISHES[number % len(WISHES)].items():
            self.ask(
                calls.request_instance(
                    InstanceRequest(title, self.release, requested_state=wanted)
                )
            )
        self.ask(calls.bang_computer(COMPUTER, "every partition again"))

    def in_fork(
        self, scenario: Callable[[Agent], Coroutine[Any, Any, ExitStatus]]
    ) -> int:
        """The exit status of a pass in a process of its own."""
        return os.waitstatus_to_exitcode(os.waitpid(self.begin(scenario), 0)[1])

    def begin(
        self, scenario: Callable[[Agent], Coroutine[Any, Any, ExitStatus]]
    ) -> int:
        """The process of a pass."""
        return self._fork(lambda: launch(self._passing(scenario)))

    def converge(self) -> int:
        """Pass until nothing is left to do; how many passes that took."""
        for number in range(1, PASSES_MAX + 1):
            if self.in_fork(_passed) == ExitStatus.OK:
                return number
            time.sleep(PAUSE_SECONDS)  # noqa: TID251 - a real agent would wait too
        raise AssertionError(f"{PASSES_MAX} passes did not converge")

    def look(self) -> Round:
        """The computer as it is now."""
        reported = {}
        for title in WISHES[0]:
            (reported[title],) = self.ask(calls.get_tree_report(title)) or ("unknown",)
        return Round(self._tree(), self._programs(), reported)

    def shut_down(self) -> None:
        self.in_fork(_shut_down)

    def _tree(self) -> Mapping[str, str]:
        found = {}
        for top in (self.root / "i", self.root / "s"):
            for path in sorted(top.rglob("*")):
                name = str(path.relative_to(self.root))
                if any(part in f"/{name}/" for part in VOLATILE):
                    continue
                if "__pycache__" in name or name.endswith(".log"):
                    continue
                found[name] = _describe(path)
        return found

    def _programs(self) -> tuple[str, ...]:
        """Where the processes of programs stand; twice means one too many."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes()
                directory = str((entry / "cwd").readlink())
            except OSError:
                continue
            if command == b"sleep\x001000000\x00" and directory.startswith(
                str(self.root)
            ):
                found.append(Path(directory).name)
        return tuple(sorted(found))

    def _asking(
        self, call: calls.Call
    ) -> Callable[[Runtime], Coroutine[Any, Any, object]]:
        async def asking(runtime: Runtime) -> object:
            client = SlapClient(runtime, Replicas(self.config.master_urls))
            try:
                answer = await client.perform(call)
            except NotFound:
                # What is to be destroyed never was, or is gone already.
                return None
            finally:
                await client.close()
            if isinstance(answer, TreeReport):
                return [each.reported_state for each in answer.instances]
            return None

        return asking

    def _passing(
        self, scenario: Callable[[Agent], Coroutine[Any, Any, ExitStatus]]
    ) -> Callable[[Runtime], Coroutine[Any, Any, int]]:
        async def passing(runtime: Runtime) -> int:
            lock = Ownership(self.config, runtime)
            agent = build_agent(self.config, runtime)
            try:
                return int(await scenario(agent))
            finally:
                await agent.close()
                lock.release()

        return passing

    def _fork(self, do: Callable[[], object]) -> int:
        pid = os.fork()
        if pid == 0:
            status = 70
            try:
                answer = do()
                status = answer if isinstance(answer, int) else 0
            finally:
                os._exit(status)
        return pid


async def _formatted(agent: Agent) -> ExitStatus:
    return (await agent.format()).exit_status


async def _built(agent: Agent) -> ExitStatus:
    return (await agent.software_pass()).exit_status


async def _passed(agent: Agent) -> ExitStatus:
    passed = await agent.instance_pass()
    removed = await agent.report_pass()
    return max(passed.exit_status, removed.exit_status)


async def _shut_down(agent: Agent) -> ExitStatus:
    tree = agent.runtime.file_tree(agent.config.instance_root)
    await Supervisord(agent.runtime, tree).shut_down()
    return ExitStatus.OK


def _write(descriptor: int, answer: object) -> None:
    os.write(descriptor, json.dumps(answer).encode())


def _describe(path: Path) -> str:
    status = path.lstat()
    mode = stat.filemode(status.st_mode)
    if path.is_symlink():
        return f"{mode} {path.readlink()}"
    if path.name == ".installed.cfg":
        # buildout appends to it what a run updates: its last word counts.
        installed = configparser.RawConfigParser(strict=False)
        installed.read(path)
        sections = {name: sorted(installed.items(name)) for name in installed}
        return f"{mode} {sorted(sections.items())}"
    if path.is_file():
        return f"{mode} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    return mode


def play(root: Path, seed: int, count: int) -> dict[str, object]:
    """Undisturbed rounds first, then so many with a kill in each.

    An instant is drawn over the length that a pass of that turn had undisturbed. One
    that comes after the end of a pass that was shorter is drawn again.
    """
    entropy = random.Random(seed)
    port = free_port()
    trial = Trial(root, port)
    master = trial._fork(lambda: _serve(root, port))  # noqa: SLF001 - our own
    draw_count, hit_count, passes_worst = 0, 0, 0
    try:
        eventually(lambda: is_listening("127.0.0.1", port), 30, "the master listens")
        trial.prepare()
        expected, seconds = [], []
        # The first turn of each kind gives titles their partitions.
        for number in range(2 * len(WISHES)):
            trial.wish(number)
            began = time.monotonic()  # noqa: TID251 - the length of a real pass
            trial.in_fork(_passed)
            seconds.append(time.monotonic() - began)  # noqa: TID251
            trial.converge()
            expected.append(trial.look())
        expected = expected[len(WISHES) :]
        seconds = seconds[len(WISHES) :]
        while hit_count < count:
            number = draw_count
            draw_count += 1
            assert draw_count <= DRAWS_PER_HIT_MAX * count, f"{hit_count} hits"
            pass_seconds = seconds[number % len(WISHES)]
            trial.wish(number)
            pid = trial.begin(_passed)
            time.sleep(entropy.uniform(0, pass_seconds))  # noqa: TID251 - the draw
            os.kill(pid, signal.SIGKILL)
            ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            hit_count += ended == -signal.SIGKILL
            passes_worst = max(passes_worst, trial.converge())
            found = trial.look()
            assert found == expected[number % len(WISHES)], _difference(
                number, found, expected[number % len(WISHES)]
            )
    finally:
        trial.shut_down()
        os.kill(master, signal.SIGTERM)
        os.waitpid(master, 0)
    return {
        "draws": draw_count,
        "kills": hit_count,
        "passes_worst": passes_worst,
        "pass_seconds": round(max(seconds), 2),
    }


def _difference(number: int, found: Round, expected: Round) -> str:
    names = sorted(
        name
        for name in {*found.tree, *expected.tree}
        if found.tree.get(name) != expected.tree.get(name)
    )
    return (
        f"kill {number}: {names[:10]} differ; {found.programs} run instead of "
        f"{expected.programs}; {found.reported} instead of {expected.reported}"
    )


def _serve(root: Path, port: int) -> None:
    listen = TcpAddress("127.0.0.1", port)
    config = master_config.Config(f"file:{root}/master.zodb", listen)
    serve(lambda runtime: build_master(config, runtime))


if __name__ == "__main__":
    print(json.dumps(play(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201
