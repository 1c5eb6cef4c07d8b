"""Core. The files that the programs of a cloud of play read."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from slapcluster.play.places import PARTITION_COUNT, Record

COMPUTER_ID = "local"

POLL_SECONDS = 2
"""How often the agent asks: a person looks on."""

FREE_SPACE_MIN = "100M"
"""Ten small instances; stock nodes keep a gigabyte for big ones."""

RESTARTS_MAX = 1000
"""A cloud of play is killed on purpose; supervisord gives up after 3 by default."""


NEO_DIRECTORY = "neo"
"""Of a neo_cluster, below the place."""

NEO_REGIONS = ("paris", "lyon", "tokyo")


class StoreKind(StrEnum):
    """What the mini-master keeps its state in."""

    FILE = "file"
    NEO = "neo"


def file_store_uri(record: Record) -> str:
    return f"file:{record.place}/master/state.fs"


def creation_of_neo(record: Record) -> tuple[str, ...]:
    """Return the command line that makes a neo_cluster of three regions."""
    regions = (word for name in NEO_REGIONS for word in ("--region", name))
    directory = f"{record.place}/{NEO_DIRECTORY}"
    command = ("slapcluster", "--output", "json", "storage", "create", directory)
    return (*command, *regions)


def render_agent(record: Record) -> str:
    """Return the ``slapos.cfg`` of the one computer."""
    network = f"ipv6_network = {record.network}\n" if record.network else ""
    return f"""\
[slapos]
computer_id = {COMPUTER_ID}
master_url = {record.master_url}
software_root = {record.place}/soft
instance_root = {record.place}/srv
poll_interval = {POLL_SECONDS}
software_min_free_space = {FREE_SPACE_MIN}
instance_min_free_space = {FREE_SPACE_MIN}

[slapformat]
partition_amount = {PARTITION_COUNT}
{network}"""


def render_supervisord(place: str, programs: Mapping[str, tuple[str, ...]]) -> str:
    """Return the configuration of a first process, which restarts what ends."""
    sections = [
        f"""\
[supervisord]
nodaemon = true
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {place}/run/supervisord.pid
childlogdir = {place}/log
umask = 022
identifier = slapcluster-play

[unix_http_server]
file = {place}/run/supervisord.sock
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{place}/run/supervisord.sock
"""
    ]
    sections += [
        f"""\
[program:{name}]
command = {" ".join(argv)}
directory = {place}
autorestart = true
startretries = {RESTARTS_MAX}
stopasgroup = true
redirect_stderr = true
stdout_logfile = {place}/log/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 1
"""
        for name, argv in programs.items()
    ]
    return "\n".join(sections)


def programs_of(record: Record, store_uri: str) -> dict[str, tuple[str, ...]]:
    """Return the mini-master and the agent, as a person would start them."""
    place = record.place
    command = f"{place}/venv/bin/slapcluster"
    return {
        "master": (
            *(command, "proxy"),
            *("--listen", f"127.0.0.1:{record.master_port}"),
            *("--store", store_uri),
            *("--computer-id", COMPUTER_ID),
            *("--release", f"{place}/release"),
        ),
        "agent": (command, "node", "run", "--cfg", f"{place}/etc/slapos.cfg"),
    }
