"""Core. What keeps the agent running: a unit of systemd, else a program elsewhere.

The unit restarts the agent whenever it ends, and ends the agent alone: supervisord and
the services of instances are in the same control group and must survive it.
"""

from __future__ import annotations

from attrs import frozen

UNIT_NAME = "slapgrid.service"
UNIT_DIRECTORY = "/etc/systemd/system"
PROGRAM_NAME = "slapgrid"
#: Another agent that works now, exit code 10, is gone within a pass.
RESTART_SECONDS = 10
#: Builds and installations that are going on are ended within this.
STOP_SECONDS = 90
#: As many as supervisord needs for 500 partitions (``supervision.conf``).
FILE_DESCRIPTORS = 16384


@frozen
class AgentProgram:
    """The command line that runs the agent; all paths are absolute."""

    command: str
    config_path: str

    @property
    def argv(self) -> tuple[str, ...]:
        """The path of the configuration keeps a stock agent away: see 0022."""
        return (self.command, "--cfg", self.config_path, "run")


def render_unit(program: AgentProgram) -> str:
    """The unit.

    What else systemd could take away would be taken from instances too, which run below
    the agent: devices of virtual machines, mounts, becoming another user. They are held
    by their own users instead. One instance without memory ends none of the others.
    """
    argv = " ".join(_quoted(word) for word in program.argv)
    return f"""\
[Unit]
Description=SlapOS agent of this computer (slapgrid)
Wants=network-online.target
After=network-online.target
ConditionPathExists={program.config_path}
StartLimitIntervalSec=0

[Service]
Type=simple
ExecStart={argv}
Restart=always
RestartSec={RESTART_SECONDS}
KillMode=process
TimeoutStopSec={STOP_SECONDS}
LimitNOFILE={FILE_DESCRIPTORS}
UMask=0022
KeyringMode=private
OOMPolicy=continue

[Install]
WantedBy=multi-user.target
"""


def render_program(program: AgentProgram, user_name: str) -> str:
    """The same as a program of a supervisord, for computers without systemd."""
    argv = " ".join(_quoted(word) for word in program.argv)
    return f"""\
[program:{PROGRAM_NAME}]
command={argv}
user={user_name}
autostart=true
autorestart=true
startsecs=5
stopsignal=TERM
stopwaitsecs={STOP_SECONDS}
stopasgroup=false
killasgroup=false
redirect_stderr=true
stdout_logfile=/var/log/slapgrid.log
"""


_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"))


def _quoted(word: str) -> str:
    """A word of a command line, whole whatever is in it."""
    escaped = word
    for special, instead in _ESCAPES:
        escaped = escaped.replace(special, instead)
    return f'"{escaped}"' if escaped != word or " " in word else word
