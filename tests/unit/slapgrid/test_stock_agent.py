"""The stock agent and ours never work at the same time."""

from __future__ import annotations

import pytest

from labsim.world.world import World
from runtime.ports import IFileTree
from slapgrid.neighbours.lock import AlreadyRunning
from slapgrid.neighbours.settings import NeighbourSettings
from slapgrid.neighbours.stock_agent import StockAgent, is_stock_agent

SETTINGS = NeighbourSettings("/srv/run/sr.pid", "/srv/run/cp.pid", "/srv/run/ur.pid")
STOCK = b"/opt/slapos/bin/python3\0/opt/slapos/bin/slapos\0node\0instance\0--now\0"


@pytest.fixture
def root(world: World) -> IFileTree:
    return world.host("computer").runtime.file_tree("/")


@pytest.fixture
def world() -> World:
    return World(seed=1)


def the_stock_agent(world: World) -> StockAgent:
    return StockAgent(SETTINGS, world.host("computer").runtime.file_tree)


def run_program(root: IFileTree, number: int, command_line: bytes) -> None:
    root.make_directory(f"proc/{number}")
    root.write(f"proc/{number}/cmdline", command_line)


@pytest.mark.parametrize(
    ("command_line", "is_stock"),
    [
        (STOCK, True),
        (b"slapos\0node\0software\0", True),
        (b"vi\0/etc/opt/slapos/slapos.cfg\0", False),
        (b"ls\0/opt/slapos\0", False),
        (b"slapos\0proxy\0start\0", False),
        (b"python3\0bin/slapgrid\0--cfg\0/etc/slapos.cfg\0run\0", False),
        (b"", False),
    ],
)
def test_a_stock_agent_is_known_by_its_command_line(
    command_line: bytes, is_stock: bool
) -> None:
    """A path with its name in it is not enough."""
    assert is_stock_agent(command_line) is is_stock


def test_beside_a_running_stock_agent_ours_does_not_start(
    world: World, root: IFileTree
) -> None:
    """Whichever of its pid files says so."""
    root.make_directory("srv/run")
    root.write("srv/run/cp.pid", b"4321\n")
    run_program(root, 4321, STOCK)

    with pytest.raises(AlreadyRunning, match="process 4321"):
        the_stock_agent(world).check_absent()


@pytest.mark.parametrize("command_line", [None, b"sshd\0", b"vi\0slapos.cfg\0"])
def test_a_recycled_number_blocks_nobody(
    world: World, root: IFileTree, command_line: bytes | None
) -> None:
    """The process is gone, or another has its number."""
    root.make_directory("srv/run")
    root.write("srv/run/cp.pid", b"4321")
    if command_line is not None:
        run_program(root, 4321, command_line)

    assert the_stock_agent(world).find() is None


@pytest.mark.parametrize("content", [b"", b"no number", b"1" * 100])
def test_a_broken_pid_file_blocks_nobody(
    world: World, root: IFileTree, content: bytes
) -> None:
    root.make_directory("srv/run")
    root.write("srv/run/cp.pid", content)

    assert the_stock_agent(world).find() is None


def test_while_ours_works_its_number_stands_in_the_pid_files(
    world: World, root: IFileTree
) -> None:
    """And afterwards no more, unless another process wrote itself there."""
    root.make_directory("srv/run")

    the_stock_agent(world).keep_away(77)
    meanwhile = [root.read(f"srv/run/{name}.pid") for name in ("sr", "cp", "ur")]
    root.write("srv/run/ur.pid", b"88\n")
    the_stock_agent(world).let_in(77)

    assert meanwhile == [b"77\n"] * 3
    assert root.list("srv/run") == ("ur.pid",)


def test_where_no_stock_agent_was_installed_nothing_is_written(
    world: World, root: IFileTree
) -> None:
    the_stock_agent(world).keep_away(77)

    assert root.status("srv/run") is None
