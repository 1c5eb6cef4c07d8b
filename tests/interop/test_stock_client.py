"""The stock command line drives our mini-master as real processes."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests import programs
from tests.interop.stock import stock_environment

RELEASE = "http://release.invalid/software.cfg"
COMPUTER = "local"
OUR_COMMAND = "from slapcluster.cli import main; main()"


@frozen
class Cloud:
    """A running mini-master and a configuration of the stock programs that names it."""

    url: str
    cfg: Path
    slapos: Path

    def stock(self, *argv: str, stdin: str = "") -> str:
        """Run a stock command; its whole output. It must succeed."""
        status, output = self.stock_status(*argv, stdin=stdin)
        assert status == 0, output
        return output

    def stock_status(self, *argv: str, stdin: str = "") -> tuple[int, str]:
        done = programs.run(
            [str(self.slapos), *argv[:1], "--cfg", str(self.cfg), *argv[1:]]
            if argv[0] != "node"
            else [str(self.slapos), *argv[:2], "--cfg", str(self.cfg), *argv[2:]],
            stdin=stdin,
        )
        return done.returncode, done.stdout + done.stderr

    def ours(self, *argv: str) -> object:
        """Run our command; its JSON answer."""
        done = programs.run(
            [
                sys.executable,
                "-c",
                OUR_COMMAND,
                "--master",
                self.url,
                "--output",
                "json",
                *argv,
            ]
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def write_stock_configuration(home: Path, url: str, port: int) -> Path:
    """A slapos.cfg of two partitions, and the definition that spares the network."""
    user = getpass.getuser()
    (home / "software").mkdir()
    (home / "instance").mkdir()
    cfg = home / "slapos.cfg"
    cfg.write_text(
        f"""[slapos]
master_url = {url}
computer_id = {COMPUTER}
software_root = {home}/software
instance_root = {home}/instance
[slapproxy]
host = 127.0.0.1
port = {port}
database_uri = {home}/proxy.db
[slapformat]
interface_name = lo
partition_amount = 2
partition_base_name = slappart
user_base_name = {user}
software_user = {user}
alter_user = false
alter_network = false
create_tap = false
ipv4_local_network = 127.0.0.0/8
computer_xml = {home}/slapos.xml
input_definition_file = {home}/definition.cfg
"""
    )
    partitions = "".join(
        f"""[partition_{number}]
user = {user}
address = 127.0.0.1/255.255.255.255 ::1/128
pathname = slappart{number}
network_interface = lo
"""
        for number in range(2)
    )
    (home / "definition.cfg").write_text(
        f"[computer]\naddress = ::1/128\nsoftware_user = {user}\n{partitions}"
    )
    return cfg


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    slapos = stock_environment() / "slapos"
    port = programs.free_port()
    url = f"http://127.0.0.1:{port}/"
    cfg = write_stock_configuration(tmp_path, url, port)
    argv = [
        sys.executable,
        "-c",
        OUR_COMMAND,
        "proxy",
        "--cfg",
        str(cfg),
    ]
    with programs.running(argv, tmp_path / "proxy.log"):
        programs.eventually(
            lambda: programs.is_listening("127.0.0.1", port), 20, "the mini-master"
        )
        yield Cloud(url, cfg, slapos)


def test_a_life_by_the_stock_command_line(cloud: Cloud) -> None:
    """Format, supply, request, request again, read, destroy, remove: all obeyed."""
    formatted = cloud.stock("node", "format", "--now")
    supplied = cloud.stock("supply", RELEASE, COMPUTER)
    requested = cloud.stock("request", "first", RELEASE, "--parameters", "greeting=hey")
    again = cloud.stock("request", "first", RELEASE, "--parameters", "greeting=hey")
    partitions = cloud.stock(
        "console",
        stdin="computer = slap.registerComputer('local')\n"
        "for p in computer.getComputerPartitionList():\n"
        "    print(p.getId(), p.getState(), p.getInstanceParameterDict()\n"
        "          .get('greeting') if p.getState() == 'started' else None)\n\n"
        "for r in computer.getSoftwareReleaseList():\n"
        "    print(r.getURI(), r.getState())\n\n",
    )

    assert "successfully prepared the computer" in formatted
    assert "Done." in supplied
    assert "State is : started." in requested
    assert "State is : started." in again
    assert "slappart0 started hey" in partitions
    assert "slappart1 destroyed None" in partitions
    assert f"{RELEASE} available" in partitions

    destroyed = cloud.stock("request", "first", RELEASE, "--state", "destroyed")
    removed = cloud.stock("remove", RELEASE, COMPUTER)

    assert "State is : destroyed." in destroyed
    assert "Done." in removed
    report = cloud.ours("computer", "info", COMPUTER)
    assert [
        (p["partition_id"], p["requested_state"]) for p in report["partitions"]
    ] == [
        ("slappart0", "destroyed"),
        ("slappart1", ""),
    ]


def test_a_full_computer_refuses_the_stock_request_with_not_found(cloud: Cloud) -> None:
    cloud.stock("node", "format", "--now")
    for title in ("first", "second"):
        cloud.stock("request", title, RELEASE)

    status, output = cloud.stock_status("request", "third", RELEASE)

    assert status != 0
    assert "NotFoundError" in output
    why = cloud.ours("why", "third")
    assert why["partition"] is None
    assert sum(condition["excluded_count"] for condition in why["conditions"]) >= 2


def test_a_stock_bang_and_rename_are_obeyed(cloud: Cloud) -> None:
    """A bang gives every instance of the computer a new timestamp."""
    cloud.stock("node", "format", "--now")
    cloud.stock("request", "first", RELEASE)
    read = (
        "p = slap.registerComputerPartition('local', 'slappart0')\n"
        "print('timestamp', p.getInstanceParameterDict()['timestamp'])\n"
    )

    before = cloud.stock("console", stdin=read)
    cloud.stock("node", "bang", "-m", "all again")
    after = cloud.stock("console", stdin=read)

    assert timestamp_in(before) != timestamp_in(after)


def timestamp_in(output: str) -> str:
    (line,) = [line for line in output.splitlines() if "timestamp " in line]
    return line.split()[-1]
