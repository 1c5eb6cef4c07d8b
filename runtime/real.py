"""The real world: the ports of ``runtime.ports`` over this machine.

A composition root installs the reactor first, before other imports can::

    reactor = install_reactor()
    runtime = build_runtime(reactor)
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from runtime.files import DirectoryTree
from runtime.keys import Keys
from runtime.network import SocketNetwork
from runtime.ports import ICalendar, IFileTree, Runtime
from runtime.processes import ProcessRunner
from runtime.reactor import install_reactor
from runtime.threads import StoreThreads

__all__ = ["build_runtime", "install_reactor"]


@implementer(ICalendar)
@frozen
class WallClock:
    """The calendar of this machine."""

    def now(self) -> float:
        return time.time()  # noqa: TID251 - the port itself


def build_runtime(reactor: PosixReactorBase) -> Runtime:
    """The ports over this machine; its store threads end with the reactor."""

    def in_thread(work: Callable[..., None], *arguments: object) -> Deferred[None]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work, *arguments)

    def file_tree(root: str) -> IFileTree:
        return DirectoryTree(root, in_thread)

    threads = StoreThreads(reactor)
    reactor.addSystemEventTrigger("during", "shutdown", threads.stop)
    return Runtime(
        clock=reactor,
        calendar=WallClock(),
        network=SocketNetwork(reactor),
        processes=ProcessRunner(reactor),
        threads=threads,
        entropy=random.SystemRandom(),
        keys=Keys(),
        log=Logger(namespace="slapcluster"),
        file_tree=file_tree,
    )
