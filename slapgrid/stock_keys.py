"""Core. The keys of stock nodes that this agent does not read, and why.

A key that is read has its row in the ``AREA`` of its settings instead. What is ignored
changes nothing that an operator could miss; what would, is refused with a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_JITTER = "the agent waits for the master's changes; its polls differ by 10 %"
_OWN_PLACE = "the agent keeps its own files below the instance root"
_NO_CACHE = "buildout asks the places that profiles name for what they download"
_NO_SENSORS = "it is of computers that heat a house; no master asks for it"
_FIREWALL = "the rules are a table of nft, which no program need keep"
_PROCESSORS = "processors are shared: the files of cgroup 1 are gone from today's hosts"

IGNORED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("slapos", "power_user_list"): _PROCESSORS,
        ("slapos", "buildout"): "the agent brings its own buildout",
        ("slapos", "buildout_debug"): "the whole output of a build is in its log",
        ("slapos", "root_check"): "the agent runs as root or as any other user",
        ("slapos", "ipv4_global_network"): "recipes are told what partitions have",
        ("slapos", "maximal_delay"): _JITTER,
        ("slapos", "pidfile"): _OWN_PLACE,
        ("slapos", "log_file"): "the log goes to standard error",
        ("slapos", "console"): "the log goes to standard error",
        ("slapos", "verbose"): "--debug says more",
        ("slapformat", "computer_model_id"): _NO_SENSORS,
        ("slapformat", "heating_sensor_id"): _NO_SENSORS,
        ("slapformat", "log_file"): "the log goes to standard error",
        ("slapformat", "dry_run"): "it is an option of the command",
        ("collect", "disk_snapshot_process_pid_foder"): _OWN_PLACE,
        ("collect", "disk_snapshot_use_quota"): "stock nodes do not use it either",
        **dict.fromkeys(
            (
                ("networkcache", name)
                for name in (
                    "download-cache-url",
                    "download-dir-url",
                    "upload-cache-url",
                    "upload-dir-url",
                )
            ),
            _NO_CACHE,
        ),
        **dict.fromkeys(
            (
                ("firewall", name)
                for name in (
                    "firewall_executable",
                    "dbus_executable",
                    "reload_config_cmd",
                    "log_file",
                    "testing",
                )
            ),
            _FIREWALL,
        ),
        ("manager:devperm", "allowed-disk-for-vm"): "no disk is given to instances",
    }
)

#: Sections that other programs read from the same file.
IGNORED_SECTIONS = frozenset({"slapproxy", "slapconsole"})

REFUSED: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("slapos", "only_sr"): (
            "it would hide all other releases for ever; say --only-sr to the command"
        ),
        ("slapos", "only_cp"): (
            "it would hide all other partitions for ever; say --only-cp to the command"
        ),
    }
)


def is_ignored(section: str, name: str) -> bool:
    """Whether a stock node reads it, or another program does, and we need not."""
    return section in IGNORED_SECTIONS or (section, name) in IGNORED
