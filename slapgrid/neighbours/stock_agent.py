"""The stock agent beside ours: never both at a time on one computer.

The stock agent writes its process into a pid file for each kind of pass, and does not
start while one names a process whose command line has the word ``slapos``. We look
there before we start, and write ourselves there while we run, so that it keeps away
too. Our command line then needs that word: it is in the path of the configuration,
``--cfg .../slapos.cfg``; else the stock agent takes the number for a recycled one.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import PurePosixPath

from attrs import frozen

from runtime.ports import IFileTree
from slapgrid.neighbours.lock import AlreadyRunning
from slapgrid.neighbours.settings import NeighbourSettings

#: A pid file holds a number; one with more is none.
PIDFILE_BYTES_MAX = 64
COMMAND_LINE_BYTES_MAX = 128 * 1024
#: Its name and the word that tells it from a command about a master.
_PROGRAM, _VERB = "slapos", "node"


def is_stock_agent(command_line: bytes) -> bool:
    """Whether this is a command line of the stock agent.

    An editor with a ``slapos.cfg`` in it, whose number was the agent's once, is not.
    """
    words = command_line.decode(errors="replace").split("\0")
    programs = [PurePosixPath(word).name for word in words]
    return _PROGRAM in programs and _VERB in words[programs.index(_PROGRAM) :]


@frozen
class StockAgent:
    """What its pid files say."""

    settings: NeighbourSettings
    file_tree: Callable[[str], IFileTree]

    def find(self) -> int | None:
        """The process of a stock agent that runs."""
        for path in self.settings.pidfiles:
            number = self._number(path)
            if number is not None and is_stock_agent(self._command_line(number)):
                return number
        return None

    def check_absent(self) -> None:
        """``AlreadyRunning`` when a stock agent runs."""
        number = self.find()
        if number is not None:
            raise AlreadyRunning(
                f"the stock agent (process {number}) works on this computer: let it "
                "end, and stop whatever starts it again"
            )

    def keep_away(self, own_number: int) -> None:
        """Write ourselves into its pid files, as far as we may."""
        for path in self.settings.pidfiles:
            files, name = self._place(path)
            # Without the directory no stock agent was ever installed; and who may not
            # write there is none either.
            with suppress(OSError):
                if files.status("") is not None:
                    files.write(name, f"{own_number}\n".encode())

    def let_in(self, own_number: int) -> None:
        """Take ourselves out of its pid files again."""
        for path in self.settings.pidfiles:
            if self._number(path) == own_number:
                files, name = self._place(path)
                with suppress(OSError):
                    files.remove(name)

    def _place(self, path: str) -> tuple[IFileTree, str]:
        directory, _, name = path.rpartition("/")
        return self.file_tree(directory or "/"), name

    def _number(self, path: str) -> int | None:
        files, name = self._place(path)
        try:
            return int(files.read(name, PIDFILE_BYTES_MAX))
        except (OSError, ValueError):
            return None

    def _command_line(self, number: int) -> bytes:
        try:
            processes = self.file_tree("/proc")
            return processes.read(f"{number}/cmdline", COMMAND_LINE_BYTES_MAX)
        except OSError:
            return b""
