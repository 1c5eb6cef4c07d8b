"""Core. The programs of a region: their command lines, and who keeps them running.

Each region has a supervisord of its own, as it would have on a computer of its own: it
starts a program that ends again, and when it is killed its programs are, by the kernel
(``replication.neo.program``). So whatever is killed, nothing is left that nobody knows.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from attrs import frozen

from replication.regions import NeoCluster, ProgramKind, Region

SUPERVISORD_CONF = "supervisord.conf"
SUPERVISORD_PID = "supervisord.pid"
SUPERVISORD_LOG = "log/supervisord.log"
DATABASE = "database.sqlite"

RESTARTS_MAX = 60
"""Each comes a second later than the one before: half an hour, then it is left down.
supervisord counts those alone that end within a second of their start."""

STOP_SECONDS_MAX = 10
"""A program of NEO ends at once when it is told to; one that is stopped is killed."""

LOG_BYTES_MAX = 10 * 1024 * 1024

NEO_PROGRAMS: Mapping[ProgramKind, str] = {
    ProgramKind.NEO_MASTER: "neomaster",
    ProgramKind.STORAGE_NODE: "neostorage",
    ProgramKind.ADMIN_NODE: "neoadmin",
}
"""What NEO calls them."""


@frozen
class Launcher:
    """What begins the command line of a program: an interpreter and a file."""

    python: str
    program: str


def program_arguments(
    neo_cluster: NeoCluster, region: Region, kind: ProgramKind, database: str
) -> tuple[str, ...]:
    """Return the options of one of NEO's programs."""
    arguments = (
        *("--cluster", neo_cluster.name),
        *("--masters", " ".join(neo_cluster.neo_masters)),
        *("--bind", region.addresses[kind]),
    )
    if kind is ProgramKind.NEO_MASTER:
        # Without --autostart: cells are made once, by `storage create`.
        partitions = str(neo_cluster.partition_count)
        replicas = str(neo_cluster.replica_count)
        return (*arguments, "--partitions", partitions, "--replicas", replicas)
    if kind is ProgramKind.STORAGE_NODE:
        return (*arguments, "--adapter", "SQLite", "--database", database)
    return arguments


def log_file(kind: ProgramKind) -> str:
    """Return where a program writes, below the directory of its region."""
    return f"log/{kind}.log"


def render_supervisord(
    neo_cluster: NeoCluster,
    region: Region,
    directory: str,
    socket: str,
    launcher: Launcher,
) -> str:
    """Return the configuration of the supervisord of a region; ``directory`` is its."""
    sections = [
        f"""\
[supervisord]
logfile = {directory}/{SUPERVISORD_LOG}
logfile_maxbytes = {LOG_BYTES_MAX}
logfile_backups = 1
pidfile = {directory}/{SUPERVISORD_PID}
childlogdir = {directory}/log
directory = {directory}
identifier = {neo_cluster.name}-{region.name}
umask = 027

[unix_http_server]
file = {directory}/{socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{directory}/{socket}
"""
    ]
    for priority, kind in enumerate(ProgramKind, start=1):
        command = (
            *(launcher.python, "-P", launcher.program),
            *(f"{directory}/{SUPERVISORD_CONF}", NEO_PROGRAMS[kind]),
            *program_arguments(neo_cluster, region, kind, f"{directory}/{DATABASE}"),
        )
        sections.append(
            f"""\
[program:{kind}]
command = {shlex.join(command)}
directory = {directory}
priority = {priority}
autorestart = true
startretries = {RESTARTS_MAX}
stopwaitsecs = {STOP_SECONDS_MAX}
redirect_stderr = true
stdout_logfile = {directory}/{log_file(kind)}
stdout_logfile_maxbytes = {LOG_BYTES_MAX}
stdout_logfile_backups = 1
"""
        )
    return "\n".join(sections)
