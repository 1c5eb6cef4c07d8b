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
VERDICT_FILE = "verdict.json"
"""What the neo_master of a region decided last, and why."""


ROOM_BYTES = 16 * 1024**2
"""A storage node does not begin with less: four times what SQLite writes into its log
before it brings that into the database. It would end again, and each coming and going
of it costs the others a change of their table."""

RESTARTS_MAX = 60
"""Each comes a second later than the one before: half an hour, then it is left down.
supervisord counts those alone that end within a second of their start."""

STOP_SECONDS_MAX = 10
"""A program of NEO ends at once when it is told to; one that is stopped is killed."""

LOG_BYTES_MAX = 10 * 1024 * 1024

PROGRAM_MODULES: Mapping[ProgramKind, str] = {
    ProgramKind.NEO_MASTER: "replication.neo.neo_master",
    ProgramKind.STORAGE_NODE: "replication.neo.storage_node",
    ProgramKind.ADMIN_NODE: "neo.scripts.neoadmin",
}
"""The ``main`` of each. The first two are NEO's with the quorum."""


@frozen
class Launcher:
    """What begins the command line of a program: an interpreter and a file."""

    python: str
    program: str


def program_arguments(
    neo_cluster: NeoCluster, region: Region, kind: ProgramKind, directory: str
) -> tuple[str, ...]:
    """Return the options of a program of a region; ``directory`` is its."""
    arguments = (
        *("--cluster", neo_cluster.name),
        *("--masters", " ".join(neo_cluster.neo_masters)),
        *("--bind", region.addresses[kind]),
    )
    if kind is ProgramKind.NEO_MASTER:
        # Without --autostart: cells are made once, by `storage create`.
        partitions = str(neo_cluster.partition_count)
        replicas = str(neo_cluster.replica_count)
        options = ("--partitions", partitions, "--replicas", replicas)
        return (*arguments, *options, "--verdict", f"{directory}/{VERDICT_FILE}")
    if kind is ProgramKind.STORAGE_NODE:
        options = ("--region", str(region.number), "--adapter", "SQLite")
        return (*arguments, *options, "--database", f"{directory}/{DATABASE}")
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
            *(f"{directory}/{SUPERVISORD_CONF}", PROGRAM_MODULES[kind]),
            *program_arguments(neo_cluster, region, kind, directory),
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
