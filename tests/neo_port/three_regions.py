"""A NEO cluster of three regions, each in a network of its own, with one router.

In each region one neo_master, one storage node with a copy of everything, one admin.
They reach each other over IPv6, directly, with the TLS of NEO, or through stunnel with
pinned certificates, and the router can be told to drop what goes from one region to
another.

To be made by root of a namespace, whose network becomes the router: ``APART``.
"""

from __future__ import annotations

import json
import subprocess  # noqa: TID251 - programs of these networks
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import Any

from attrs import define, field

from labsim.mutants.changing import texts_of
from labsim.mutants.mutant import Change
from replication.links import LinkedRegion, links_of, translations
from runtime.keys import Keys
from stunnel_conf.links import Endpoint, read_endpoint, read_span
from stunnel_conf.pins import sign_itself
from stunnel_conf.writing import encode_links
from tests import programs
from tests.neo_port.certificates import write_certificates
from tests.source_tree import TOP

APART = ("unshare", "--user", "--map-root-user", "--net", "--mount")
"""Runs a command as root of a network that has nothing."""

REGIONS = (1, 2, 3)
OURS = {"neomaster": "neo_master.py", "neostorage": "storage_node.py"}
"""Of NEO's programs, those that obey the quorum."""

SKEWED = Path(__file__).with_name("skewed.py")
CHANGED = Path(__file__).with_name("changed.py")

NAME = "lab"
STARTED_SECONDS_MAX = 60
"""Nine programs and three stunnels on two busy cores."""

PROBE_SECONDS = 0.3
"""Between two looks at all of them: each starts three to nine programs."""

ANSWER_SECONDS_MAX = 5
"""neoctl waits for ever for an admin that has no primary."""

NEO_MASTER_PORT, STORAGE_PORT, ADMIN_PORT = (2051, 2052, 2053)
LINKED_PORTS = {"neo-master": NEO_MASTER_PORT, "storage-node": STORAGE_PORT}
"""What a region lets the others in to."""

OWN_PIN = "own.pem"
ENTRIES = read_span("127.0.0.1:10000-10099")

NETWORKS = """\
set -e
mount -t tmpfs tmpfs /run
ip link set lo up
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
for n in 1 2 3; do
  ip netns add r$n
  ip link add v$n type veth peer name e0 netns r$n
  ip link set v$n up
  ip -6 addr add fd00:$n::ff/64 dev v$n nodad
  ip -n r$n link set lo up
  ip -n r$n link set e0 up
  ip -n r$n -6 addr add fd00:$n::1/64 dev e0 nodad
  ip -n r$n -6 route add default via fd00:$n::ff
done
"""

RULES = """\
table inet lab {
  set severed { type ifname . ifname; }
  chain forward {
    type filter hook forward priority 0;
    iifname . oifname @severed drop
  }
}
"""


def make_networks() -> None:
    """Give this namespace three regions; once in its life."""
    subprocess.run(["sh", "-c", NETWORKS], check=True)
    subprocess.run(["nft", "-f", "-"], input=RULES, text=True, check=True)


def sever(pairs: Iterable[tuple[int, int]]) -> None:
    """Drop without a word what goes from the first to the second of each pair."""
    _change_severed("add", pairs)


def heal(pairs: Iterable[tuple[int, int]]) -> None:
    _change_severed("delete", pairs)


def _change_severed(verb: str, pairs: Iterable[tuple[int, int]]) -> None:
    elements = ", ".join(f'"v{a}" . "v{b}"' for a, b in pairs)
    rule = f"{verb} element inet lab severed {{ {elements} }}\n"
    subprocess.run(["nft", "-f", "-"], input=rule, text=True, check=True)


def inside(region: int, argv: Iterable[str]) -> tuple[str, ...]:
    return ("nsenter", f"--net=/run/netns/r{region}", *argv)


def announced(region: int, port: int) -> str:
    return f"[fd00:{region}::1]:{port}"


class Way(StrEnum):
    """How regions reach each other."""

    DIRECT = "direct"
    TLS = "tls"
    STUNNEL = "stunnel"


