"""Having the watchdog run, since nobody else notices when it does not.

Its state comes with those of all programs, so to look after it costs nothing. A
watchdog of a supervisord that another agent started is that one's: it is left alone.
"""

from __future__ import annotations

from runtime.ports import IFileTree, Runtime
from slapgrid.convergence.views import ProgramState
from slapgrid.layout import SUPERVISORD_CONF
from slapgrid.supervision.calls import SupervisordCalls
from slapgrid.supervision.conf import WATCHDOG, render_main, render_watchdog
from slapgrid.supervision.port import SupervisionError

#: Between two attempts: one that cannot run is no reason to do nothing else.
MEND_SECONDS = 30.0
_RUNNING = frozenset({ProgramState.RUNNING, ProgramState.STARTING})
_STOPPABLE = _RUNNING | {ProgramState.BACKOFF}


class WatchdogCare:
    """Looks after the watchdog of a supervisord; nobody does without a ``command``."""

    def __init__(
        self, runtime: Runtime, tree: IFileTree, calls: SupervisordCalls, command: str
    ) -> None:
        self._runtime = runtime
        self._tree = tree
        self._calls = calls
        self._command = command
        self._is_current = False
        self._mended_at: float | None = None
        self.trouble = ""

    def render_main(self) -> bytes:
        """The configuration of supervisord, with its watchdog."""
        socket = self._calls.socket
        return render_main(self._tree.root, socket, self._command).encode()

    async def look(self, found: ProgramState | None, *, is_ours: bool) -> None:
        """Have it run as it is wanted; ``found`` is its state, if it is known."""
        if not self._command:
            return
        if is_ours and not self._is_current:
            section = render_watchdog(self._tree.root, self._command).encode()
            self._is_current = section in self._known()
        if found in _RUNNING and (self._is_current or not is_ours):
            self.trouble = ""
            return
        now = self._runtime.clock.seconds()
        if self._mended_at is not None and now < self._mended_at + MEND_SECONDS:
            return
        self._mended_at = now
        word = "missing" if found is None else str(found)
        if not is_ours:
            self.trouble = (
                f"the watchdog of another agent's supervisord is {word}, ends of "
                "services are not told: end that supervisord when its services may "
                "rest, and this agent starts its own"
            )
        else:
            try:
                self.trouble = await self._mend(found, word)
            except (SupervisionError, OSError) as error:
                self.trouble = (
                    f"the watchdog is {word}, ends of services are not told; it "
                    f"cannot be started: {error}"
                )
        self._runtime.log.warn("{trouble}", trouble=self.trouble)  # noqa: G010 - Twisted's name

    async def _mend(self, found: ProgramState | None, word: str) -> str:
        call = self._calls.call
        if self._is_current and found is not None:
            await call("supervisor.startProcess", WATCHDOG, False)  # noqa: FBT003 - without waiting
            return f"the watchdog was {word} and is started again"
        self._tree.write(SUPERVISORD_CONF, self.render_main(), 0o600)
        if found in _STOPPABLE:
            await call("supervisor.stopProcess", WATCHDOG)
        if found is not None:
            await call("supervisor.removeProcessGroup", WATCHDOG)
        await call("supervisor.reloadConfig")
        await call("supervisor.addProcessGroup", WATCHDOG)
        self._is_current = True
        return f"the watchdog was {word} and is started as it should be"

    def _known(self) -> bytes:
        try:
            return self._tree.read(SUPERVISORD_CONF)
        except FileNotFoundError:
            return b""
