"""Core. What the agent must know of its own process and of the accounts of its host."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from slapgrid.supervision.conf import Account


@frozen
class Platform:
    """``python`` and ``shim_directory`` are absolute; a user may have no account.

    ``os_type`` is a JSON list: the kernel, then the identifier, version and name of the
    distribution.
    """

    uid: int
    gid: int
    python: str
    shim_directory: str
    find_account: Callable[[int, int], Account | None]
    find_user: Callable[[str], Account | None]
    os_type: str = "[]"
    python_version: str = ""
    agent_version: str = ""

    def shim(self, name: str) -> str:
        """The path of a stand-alone program of the agent."""
        return f"{self.shim_directory}/{name}.py"
