"""The stock agent works on this machine, so that ours can be compared with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests import programs
from tests.interop.stock import stock_environment
from tests.interop.stock_agent import (
    COMPUTER_ID,
    StockComputer,
    build_stock_computer,
    write_release,
)


@pytest.fixture
def stock_computer() -> Iterator[StockComputer]:
    """A formatted computer of two partitions, and the stock master."""
    port = programs.free_port()
    with TemporaryDirectory(prefix="stock-") as home:
        computer = build_stock_computer(Path(home), f"http://127.0.0.1:{port}/", 2)
        proxy = computer.argv("proxy", "start")
        with programs.running(proxy, computer.home / "proxy.log"):
            programs.eventually(
                lambda: programs.is_listening("127.0.0.1", port), 30, "the stock master"
            )
            computer.succeed("node", "format", "--now")
            try:
                yield computer
            finally:
                computer.end_supervisord()


@pytest.mark.parametrize("kind", ["software", "instance", "report", "promise", "prune"])
def test_the_commands_of_the_stock_agent_exist(kind: str) -> None:
    slapos = str(stock_environment() / "slapos")

    done = programs.run([slapos, "help", "node", kind])

    assert done.returncode == 0, done.stderr
    assert f"usage: slapos node {kind}" in done.stdout


def test_the_stock_agent_builds_and_instantiates(stock_computer: StockComputer) -> None:
    """A release is built, an instance runs, its promises are kept."""
    url = write_release(stock_computer.home)
    stock_computer.succeed("supply", url, COMPUTER_ID)
    built = stock_computer.pass_of("software")
    assert built.returncode == 0, built.stdout + built.stderr
    stock_computer.succeed("request", "first", url)

    first = stock_computer.pass_of("instance")
    again = stock_computer.pass_of("instance")

    assert [first.returncode, again.returncode] == [0, 0], (
        first.stdout + first.stderr + again.stdout + again.stderr
    )
    partition = stock_computer.instance_root / "slappart0"
    results = {path.name for path in partition.glob(".slapgrid/promise/result/*")}
    assert results == {"always.status.json", "settings.status.json"}
    status = stock_computer.run("node", "status").stdout
    assert "slappart0:sleeper-on-watch" in status
    assert "RUNNING" in status
