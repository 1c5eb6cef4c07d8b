"""A stock node reaches replicas with TLS through a gateway, and knows nothing of it."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography import x509

from slap.identities import Identity, Role
from tests import programs
from tests.certificates import a_region, a_root, write_identity
from tests.interop.stock import stock_environment
from tests.interop.stock_cloud import OUR_COMMAND, Cloud, write_stock_configuration

ROOT = a_root()
REGION = a_region(ROOT)
COMPUTER = REGION.issue_to(Identity(Role.COMPUTER, "local"))
LOOPBACK = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")),)

LOOK = (
    "for it in slap.registerComputer('local').getComputerPartitionList():\n"
    "    print('found', it.getId())\n\n"
)


class Place:
    """A stock computer with a gateway to two replicas, of which one runs at a time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.ports = [programs.free_port() for _ in range(2)]
        entry = programs.free_port()
        self.computer = home / "computer"
        self.computer.mkdir()
        url = f"http://127.0.0.1:{entry}/"
        cfg = write_stock_configuration(self.computer, url, entry)
        self.cloud = Cloud(url, cfg, stock_environment() / "slapos")
        servers = ", ".join(f'"127.0.0.1:{port}"' for port in self.ports)
        (self.computer / "links.toml").write_text(
            f"""name = "local"
[gateways.master]
accept = "127.0.0.1:{entry}"
servers = [{servers}]
identity = "identity"
"""
        )

    def apply(self, believed) -> None:
        write_identity(self.computer / "identity", COMPUTER, believed)
        argv = [sys.executable, "-c", OUR_COMMAND, "link", "apply"]
        argv += [str(self.computer / "links.toml"), "--home", str(self.home / "links")]
        done = programs.run(argv)
        assert done.returncode == 0, done.stderr

    @contextmanager
    def stunnel(self) -> Iterator[None]:
        home = self.home / "links"
        argv = ("stunnel", str(home / "stunnel.conf"))
        with programs.running(argv, self.home / "stunnel.output"):
            log = home / "stunnel.log"
            programs.eventually(
                lambda: "Configuration successful" in log.read_text(), 10, "stunnel"
            )
            yield

    @contextmanager
    def replica(self, number: int) -> Iterator[None]:
        owner = REGION.issue_to(
            Identity(Role.REPLICA, f"replica-{number}"), other_names=LOOPBACK
        )
        identity = write_identity(self.home / f"replica-{number}", owner, ROOT)
        port = self.ports[number]
        argv = [sys.executable, "-c", OUR_COMMAND, "master"]
        argv += ["--listen", f"127.0.0.1:{port}", "--identity", str(identity)]
        argv += ["--store", f"file:{self.home}/state.zodb"]
        with programs.running(argv, self.home / f"replica-{number}.log"):
            programs.eventually(
                lambda: programs.is_listening("127.0.0.1", port), 30, "the replica"
            )
            yield


def test_a_stock_node_reaches_whichever_replica_is_there(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.apply(ROOT)
    with place.stunnel():
        with place.replica(0):
            formatted = place.cloud.stock("node", "format", "--now")
        with place.replica(1):
            found = place.cloud.stock("console", stdin=LOOK)
            place.apply(a_root())
            foreign = place.cloud.stock("console", stdin=LOOK)

    assert "successfully prepared the computer" in formatted
    assert "found slappart0" in found
    assert "found" not in foreign
    assert "ConnectionError" in foreign
