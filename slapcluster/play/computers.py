"""Core. Three computers of a cloud of play: their regions, addresses and files.

Everything of a computer is below the directory of its region, which its user alone can
enter. The network of a cloud has one part for each computer, and the operator's is the
first: ``fd12:3456:789a::1``, then ``fd12:3456:789a:1::1`` and on.
"""

from __future__ import annotations

import json
import re
import shlex
from ipaddress import IPv6Network

from slapcluster.play.places import REGION_LENGTH_MAX, Record
from slapcluster.play.settings import FREE_SPACE_MIN, NEO_REGIONS

REGIONS = NEO_REGIONS
assert all(len(it) <= REGION_LENGTH_MAX for it in REGIONS)

MINI_MASTER_PORT = 5443

RELEASE_LISTEN = "127.0.0.1:5000"
"""Where programs of a computer find releases, whoever serves them."""

HELLO_URL = f"http://{RELEASE_LISTEN}/release/software/hello/software.cfg"

CLOUD_NAME = "cloud"
"""Of the service that the master becomes."""

POLL_SECONDS = 2

DIRECTORIES = ("etc", "log", "run", "tmp", "home", "soft", "srv")
"""Of a computer."""

_ASKED = re.compile(r"On (\S+), type: (slapcluster .*)")

_PARTS = 48
"""The prefix of all: 64 of each computer, 16 bits to number them."""


def title_of(region: str) -> str:
    return f"{region}-1"


def computer_id_of(logbook: bytes, region: str) -> str:
    """Return the name that the computer of a region has in the cloud.

    ``logbook`` is what bootstrap wrote down.
    """
    return str(json.loads(logbook)["computer_ids"][title_of(region)])


def read_asked(line: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the region and the words that bootstrap asks to be typed there.

    ``None`` for a line in which it says something else.
    """
    found = _ASKED.match(line)
    if found is None:
        return None
    return region_of(found.group(1)), tuple(shlex.split(found.group(2)))


def region_of(title: str) -> str:
    return title.rpartition("-")[0]


def network_of(record: Record, region: str) -> str:
    """Return the network of a computer, one address for each partition."""
    return str(_network(record, REGIONS.index(region) + 1))


def addresses_of(record: Record, region: str) -> tuple[str, ...]:
    """Return the addresses of a computer (first) and of its partitions."""
    network = _network(record, REGIONS.index(region) + 1)
    return tuple(str(network[host]) for host in range(1, record.partition_count + 2))


def operator_address(record: Record) -> str:
    """Return the address of the operator, where the mini-master is for a while."""
    return str(_network(record, 0)[1])


def with_prefix(address: str) -> str:
    """Return an address as an interface has it: all computers are on one link."""
    return f"{address}/{_PARTS}"


def region_at(record: Record, address: str) -> str | None:
    """Return the region that an address is of, ``None`` for none."""
    return next((it for it in REGIONS if address in addresses_of(record, it)), None)


def _network(record: Record, number: int) -> IPv6Network:
    first = int(IPv6Network(record.network).network_address)
    return IPv6Network((first + (number << 64), 64))


def settings_path(record: Record, region: str) -> str:
    return f"{record.place}/{region}/etc/slapos.cfg"


def render_agent(record: Record, region: str) -> str:
    """Return the ``slapos.cfg`` of a computer that nobody knows yet."""
    home = f"{record.place}/{region}"
    return f"""\
[slapos]
software_root = {home}/soft
instance_root = {home}/srv
region = {region}
poll_interval = {POLL_SECONDS}
software_min_free_space = {FREE_SPACE_MIN}
instance_min_free_space = {FREE_SPACE_MIN}
release_listen = {RELEASE_LISTEN}

[slapformat]
partition_amount = {record.partition_count}
ipv6_network = {network_of(record, region)}
"""


def render_waiting(record: Record, region: str) -> str:
    """Return the script of an agent that begins when its computer has joined."""
    path = settings_path(record, region)
    command = f"{record.place}/venv/bin/slapcluster"
    return f"""\
until grep -q ^computer_id '{path}'; do sleep 0.3; done
exec '{command}' node run --cfg '{path}'
"""


def render_cloud(record: Record) -> str:
    """Return the file that bootstrap makes the cloud from.

    Without commands: what a computer is to do is typed there.
    """
    lines = [
        f'name = "{CLOUD_NAME}"',
        "",
        "[mini-master]",
        f'listen = "[{operator_address(record)}]:{MINI_MASTER_PORT}"',
    ]
    for region in REGIONS:
        lines += [
            "",
            f"[computers.{title_of(region)}]",
            f'region = "{region}"',
            f'address = "{addresses_of(record, region)[0]}"',
            f'settings = "{settings_path(record, region)}"',
        ]
    return "\n".join(lines) + "\n"
