"""Being the only agent of a computer: neither a stock one nor another of ours."""

from __future__ import annotations

import os

from runtime.ports import Runtime
from slapgrid.config import Config
from slapgrid.layout import LOCK_FILE
from slapgrid.neighbours.lock import InstanceRootLock
from slapgrid.neighbours.stock_agent import StockAgent


class Ownership:
    """Held from construction to ``release`` or to the end of the process.

    ``AlreadyRunning`` when another agent works. A stock agent keeps away meanwhile.
    """

    def __init__(self, config: Config, runtime: Runtime) -> None:
        self._stock_agent = StockAgent(config.neighbours, runtime.file_tree)
        self._lock = InstanceRootLock(f"{config.instance_root}/{LOCK_FILE}")
        try:
            self._stock_agent.check_absent()
        except BaseException:
            self._lock.release()
            raise
        self._stock_agent.keep_away(os.getpid())

    def release(self) -> None:
        """Let another agent have the computer."""
        self._stock_agent.let_in(os.getpid())
        self._lock.release()
