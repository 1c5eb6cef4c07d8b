"""The stock agent on this machine: its programs, its settings, a release it can build.

The reference refuses partitions of root. Where tests run as root, its programs run in a
user namespace that calls root ``nobody``: the same files, and nothing to clean up.
"""

from __future__ import annotations

import getpass
import os
import pwd
import signal
import subprocess  # noqa: TID251 - what a program of others gives is read here
from pathlib import Path

from attrs import frozen

from tests import programs
from tests.interop.stock import stock_environment

COMPUTER_ID = "COMP-STOCK"
COMMAND_SECONDS_MAX = 600.0
_NOBODY = 65534


def user_name() -> str:
    """Who owns the partitions, as the stock programs see it."""
    return pwd.getpwuid(_NOBODY).pw_name if os.getuid() == 0 else getpass.getuser()


def as_ordinary_user(*argv: str) -> list[str]:
    """The command that runs this as another than root, who owns the same files."""
    if os.getuid() != 0:
        return list(argv)
    mapped = (f"--map-user={_NOBODY}", f"--map-group={_NOBODY}")
    return ["unshare", "--user", *mapped, "--", *argv]


@frozen
class StockComputer:
    """A computer with a stock configuration; any agent may be run on it."""

    home: Path
    master_url: str
    partition_count: int

    @property
    def cfg(self) -> Path:
        return self.home / "slapos.cfg"

    @property
    def software_root(self) -> Path:
        return self.home / "s"

    @property
    def instance_root(self) -> Path:
        return self.home / "i"

    def argv(self, *argv: str) -> list[str]:
        """The command line of a stock command, for instance ``node``, ``instance``."""
        slapos = str(stock_environment() / "slapos")
        return as_ordinary_user(slapos, *argv, "--cfg", str(self.cfg))

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a stock command to its end; the caller judges the status."""
        return programs.run(self.argv(*argv), timeout_seconds=COMMAND_SECONDS_MAX)

    def succeed(self, *argv: str) -> str:
        """Run a stock command that must succeed; all that it wrote."""
        done = self.run(*argv)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def pass_of(self, kind: str, *argv: str) -> subprocess.CompletedProcess[str]:
        """One pass of the stock agent: ``software``, ``instance``, ``report``..."""
        pid_file = f"--pidfile={self.home}/slapgrid-{kind}.pid"
        return self.run("node", kind, "--now", pid_file, *argv)

    def end_supervisord(self) -> None:
        """End what the passes left running."""
        pid_file = self.instance_root / "var/run/supervisord.pid"
        if not pid_file.exists():
            return
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        programs.eventually(lambda: not pid_file.exists(), 70, "the end of supervisord")


def build_stock_computer(
    home: Path, master_url: str, partition_count: int
) -> StockComputer:
    """Write the settings of a computer on the loopback; ``node format`` comes next.

    ``home`` must be short: a socket's path has 107 bytes.
    """
    computer = StockComputer(home, master_url, partition_count)
    computer.software_root.mkdir()
    computer.instance_root.mkdir()
    user = user_name()
    port = master_url.rstrip("/").rpartition(":")[2]
    computer.cfg.write_text(
        f"""\
[slapos]
master_url = {master_url}
computer_id = {COMPUTER_ID}
software_root = {computer.software_root}
instance_root = {computer.instance_root}
root_check = false
software_min_free_space = 10M
instance_min_free_space = 10M

[slapproxy]
host = 127.0.0.1
port = {port}
database_uri = {home}/proxy.db

[slapformat]
interface_name = lo
partition_amount = {partition_count}
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
        f"""\
[partition_{number}]
user = {user}
address = 127.0.0.1/255.255.255.255 ::1/128
pathname = slappart{number}
network_interface = lo
"""
        for number in range(partition_count)
    )
    (home / "definition.cfg").write_text(
        f"[computer]\naddress = ::1/128\nsoftware_user = {user}\n{partitions}"
    )
    return computer


def write_release(home: Path) -> str:
    """Write a release that needs no package; its URL.

    Its instances have eight parts: parameters, a file of settings, a service, a program
    that runs once, an executable promise, a promise plug-in, and what they publish.
    """
    (home / "instance.cfg.in").write_text(INSTANCE)
    (home / "promise.py.in").write_text(PLUGIN)
    url = home / "software.cfg"
    url.write_text(SOFTWARE.format(home=home))
    return str(url)


SOFTWARE = """\
[buildout]
parts = instance plugin

[file]
recipe = probe-recipe:file

[plugin]
<= file
input = {home}/promise.py.in
output = ${{buildout:directory}}/promise.py.in

[instance]
<= file
input = {home}/instance.cfg.in
output = ${{buildout:directory}}/instance.cfg
"""

INSTANCE = """\
[buildout]
parts = slap-parameters settings service once promise plugin publish
eggs-directory = $${buildout:directory}/software_release/eggs
eggs-directory-version =

[slap-parameters]
recipe = probe-recipe:parameters
computer = $${slap-connection:computer-id}
partition = $${slap-connection:partition-id}
url = $${slap-connection:server-url}

[file]
recipe = probe-recipe:file
mode = 0700

[settings]
<= file
mode = 0600
output = $${buildout:directory}/etc/settings.txt
content = timestamp $${slap-parameters:configuration.timestamp}

[service]
<= file
output = $${buildout:directory}/etc/service/sleeper
content =
  #!/bin/sh
  exec sleep 1000000

[once]
<= file
output = $${buildout:directory}/etc/run/once
content =
  #!/bin/sh
  exit 0

[promise]
<= file
output = $${buildout:directory}/etc/promise/always
content =
  #!/bin/sh
  exit 0

[plugin]
<= file
mode = 0644
output = $${buildout:directory}/etc/plugin/settings.py
input = $${buildout:directory}/software_release/promise.py.in

[publish]
recipe = probe-recipe:publish
computer = $${slap-connection:computer-id}
partition = $${slap-connection:partition-id}
url = $${slap-connection:server-url}
publish-ready = yes
"""

PLUGIN = """\
import sys
sys.path[0:0] = []
import os
from zope.interface import implementer
from slapos.grid.promise import interface
from slapos.grid.promise.generic import GenericPromise

@implementer(interface.IPromise)
class RunPromise(GenericPromise):
    def __init__(self, config):
        super().__init__(config)
        self.setPeriodicity(minute=2)

    def sense(self):
        path = os.path.join(self.getPartitionFolder(), "etc", "settings.txt")
        if os.path.exists(path):
            self.logger.info("settings are there")
        else:
            self.logger.error("no settings")

    def test(self):
        return self._test(result_count=1, failure_amount=1)

    def anomaly(self):
        return self._test(result_count=1, failure_amount=1)
"""
