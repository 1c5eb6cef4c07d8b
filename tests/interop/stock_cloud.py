"""A running mini-master, and the stock programs configured with its address alone."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from slap import calls
from slapgrid.recipe.master_link import MasterLink
from tests import programs
from tests.builders import a_computer_definition

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
            [str(self.slapos), *argv, "--cfg", str(self.cfg)], stdin=stdin
        )
        return done.returncode, done.stdout + done.stderr

    def format(self) -> None:
        """Tell the master of the two partitions, as the stock agent does."""
        link = MasterLink(urlsplit(self.url))
        link.perform(
            calls.define_computer(a_computer_definition(2, computer_id=COMPUTER))
        )

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
