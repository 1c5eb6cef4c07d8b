"""When a program runs warm, and how long a warm process is kept."""

from __future__ import annotations

import pytest
from attrs import define, evolve, field

from labsim.models.buildout import INTERPRETER, simulated_platform
from labsim.world.host import Host, Process
from labsim.world.world import World
from runtime.ports import Exit, Program
from slapgrid.config import Config, read_config
from slapgrid.warm.servers import IDLE_SECONDS, SERVERS_MAX, WarmServers
from slapgrid.warm.warmth import Warmth

CONFIG = """\
[slapos]
computer_id = COMP-1
master_url = http://127.0.0.1:9
software_root = /srv/software
instance_root = /srv/instances
"""


async def _work(_: Program, process: Process) -> Exit:
    await process.sleep(1)
    return Exit(0, output=b"done")


@define
class Bench:
    """Warm servers of a computer of a simulated world."""

    world: World = field(factory=lambda: World(seed=1))
    config: Config = field(factory=lambda: read_config(CONFIG))
    servers: WarmServers = field(init=False)

    def __attrs_post_init__(self) -> None:
        tree = self.host.runtime.file_tree("/")
        for number in range(SERVERS_MAX + 2):
            path = f"srv/software/{number}"
            tree.make_directory(path)
            tree.change(path, uid=1000, gid=1000)
        tree.make_directory("srv/instances/slappart0")
        tree.change("srv/instances/slappart0", uid=1001, gid=1001)
        self.host.add_behaviour(lambda program: "/shim.py" in program.argv, _work)
        self.servers = WarmServers(self.config, self.host.runtime, simulated_platform())

    @property
    def host(self) -> Host:
        return self.world.host("computer")

    @property
    def started(self) -> list[str]:
        """The directories of the releases that have a server."""
        processes = self.host.runtime.processes
        return [each.directory for each in processes.fork_servers.values()]  # type: ignore[attr-defined] # the simulated one

    def run(self, warmth: Warmth, *, uid: int = 1001) -> Exit:
        program = Program(
            (*warmth.python, warmth.shim), "/srv/instances", uid=uid, gid=uid
        )
        return self.world.result(self.servers.run(warmth, program))

    def finish(self) -> None:
        self.world.result(self.servers.stop())
        assert self.started == []
        self.world.finish()


def warmth(number: int = 0, stamp: str = "1") -> Warmth:
    """That of a release."""
    return Warmth(f"/srv/software/{number}", stamp, (INTERPRETER,), "/shim.py", "")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_program_is_cold_and_the_next_ones_are_warm(bench: Bench) -> None:
    """A server costs as much as one program saves."""
    seen = []
    for _ in range(3):
        assert bench.run(warmth()).output == b"done"
        seen.append(bench.started)

    assert seen == [[], ["/srv/software/0"], ["/srv/software/0"]]
    bench.finish()


def test_a_server_without_work_is_ended(bench: Bench) -> None:
    """It has tens of megabytes."""
    for _ in range(2):
        bench.run(warmth())
    bench.world.run_for(2 * IDLE_SECONDS + 1)

    assert bench.started == []
    bench.finish()


def test_a_release_that_was_built_again_has_another_server(bench: Bench) -> None:
    """What was imported before may be other code now."""
    for stamp in ("1", "2"):
        for _ in range(2):
            bench.run(warmth(stamp=stamp))

    assert len(bench.started) == 1
    bench.finish()


def test_the_server_that_rested_longest_makes_room(bench: Bench) -> None:
    """There are never more than the bound."""
    for number in range(SERVERS_MAX + 2):
        for _ in range(2):
            bench.run(warmth(number))

    assert bench.started == [
        f"/srv/software/{number}" for number in range(2, SERVERS_MAX + 2)
    ]
    bench.finish()


def test_a_user_that_came_later_means_another_server(bench: Bench) -> None:
    """A server of a root agent can become only those that it was started for."""
    for uid in (1001, 1001, 1002):
        bench.run(warmth(), uid=uid)
    (program,) = bench.host.runtime.processes.fork_servers.values()  # type: ignore[attr-defined] # the simulated one

    assert '"identities": [[1001, 1001], [1002, 1002]]' in program.argv[3]
    bench.finish()


def test_a_setting_keeps_everything_cold() -> None:
    """For recipes that cannot be forked."""
    config = read_config(CONFIG)
    config = evolve(config, instance=evolve(config.instance, is_warm=False))
    bench = Bench(config=config)
    for _ in range(3):
        assert bench.run(warmth()).output == b"done"

    assert bench.started == []
    bench.finish()
