"""Reports usage again and again, until it is killed; run by ``test_usage.py``."""

from __future__ import annotations

import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from runtime.ports import Runtime
from runtime.reactor import MonotonicReactor
from runtime.real import build_runtime
from slap.replicas import Replicas
from slapgrid.config import Config
from slapgrid.identity import Identity
from slapgrid.reporting.reporter import Reporter
from slapgrid.slap_client import SlapClient


def build_reporter(runtime: Runtime, config: Config, client: SlapClient) -> Reporter:
    """A reporter for partitions of whoever runs it."""
    return Reporter(config, runtime, lambda _: Identity(), client)


def a_config(master_url: str, root: str) -> Config:
    return Config(
        computer_id="COMP-1",
        master_urls=(master_url,),
        software_root=f"{root}/s",
        instance_root=f"{root}/i",
    )


async def report_for_ever(reactor: MonotonicReactor, reporter: Reporter) -> None:
    sys.stdout.write("reporting\n")
    sys.stdout.flush()
    while True:
        await reporter.report(("slappart0",))
        await deferLater(reactor, 0.001)


def main() -> None:
    reactor = MonotonicReactor()
    config = a_config(*sys.argv[1:])
    runtime = build_runtime(reactor)
    client = SlapClient(runtime, Replicas(config.master_urls))
    reporter = build_reporter(runtime, config, client)
    Deferred.fromCoroutine(report_for_ever(reactor, reporter)).addErrback(
        lambda failure: failure.printTraceback()
    )
    reactor.run()


if __name__ == "__main__":
    main()
