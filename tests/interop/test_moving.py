"""A computer moves from the stock agent to ours and back, as its page says."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess  # noqa: TID251 - what a run gives
from tempfile import TemporaryDirectory

import pytest
from attrs import frozen

from tests import programs
from tests.interop.stock import CHECKOUT, stock_environment
from tests.interop.stock_agent import (
    COMMAND_SECONDS_MAX,
    COMPUTER_ID,
    StockComputer,
    as_ordinary_user,
    build_stock_computer,
    write_release,
)
from tests.pages import commands_of

PAGE = CHECKOUT / "docs" / "moving-a-node.md"
RUNNING = re.compile(r"^(\S+:sleeper-on-watch) +RUNNING +pid (\d+)", re.MULTILINE)
OUR_COMMAND = "from slapcluster.cli import node_main; node_main()"


@frozen
class Operator:
    """Somebody who types what the page says, on a computer whose files stand apart."""

    computer: StockComputer

    def type(self, command: str) -> str:
        """Run a command of the page; its output. It must succeed.

        The status of supervisord's own command is 3 where a program has ended.
        """
        done = self.try_to(command)
        allowed = (0, 3) if command.startswith("slapos node status") else (0,)
        assert done.returncode in allowed, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def try_to(self, command: str) -> CompletedProcess[str]:
        home = str(self.computer.home)
        for path, instead in (
            ("/etc/opt/slapos/slapos.cfg", str(self.computer.cfg)),
            ("/etc/opt/slapos/", f"{home}/"),
            ("/etc/cron.d/", f"{home}/cron.d/"),
            # The computer of a test has no systemd of its own.
            ("install-service", f"install-service --root {home}"),
        ):
            command = command.replace(path, instead)
        path = f"{home}/bin:{stock_environment()}:/usr/sbin:/usr/bin:/sbin:/bin"
        return programs.run(
            as_ordinary_user("sh", "-ec", command),
            {"PATH": path, "PYTHONPATH": str(CHECKOUT)},
            timeout_seconds=COMMAND_SECONDS_MAX,
        )

    def processes(self) -> dict[str, str]:
        """The process of each service that runs."""
        status = self.computer.run("node", "status").stdout
        return dict(RUNNING.findall(status))

    def certificates(self) -> dict[str, bytes]:
        """The files of instances; the stock mini-master has only empty ones."""
        directory = self.computer.home / "partition_pki"
        return {path.name: path.read_bytes() for path in directory.iterdir()}

    def kept(self) -> list[tuple[str, int]]:
        """What is written anew when something is built or processed again."""
        paths = [
            *self.computer.software_root.glob("*/.completed"),
            *self.computer.instance_root.glob("slappart0/.installed.cfg"),
            *self.computer.instance_root.glob("slappart0/.timestamp"),
        ]
        return sorted((str(path), path.stat().st_mtime_ns) for path in paths)


@pytest.fixture
def operator() -> Iterator[Operator]:
    """A stock master, and a computer whose stock agent runs an instance."""
    port = programs.free_port()
    with TemporaryDirectory(prefix="move-") as directory:
        home = Path(directory)
        computer = build_stock_computer(home, f"http://127.0.0.1:{port}/", 2)
        write_surroundings(computer)
        proxy = computer.argv("proxy", "start")
        with programs.running(proxy, home / "proxy.log"):
            programs.eventually(
                lambda: programs.is_listening("127.0.0.1", port), 60, "the stock master"
            )
            computer.succeed("node", "format", "--now")
            url = write_release(home)
            computer.succeed("supply", url, COMPUTER_ID)
            assert computer.pass_of("software").returncode == 0
            computer.succeed("request", "first", url)
            assert computer.pass_of("instance").returncode == 0
            try:
                yield Operator(computer)
            finally:
                computer.end_supervisord()


def write_surroundings(computer: StockComputer) -> None:
    """What a stock computer has beside its agent, and our command."""
    home = computer.home
    (home / "cron.d").mkdir()
    (home / "cron.d" / "slapos").write_text("* * * * * root slapos node instance\n")
    (home / "bin").mkdir()
    command = home / "bin" / "slapgrid"
    command.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:0] = {sys.path!r}\n{OUR_COMMAND}\n"
    )
    command.chmod(0o755)
    text = computer.cfg.read_text()
    pidfiles = "".join(
        f"pidfile_{kind} = {home}/{kind}.pid\n"
        for kind in ("software", "instance", "report")
    )
    (home / "partition_pki").mkdir()
    # The stock mini-master has no polls that wait.
    polls = "poll_interval = 2\n"
    own = f"{pidfiles}certificate_repository_path = {home}/partition_pki\n{polls}"
    computer.cfg.write_text(text.replace("[slapos]\n", f"[slapos]\n{own}"))


def service_argv(computer: StockComputer) -> list[str]:
    """The command line that the installed unit starts."""
    unit = computer.home / "etc/systemd/system/slapgrid.service"
    line = next(
        each for each in unit.read_text().splitlines() if each.startswith("ExecStart=")
    )
    return as_ordinary_user(*shlex.split(line.removeprefix("ExecStart=")))


def test_a_computer_moves_to_ours_and_back(operator: Operator) -> None:
    """Services keep their processes, nothing is done again, changes are obeyed."""
    computer = operator.computer
    before, kept = operator.processes(), operator.kept()
    assert list(before) == ["slappart0:sleeper-on-watch"]

    for command in [*commands_of(PAGE, "Before"), *commands_of(PAGE, "Moving")]:
        operator.type(command)
    assert (operator.processes(), operator.kept()) == (before, kept)

    with programs.running(service_argv(computer), computer.home / "ours.log"):
        programs.eventually((computer.home / "instance.pid").exists, 60, "our agent")
        refused = operator.try_to(
            "slapos node instance --now --cfg /etc/opt/slapos/slapos.cfg"
        )
        computer.succeed("request", "second", f"{computer.home}/software.cfg")
        both = programs.eventually(
            lambda: len(operator.processes()) == 2 and operator.processes(),
            120,
            "the second instance",
        )
        for command in commands_of(PAGE, "Checks"):
            operator.type(command)
    # Of the instance that the stock agent processed; ours keeps no empty ones.
    assert operator.certificates() == {"slappart0.crt": b"", "slappart0.key": b""}
    assert refused.returncode == 10, refused.stdout + refused.stderr
    assert both["slappart0:sleeper-on-watch"] == before["slappart0:sleeper-on-watch"]

    for command in commands_of(PAGE, "Moving back"):
        operator.type(command)

    assert (operator.processes(), operator.kept()) == (both, kept)


def test_beside_a_stock_agent_ours_is_refused(tmp_path: Path) -> None:
    """With the same exit code, and the number of the process."""
    computer = build_stock_computer(tmp_path, "http://127.0.0.1:9/", 2)
    write_surroundings(computer)
    script = computer.home / "slapos"
    script.write_text("sleep 60\n")
    argv = ["/bin/sh", str(script), "node", "instance"]
    with programs.running(argv, computer.home / "stock.log") as running:
        (computer.home / "instance.pid").write_text(str(running.pid))
        refused = Operator(computer).try_to(
            "slapgrid --cfg /etc/opt/slapos/slapos.cfg instance"
        )

    assert refused.returncode == 10
    assert f"the stock agent (process {running.pid})" in refused.stderr.lower()
