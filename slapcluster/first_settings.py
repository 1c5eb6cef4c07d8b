"""Core. The settings of a computer that has none yet."""

from __future__ import annotations

from attrs import frozen

RELAY = "127.0.0.1:5000"
"""Where each computer finds what its masters serve as ``/release/``."""


@frozen
class NewSettings:
    """What a settings file says that is not there yet."""

    software_root: str
    instance_root: str
    partition_count: int
    interface_name: str


def render_settings(new: NewSettings) -> str:
    """Return the file, without what joining adds to it."""
    interface = f"interface_name = {new.interface_name}\n" if new.interface_name else ""
    return f"""\
[slapos]
software_root = {new.software_root}
instance_root = {new.instance_root}
release_listen = {RELAY}

[slapformat]
partition_amount = {new.partition_count}
{interface}"""
