"""Children of this process: each leads a session of its own.

The reactor watches a pidfd, which becomes readable when the child has ended. It is
reaped then and there, so there are no zombies, no SIGCHLD and no thread.
"""

from __future__ import annotations

import os
import signal
import subprocess  # noqa: TID251 - the port itself
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.posixbase import PosixReactorBase

from runtime.output import Descriptor
from runtime.ports import Program


class Child:
    """A program as a child of this process."""

    def __init__(
        self,
        reactor: PosixReactorBase,
        program: Program,
        output: int,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self._reactor = reactor
        has_identity = program.uid is not None or program.gid is not None
        self._process = subprocess.Popen(  # noqa: S603 - running programs is the purpose
            program.argv,
            cwd=program.directory,
            env=dict(program.environment),
            umask=program.umask,
            user=program.uid,
            group=program.gid,
            extra_groups=[] if has_identity else None,
            start_new_session=True,
            stdin=stdin,
            stdout=output,
            stderr=output,
        )
        try:
            self._lifetime_descriptor = os.pidfd_open(self._process.pid)
        except OSError:
            self._process.kill()
            self._process.wait()
            raise

    def watch(
        self,
        has_ended: Callable[[], None],
        has_failed: Callable[[Exception], None],  # noqa: ARG002 - a child is always known
    ) -> None:
        self._lifetime = Descriptor(self._reactor, self._lifetime_descriptor, has_ended)

    def signal_group(self, number: signal.Signals) -> None:
        # A program may have changed its identity or left its group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def reap(self) -> int:
        self._lifetime.close()
        return self._process.wait()
