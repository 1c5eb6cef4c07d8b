"""Core. What the agent must know of its own process and of the accounts of its host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import frozen

from slapgrid.supervision.conf import Account


class Hold(Protocol):
    """What keeps other programs from something."""

    def release(self) -> None:
        """Let others."""


class NoHold:
    """Where nobody else is: a simulated computer runs one program of ours."""

    def release(self) -> None:
        """Nothing is held."""


def hold_nothing(path: str) -> Hold | None:
    """Hold a directory where nobody else is."""
    del path
    return NoHold()


def _nowhere(_: int) -> str | None:
    return None


@frozen
class Platform:
    """``python`` and ``shim_directory`` are absolute; a user may have no account.

    ``os_type`` is a JSON list: the kernel, then the identifier, version and name of the
    distribution. ``multiarch`` is the triplet that tells programs of this machine from
    others.
    ``hold`` locks the directory of an absolute path; ``None`` while another program
    has it.
    """

    uid: int
    gid: int
    python: str
    shim_directory: str
    find_account: Callable[[int, int], Account | None]
    find_user: Callable[[str], Account | None]
    find_home: Callable[[int], str | None] = _nowhere
    multiarch: str = ""
    os_type: str = "[]"
    python_version: str = ""
    agent_version: str = ""
    hold: Callable[[str], Hold | None] = hold_nothing

    def shim(self, name: str) -> str:
        """The path of a stand-alone program of the agent."""
        return f"{self.shim_directory}/{name}.py"
