"""Stand-alone program: supervisord's event listener, run as a file from any path.

``python -I watchdog.py --path ENTRIES --master-url URL --computer-id ID
--instance-root PATH``, where ENTRIES are the agent's ``sys.path`` with colons between.
It ends when supervisord does, and says everything else in its log, stderr.
"""

from __future__ import annotations

import argparse
import sys


def arguments(argv: list[str]) -> argparse.Namespace:
    """What the section of supervisord's configuration says."""
    parser = argparse.ArgumentParser(description="Tell the master of ended services.")
    parser.add_argument("--path", default="")
    parser.add_argument("--master-url", action="append", required=True)
    parser.add_argument("--computer-id", required=True)
    parser.add_argument("--instance-root", required=True)
    parser.add_argument("--master-ca-file", default="")
    parser.add_argument("--cert-file", default="")
    parser.add_argument("--key-file", default="")
    parser.add_argument("--bang-seconds-min", type=float, default=None)
    return parser.parse_args(argv)


def main(given: argparse.Namespace) -> None:
    """Listen until supervisord has gone."""
    # The agent's own sys.path holds from here on.
    # ruff: noqa: PLC0415
    from runtime.reactor import install_reactor

    reactor = install_reactor()

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProtocol
    from twisted.internet.protocol import Protocol, connectionDone
    from twisted.internet.stdio import StandardIO
    from twisted.logger import globalLogBeginner, textFileLogObserver
    from twisted.python.failure import Failure
    from zope.interface import implementer

    from runtime.identity_files import CredentialPaths
    from runtime.real import build_runtime
    from slap.replicas import Replicas
    from slapgrid.convergence.banging import BANG_SECONDS_MIN
    from slapgrid.kept_memory import KeptFreshness
    from slapgrid.neighbours.lock import hold_directory
    from slapgrid.promises.banging import Bangs
    from slapgrid.slap_client import SlapClient
    from slapgrid.supervision.events import ACKNOWLEDGED, READY, EventReader, find_end
    from slapgrid.supervision.watching import Watchdog
    from slapgrid.trusting import trust_masters

    globalLogBeginner.beginLoggingTo(
        [textFileLogObserver(sys.stderr)], redirectStandardIO=False
    )
    runtime = build_runtime(reactor)
    trust = None
    if given.master_ca_file:
        paths = CredentialPaths(given.master_ca_file, given.cert_file, given.key_file)
        trust = trust_masters(runtime, paths)
    urls = tuple(given.master_url)
    client = SlapClient(runtime, Replicas(urls), trust=trust)
    tree = runtime.file_tree(given.instance_root)
    known = KeptFreshness(runtime, tree, urls)
    bangs = Bangs(given.computer_id, runtime, tree, client, hold_directory)
    distance = given.bang_seconds_min
    watchdog = Watchdog(
        runtime,
        tree,
        bangs,
        BANG_SECONDS_MIN if distance is None else distance,
        lambda: client.list(known.recall().listed),
    )

    @implementer(IProtocol)
    class Listener(Protocol):
        """One event after the other: kept, then answered."""

        def __init__(self) -> None:
            self._reader = EventReader()

        def connectionMade(self) -> None:
            watchdog.start()
            self._say(READY)

        def dataReceived(self, content: bytes) -> None:
            for name, payload in self._reader.add(content):
                end = find_end(name, payload)
                if end is not None:
                    watchdog.take(end)
                self._say(ACKNOWLEDGED)
                self._say(READY)

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            del reason
            Deferred.fromCoroutine(watchdog.stop())
            if reactor.running:
                reactor.stop()

        def _say(self, words: bytes) -> None:
            assert self.transport is not None
            self.transport.write(words)

    reactor.callWhenRunning(StandardIO, Listener(), reactor=reactor)
    reactor.run()


if __name__ == "__main__":
    settings = arguments(sys.argv[1:])
    sys.path[:] = [entry for entry in settings.path.split(":") if entry] or sys.path
    main(settings)
