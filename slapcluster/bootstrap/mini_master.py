"""Shell. The mini-master of a bootstrap: a master of ours over a file, with TLS.

It ends with the bootstrap, however that ends, and the next one starts it again: what it
acknowledged is on its disk.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

from attrs import field, mutable
from twisted.internet.defer import Deferred

from master_cluster.errors import Misconfigured, Unusable
from master_cluster.store import backup
from master_cluster.store.content import Content
from replication.neo.neoctl import python_environment
from runtime.ports import Exit, Program
from slapcluster.bootstrap.home import (
    COPY,
    DOCUMENTS,
    IDENTITY,
    LOG,
    STATE_FILE,
    Home,
)
from slapcluster.bootstrap.wanted_cloud import WantedCloud
from slapcluster.outcomes import CommandFailed
from slapcluster.settling import log_end
from slapgrid.environment import clean_environment

_COMMAND = "from slapcluster.cli import main; main()"


@mutable(eq=False)
class MiniMaster:
    """The process; ``release`` is the directory that it serves."""

    home: Home
    wanted: WantedCloud
    release: str
    _running: Deferred[Exit] | None = field(default=None, init=False)
    _ended: Exit | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it, if it does not run."""
        if self._running is not None and self._ended is None:
            return
        self._ended = None
        home = self.home
        argv = (
            # Whoever kills the bootstrap, -9 too, ends this.
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *(sys.executable, "-P", "-c", _COMMAND, "master"),
            *("--listen", str(self.wanted.listen)),
            *("--identity", home.below(IDENTITY)),
            *("--store", f"file:{home.below(STATE_FILE)}"),
            *("--documents", home.below(DOCUMENTS)),
            *("--release", self.release),
        )
        self._running = home.runtime.processes.run(
            Program(
                argv,
                directory="/",
                environment=clean_environment(home.path, python_environment()),
                umask=0o077,
                log_path=home.below(LOG),
            )
        )
        self._running.addCallback(self._end)

    def check(self) -> None:
        """Say why it ended, if it did."""
        if self._ended is not None:
            output = self._ended.output.decode(errors="replace")
            raise CommandFailed(
                f"The mini-master ended; its log is {self.home.below(LOG)}:\n"
                f"{log_end(output)}"
            )

    async def copy_state(self) -> str:
        """Copy its state, verify the copy, and return the digest of its content."""
        # ZODB would write of its index to the terminal.
        logging.getLogger("ZODB").addHandler(logging.NullHandler())
        source, copy = (Path(self.home.below(it)) for it in (STATE_FILE, COPY))

        def begin() -> Callable[[], Content]:
            return lambda: backup.back_up(source, copy, _unwatched, is_forced=True)

        try:
            content = await self.home.runtime.threads.call(begin)
        except (Misconfigured, Unusable) as error:
            raise CommandFailed(f"{error}.") from error
        return content.digest

    def copy_byte_count(self) -> int:
        return Path(self.home.below(COPY)).stat().st_size

    def read_copy(self, offset: int, byte_count: int) -> bytes:
        with Path(self.home.below(COPY)).open("rb") as file:
            file.seek(offset)
            return file.read(byte_count)

    async def stop(self) -> None:
        """End it, and wait until it has gone."""
        running, self._running = self._running, None
        if running is None or self._ended is not None:
            return
        gone: Deferred[None] = Deferred()
        running.addBoth(lambda _: gone.callback(None))
        running.cancel()
        await gone

    def _end(self, ended: Exit) -> Exit:
        self._ended = ended
        return ended


def _unwatched(_done: int, _total: int) -> None:
    """Nobody watches: what begins has little state."""
