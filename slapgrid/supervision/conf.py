"""Core. The files that supervisord reads, in the form of stock nodes.

One group per partition, named like it; a program is ``<partition>_<file>``, its process
``<file>``, or ``<file>-on-watch`` when it should never end. supervisord never restarts
anything by itself: the agent decides, with a delay that grows.
"""

from __future__ import annotations

import configparser
import shlex

from attrs import frozen

from slapgrid.layout import (
    GROUP_DIRECTORY,
    SUPERVISORD_LOG,
    SUPERVISORD_PID,
    WATCHDOG_LOG,
    ProgramKind,
    program_log,
)

WATCH_SUFFIX = "-on-watch"
#: The name of the listener, as on stock nodes; no partition is called so.
WATCHDOG = "watchdog"
#: supervisord forgets events that wait: all programs of a computer may end at once.
WATCHDOG_EVENTS_MAX = 1024
#: A program that ignores SIGTERM so long gets SIGKILL.
STOP_SECONDS_MAX = 60


@frozen
class ProgramDefinition:
    """A program of a partition: an executable file in the directory of its kind.

    With a ``command``, one of the agent's own that runs for the partition;
    ``is_root`` when its user could not.
    """

    name: str
    kind: ProgramKind
    command: str = ""
    is_root: bool = False

    @property
    def is_watched(self) -> bool:
        return self.kind is ProgramKind.SERVICE

    @property
    def process_name(self) -> str:
        return self.name + WATCH_SUFFIX if self.is_watched else self.name


@frozen
class Account:
    """The user that runs a partition's programs, when it has a name on this host."""

    uid: int
    gid: int
    user_name: str
    home: str = ""


ROOT_ACCOUNT = Account(0, 0, "root")


@frozen
class ProgramGroup:
    """All programs of a partition. ``directory`` is absolute."""

    partition_id: str
    directory: str
    programs: tuple[ProgramDefinition, ...] = ()
    account: Account | None = None


def program_name(process_name: str) -> str:
    """The file name of a program, from its process name."""
    return process_name.removesuffix(WATCH_SUFFIX)


def _escaped(text: str) -> str:
    # supervisord expands %(name)s and cuts at a semicolon after a blank.
    return text.replace("%", "%%")


@frozen
class Watching:
    """The watchdog as a program; ``path`` is the ``sys.path`` that it needs."""

    python: str
    program: str
    path: tuple[str, ...]
    master_urls: tuple[str, ...]
    computer_id: str
    master_ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def command(self, instance_root: str) -> str:
        """The command line; stock nodes name their watchdog by a fixed path."""
        words = [self.python, "-I", self.program, "--path", ":".join(self.path)]
        for url in self.master_urls:
            words += ["--master-url", url]
        words += ["--computer-id", self.computer_id, "--instance-root", instance_root]
        if self.master_ca_file:
            words += ["--master-ca-file", self.master_ca_file]
        if self.master_ca_file and self.cert_file:
            words += ["--cert-file", self.cert_file, "--key-file", self.key_file]
        return shlex.join(words)


def render_watchdog(instance_root: str, command: str) -> str:
    """The section of the listener that hears of services that end."""
    root = _escaped(instance_root)
    return f"""\

[eventlistener:{WATCHDOG}]
command={_escaped(command)}
events=PROCESS_STATE_EXITED, PROCESS_STATE_FATAL
buffer_size={WATCHDOG_EVENTS_MAX}
directory={root}
umask=022
stderr_logfile={root}/{WATCHDOG_LOG}
stderr_logfile_maxbytes=1MB
stderr_logfile_backups=1
"""


def render_main(instance_root: str, socket: str, watchdog: str = "") -> str:
    """``supervisord.conf``; the agent's own interface applies single group files.

    ``minfds`` is left out: supervisord closes that many descriptors, one by one, in
    each program that it starts.
    """
    root = _escaped(instance_root)
    listener = render_watchdog(instance_root, watchdog) if watchdog else ""
    return f"""\
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[rpcinterface:slapgrid]
supervisor.rpcinterface_factory = slapgrid.supervision.plugin:make_rpc_interface

[include]
files = {root}/{GROUP_DIRECTORY}/*.conf

[supervisorctl]
serverurl = unix://{root}/{socket}

[supervisord]
loglevel = info
logfile = {root}/{SUPERVISORD_LOG}
logfile_maxbytes = 50MB
nodaemon = false
pidfile = {root}/{SUPERVISORD_PID}
logfile-backups = 10

[unix_http_server]
file={root}/{socket}
chmod=0700
{listener}"""


def render_group(group: ProgramGroup) -> str:
    """The file of a group; programs sorted, so that equal groups give equal bytes."""
    programs = sorted(group.programs, key=lambda each: (each.kind, each.name))
    names = ",".join(f"{group.partition_id}_{program.name}" for program in programs)
    sections = [f"[group:{group.partition_id}]\nprograms={names}\n"]
    sections += [_render_program(group, program) for program in programs]
    return "\n".join(sections)


def is_readable(content: bytes) -> bool:
    """Say whether the file of a group can be read, which a rotten one cannot."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(content.decode())
    except (UnicodeDecodeError, configparser.Error):
        return False
    return bool(parser.sections())


def _render_program(group: ProgramGroup, program: ProgramDefinition) -> str:
    directory = _escaped(group.directory)
    name = _escaped(program.name)
    command = _escaped(program.command)
    if not command:
        command = _quoted(f"{directory}/{program.kind}/{name}")
    log = f"{directory}/{program_log(group.partition_id, name)}"
    lines = [
        f"[program:{group.partition_id}_{program.name}]",
        f"directory={directory}",
        f"command={command}",
        f"process_name={_escaped(program.process_name)}",
        "autostart=false",
        "autorestart=false",
        "startsecs=0",
        "startretries=0",
        "exitcodes=0",
        "stopsignal=TERM",
        f"stopwaitsecs={STOP_SECONDS_MAX}",
        "stopasgroup=true",
        "killasgroup=true",
    ]
    account = ROOT_ACCOUNT if program.is_root else group.account
    if account is not None:
        lines += [f"user={account.uid}", f"group={account.gid}"]
    lines += [
        "serverurl=AUTO",
        "redirect_stderr=true",
        f"stdout_logfile={log}",
        "stdout_logfile_maxbytes=100KB",
        "stdout_logfile_backups=1",
        f"stderr_logfile={log}",
        "stderr_logfile_maxbytes=100KB",
        "stderr_logfile_backups=1",
        f"environment={_environment(account, group.directory)}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(path: str) -> str:
    return f"'{path}'" if " " in path else path


def _environment(account: Account | None, directory: str) -> str:
    pairs = []
    if account is not None:
        pairs += [("USER", account.user_name), ("LOGNAME", account.user_name)]
    home = directory if account is None else account.home or directory
    pairs.append(("HOME", _escaped(home)))
    return ",".join(f'{name}="{value}"' for name, value in pairs)