@define
class ThreeRegions:
    """Running when it is made; ended with ``stack``.

    ``offsets`` are the seconds by which the clocks of regions are ahead;
    ``directories`` are where regions keep logs and verdicts, by default in ``home``;
    ``changes`` of the text of our programs hold for those that start from then on.
    """

    home: Path
    bin: Path
    stack: ExitStack
    way: Way
    offsets: Mapping[int, float] = field(factory=dict)
    directories: Mapping[int, Path] = field(factory=dict, kw_only=True)
    changes: tuple[Change, ...] = field(default=(), kw_only=True)
    neo_masters: dict[int, subprocess.Popen[bytes]] = field(factory=dict, init=False)
    storages: dict[int, subprocess.Popen[bytes]] = field(factory=dict, init=False)
    admin_nodes: dict[int, subprocess.Popen[bytes]] = field(factory=dict, init=False)
    tunnels: dict[int, subprocess.Popen[bytes]] = field(factory=dict, init=False)
    reached: dict[int, dict[str, str]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        if self.way is Way.TLS:
            write_certificates(self.home)
        if self.is_tunnelled:
            self._start_tunnels()
        for region in REGIONS:
            self.start_neo_master(region)
            self.start_storage(region)
            self.start_admin_node(region)
        programs.eventually(
            self._is_started, STARTED_SECONDS_MAX, "three regions run", PROBE_SECONDS
        )

    @property
    def is_tunnelled(self) -> bool:
        return self.way is Way.STUNNEL

    @property
    def tls_files(self) -> tuple[str, ...]:
        """Of the authority, the certificate and its key; none without TLS."""
        names = ("ca.crt", "node.crt", "node.key") if self.way is Way.TLS else ()
        return tuple(str(self.home / it) for it in names)

    @property
    def master_nodes(self) -> str:
        return " ".join(announced(it, NEO_MASTER_PORT) for it in REGIONS)

    def start_neo_master(self, region: int) -> None:
        options = ("--replicas", "2", "--partitions", "12")
        options += ("--verdict", str(self.verdict_file(region)))
        self.neo_masters[region] = self._run(
            region, "neomaster", NEO_MASTER_PORT, *options
        )

    def start_storage(self, region: int, *more: str) -> None:
        options = ("--adapter", "SQLite", "--database", str(self.database(region)))
        options += ("--region", str(region), *more)
        self.storages[region] = self._run(region, "neostorage", STORAGE_PORT, *options)

    def start_admin_node(self, region: int) -> None:
        self.admin_nodes[region] = self._run(region, "neoadmin", ADMIN_PORT)

    def start_tunnel(self, region: int) -> None:
        home = self._stunnel_home(region)
        argv = inside(region, ("stunnel", str(home / "stunnel.conf")))
        self.tunnels[region] = self.stack.enter_context(
            programs.running(argv, home / "stunnel.out")
        )

    def programs_of(self, region: int) -> tuple[subprocess.Popen[bytes], ...]:
        """All that runs in a region."""
        kinds = (self.neo_masters, self.storages, self.admin_nodes, self.tunnels)
        return tuple(it[region] for it in kinds if region in it)

    def database(self, region: int) -> Path:
        return self.home / f"{region}.sqlite"

    def verdict_file(self, region: int) -> Path:
        return self.directories.get(region, self.home) / f"verdict-{region}.json"

    def log_file(self, region: int, command: str) -> Path:
        return self.directories.get(region, self.home) / f"{command}-{region}.log"

    def output(self, region: int, command: str) -> Path:
        """Where a program of a region writes when it has no better place."""
        return self.home / f"{command}-{region}.out"

    def translated(self, region: int) -> str:
        """Where those of a region reach what others announce; nothing if directly."""
        if not self.is_tunnelled:
            return ""
        return " ".join(
            f"{known}={reached}" for known, reached in self.reached[region].items()
        )

    def tell(self, region: int, *words: str) -> str:
        """What the admin of a region answers; nothing when it does not."""
        command = str(self.bin / "neoctl")
        argv = (command, *self._tls_options)
        argv += ("--address", self._bound(region, ADMIN_PORT), *words)
        try:
            ended = programs.run(
                inside(region, argv), timeout_seconds=ANSWER_SECONDS_MAX
            )
        except subprocess.TimeoutExpired:
            return ""
        return ended.stdout if ended.returncode == 0 else ""

    def primary_region(self) -> int | None:
        """Where the elected neo_master is, as far as a majority knows."""
        seen = [it for it in map(self._primary_seen_from, REGIONS) if it is not None]
        return max(set(seen), key=seen.count) if len(seen) > 1 else None

    def is_whole(self) -> bool:
        """Whether all programs belong to it and all copies are complete."""
        region = next((it for it in REGIONS if self._is_running_for(it)), None)
        if region is None:
            return False
        known = self.tell(region, "print", "node")
        rows = [line.split() for line in known.splitlines()]
        of_masters = [row for row in rows if "MASTER" in row]
        lines = self.tell(region, "print", "pt").splitlines()
        cells = "".join(line.split()[-1] for line in lines if line.startswith("S"))
        return (
            len(of_masters) == len(REGIONS)
            and all("RUNNING" in row for row in rows)
            and sum("STORAGE" in row for row in rows) == len(REGIONS)
            and set(cells) == {"U"}
        )

    def _primary_seen_from(self, region: int) -> int | None:
        if not self._is_running_for(region):
            return None
        name = self.tell(region, "print", "primary").strip()
        for row in map(str.split, self.tell(region, "print", "node").splitlines()):
            if name and row[0] == name:
                return int(row[4].split(":")[1])
        return None

    def _is_running_for(self, region: int) -> bool:
        return "RUNNING" in self.tell(region, "print", "cluster")

    @property
    def _tls_options(self) -> tuple[str, ...]:
        pairs = zip(("--ca", "--cert", "--key"), self.tls_files, strict=False)
        return tuple(word for pair in pairs for word in pair)

    def _is_started(self) -> bool:
        if self.tell(1, "print", "node").count("STORAGE") == len(REGIONS):
            self.tell(1, "start")
        return self.is_whole()

    def _bound(self, region: int, port: int) -> str:
        return f"127.0.0.1:{port}" if self.is_tunnelled else announced(region, port)

    def _local(self, region: int) -> dict[str, Endpoint]:
        return {
            program: read_endpoint(self._bound(region, port))
            for program, port in LINKED_PORTS.items()
        }

    def _run(
        self, region: int, command: str, port: int, *options: str
    ) -> subprocess.Popen[bytes]:
        program: tuple[str, ...] = (str(self.bin / command),)
        if command in OURS:
            ours = TOP / "replication" / "neo" / OURS[command]
            program = (*self._changed(region, command), str(ours))
            if region in self.offsets:
                program = (str(SKEWED), str(self.offsets[region]), *program)
            program = (str(TOP / "bin" / "python"), *program)
        argv = (
            *(*program, "--cluster", NAME),
            *("--masters", self.master_nodes, "--bind", self._bound(region, port)),
            *("--logfile", str(self.log_file(region, command))),
            *self._tls_options,
            *options,
        )
        if self.is_tunnelled:
            argv += ("--announce", announced(region, port))
            argv += ("--translate", self.translated(region))
        log = self.output(region, command)
        return self.stack.enter_context(programs.running(inside(region, argv), log))

    def _changed(self, region: int, command: str) -> tuple[str, ...]:
        if not self.changes:
            return ()
        told = self.home / f"{command}-{region}.changes"
        told.write_text(json.dumps(texts_of(self.changes)))
        return (str(CHANGED), str(told))

    def _start_tunnels(self) -> None:
        linked = {it: self._make_pin(it) for it in REGIONS}
        for region, own in linked.items():
            home = self._stunnel_home(region)
            others = [it for it in linked.values() if it is not own]
            links = links_of(own, self._local(region), others, OWN_PIN, ENTRIES)
            (home / "links.toml").write_text(encode_links(links))
            told = self._apply_links(region)
            entries = {it: read_endpoint(at) for it, at in told["entries"].items()}
            found = translations(own, self._local(region), others, entries)
            # Nobody else asks an admin node.
            admin_node = announced(region, ADMIN_PORT)
            self.reached[region] = {
                **found,
                admin_node: self._bound(region, ADMIN_PORT),
            }
            self.start_tunnel(region)

    def _stunnel_home(self, region: int) -> Path:
        return self.home / f"stunnel-{region}"

    def _make_pin(self, region: int) -> LinkedRegion:
        home, name = self._stunnel_home(region), f"region-{region}"
        home.mkdir()
        key = Keys().new_private_key()
        now = time.time()  # noqa: TID251 - of this computer
        certificate = sign_itself(name, key, now, days=2)
        (home / OWN_PIN).write_text(key + certificate)
        public = home / "own.crt"
        public.write_text(certificate)
        return LinkedRegion(name, f"fd00:{region}::1", (str(public),), LINKED_PORTS)

    def _apply_links(self, region: int) -> dict[str, Any]:
        home = self._stunnel_home(region)
        command = (str(TOP / "bin" / "slapcluster"), "--output", "json", "link")
        argv = (*command, "apply", str(home / "links.toml"), "--home", str(home))
        done = programs.run(inside(region, argv))
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told
