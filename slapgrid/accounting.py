"""Usage of one computer: collected each minute, reported each day, in loops of its own.

Instances wait for none of this: a collection yields after each hundred processes, and
what takes long are programs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from attrs import define, field, frozen
from twisted.internet.task import deferLater

from runtime.ports import Runtime
from slapgrid.collecting.collector import Collected, Collector
from slapgrid.collecting.days import date_of
from slapgrid.collecting.incidents import Incidents
from slapgrid.collecting.records import Latest
from slapgrid.config import Config
from slapgrid.convergence.retrying import Backoff
from slapgrid.identity import Identity
from slapgrid.layout import USAGE_DIRECTORY, USAGE_REPORTED
from slapgrid.platform import Platform
from slapgrid.reporting.reporter import Reported, Reporter
from slapgrid.reporting.spool import Spool
from slapgrid.slap_client import SlapClient

#: As stock nodes collect.
COLLECT_SECONDS = 60.0
#: Where nothing is told of consumption, as in a container that hides it.
BLIND_SECONDS = 3600.0
#: Between two looks whether a disk is to be measured.
DISK_LOOK_SECONDS = 60.0
#: Between two looks whether a document waits: it is of yesterday.
LOOK_SECONDS = 600.0
#: After midnight, drawn by each computer: a master is not told by all at once.
SPREAD_SECONDS = 3600.0
#: While the master does not take documents.
DELIVERY = Backoff(60, 3600)
#: One-shot collections measure disks for so long; the rest comes with the next.
ONE_SHOT_DISK_SECONDS = 20.0


@define
class Accounting:
    """Everything that the agent does about usage; loops and one-shot passes."""

    config: Config
    runtime: Runtime
    incidents: Incidents
    collector: Collector
    reporter: Reporter
    _is_told: bool = field(init=False, default=False)

    @staticmethod
    def build(
        config: Config,
        runtime: Runtime,
        platform: Platform,
        find_identity: Callable[[str], Identity],
        client: SlapClient,
    ) -> Accounting:
        incidents = Incidents(config, runtime)
        return Accounting(
            config,
            runtime,
            incidents,
            Collector(config, runtime, incidents, platform.uid),
            Reporter(config, runtime, find_identity, client),
        )

    @property
    def loops(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """What a service runs beside its other loops, each without end."""
        return (self._keep_collecting, self._keep_reporting, self._keep_measuring)

    async def collect(self) -> Collected:
        """Collect once, and measure disks that are due, within a bound."""
        await self.collector.collect()
        clock = self.runtime.clock
        begun = clock.seconds()
        while clock.seconds() - begun < ONE_SHOT_DISK_SECONDS:
            if await self.collector.measure_next_disk() is None:
                break
        return await self.collector.collect()

    async def report(self, partition_ids: tuple[str, ...] | None = None) -> Reported:
        """Seal what is over, ask these instances or all, take and deliver it."""
        collected = await self.collector.collect()
        self.runtime.log.debug("{reason}", reason=collected.reason)
        if partition_ids is not None:
            return await self.reporter.report(partition_ids)
        reported = await self.reporter.report(self.collector.partition_ids())
        self._remember_day()
        return reported

    async def _keep_collecting(self) -> None:
        while True:
            collected = await self.collector.collect()
            if collected.latest is None and not self._is_told:
                self._is_told = True
                self.runtime.log.warn(  # noqa: G010 - Twisted's name
                    "usage is not measured: {reason}", reason=collected.reason
                )
            is_blind = collected.latest is None
            rest = BLIND_SECONDS if is_blind else COLLECT_SECONDS
            await deferLater(self.runtime.clock, rest)

    async def _keep_measuring(self) -> None:
        while True:
            is_blind = self.collector.is_blind
            rest = BLIND_SECONDS if is_blind else DISK_LOOK_SECONDS
            await deferLater(self.runtime.clock, rest)
            while (pause := await self.collector.measure_next_disk()) is not None:
                await deferLater(self.runtime.clock, pause)

    async def _keep_reporting(self) -> None:
        spread_seconds = self.runtime.entropy.uniform(0, SPREAD_SECONDS)
        failure_count = 0
        while True:
            delay_seconds = DELIVERY.delay_seconds(failure_count)
            await deferLater(self.runtime.clock, max(LOOK_SECONDS, delay_seconds))
            today = date_of(self.runtime.calendar.now() - spread_seconds)
            if self._reported_day() != today:
                reported = await self.reporter.report(self.collector.partition_ids())
                self._remember_day(today)
            elif self.reporter.has_news() or self.reporter.waiting_count():
                reported = await self.reporter.deliver()
            else:
                failure_count = 0
                continue
            failure_count = failure_count + 1 if reported.waiting_count else 0
            if reported != Reported():
                self.runtime.log.info("{reason}", reason=reported.reason)

    def _reported_day(self) -> str:
        tree = self.runtime.file_tree(self.config.instance_root)
        try:
            return tree.read(USAGE_REPORTED, 100).decode(errors="replace").strip()
        except OSError:
            return ""

    def _remember_day(self, day: str | None = None) -> None:
        tree = self.runtime.file_tree(self.config.instance_root)
        today = day or date_of(self.runtime.calendar.now())
        try:
            tree.make_directory(USAGE_DIRECTORY, 0o700)
            tree.write(USAGE_REPORTED, f"{today}\n".encode(), 0o600)
        except OSError as error:
            # At worst the instances are asked again.
            self.runtime.log.warn(  # noqa: G010 - Twisted's name
                "the day of the report is not saved: {error}", error=error
            )


@frozen
class KnownUsage:
    """What the files of the agent say of usage."""

    latest: Latest
    waiting_count: int
    refused_count: int


def read_usage(
    config: Config,
) -> Callable[[Runtime], Coroutine[Any, Any, KnownUsage]]:
    """Read what an agent, which may be running, wrote last."""

    async def read(runtime: Runtime) -> KnownUsage:
        spool = Spool(runtime.file_tree(config.instance_root), runtime.entropy)
        collector = Collector(config, runtime, Incidents(config, runtime), agent_uid=0)
        return KnownUsage(
            collector.latest(), len(spool.outgoing()), spool.refused_count()
        )

    return read
