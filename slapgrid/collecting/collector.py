"""One collection after the other, on disk before anything follows from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

from attrs import evolve, frozen

from runtime.ports import Runtime
from slapgrid.collecting.days import (
    SealedDays,
    absorb,
    due_for_sealing,
)
from slapgrid.collecting.disk_usage import (
    REST_RATIO,
    REST_SECONDS_MIN,
    choose_partition,
    measure_directory,
)
from slapgrid.collecting.incidents import Incidents
from slapgrid.collecting.journals import render_day
from slapgrid.collecting.measures import Measure
from slapgrid.collecting.observing import NothingToObserve, Observing
from slapgrid.collecting.readings import COMPUTER, Amounts, compare
from slapgrid.collecting.records import (
    DiskFigure,
    Latest,
    Ledger,
    RecordRefused,
    decode_day,
    decode_ledger,
    encode_day,
    encode_ledger,
)
from slapgrid.config import Config
from slapgrid.layout import (
    BANG_FILE,
    USAGE_DAYS,
    USAGE_DIRECTORY,
    USAGE_LEDGER,
    journal_directory,
    sealed_day,
)

#: A thousand processes are 60 kB; so many open days are never met.
LEDGER_BYTES_MAX = 64 * 1024 * 1024


@frozen
class Collected:
    """How a collection ended; ``sealed`` are the days that became documents.

    One that is not saved is in memory, and saved with the next.
    """

    reason: str
    latest: Latest | None = None
    sealed: tuple[str, ...] = ()
    is_saved: bool = False


class Collector:
    """Collects on one computer; nothing is read before the first collection.

    1. The ledger is written whole, the reading and the days that follow from it
       together: whatever is killed is repeated from the same reading.
    2. A day is sealed in a file of its own before the ledger forgets it, and its
       document is written after that, from that file alone.
    """

    def __init__(
        self, config: Config, runtime: Runtime, incidents: Incidents, agent_uid: int
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._incidents = incidents
        self._observing = Observing(config, runtime, agent_uid)
        self._tree = runtime.file_tree(config.instance_root)
        self._ledger: Ledger | None = None
        #: Nothing could be observed the last time.
        self.is_blind = False

    async def collect(self) -> Collected:
        """Measure, add up and write; ``latest`` is ``None`` when that failed."""
        try:
            observed = await self._observing.observe()
        except NothingToObserve as error:
            self.is_blind = True
            return Collected(str(error))
        self.is_blind = False
        ledger = self._recall()
        now = self._runtime.calendar.now()
        reading = evolve(observed.reading, tallies=self._incidents.read())
        consumption = compare(ledger.reading, reading)
        bangs, amounts = self._count_bangs(ledger, consumption.amounts)
        consumption = evolve(consumption, amounts=amounts)
        levels = _with_disks(observed.levels, ledger.disks)
        self._ledger = ledger = evolve(
            ledger,
            reading=reading,
            days=absorb(ledger.days, consumption, levels, now, self._sealed()),
            bangs=bangs,
            latest=Latest(
                now, consumption.elapsed_seconds, amounts, levels, observed.facts
            ),
        )
        try:
            self._save()
            sealed = self._seal(now)
        except OSError as error:
            return Collected(f"the collection is not saved: {error}", ledger.latest)
        count = len({name for name in levels if name != COMPUTER})
        reason = f"measured {count} partitions"
        return Collected(reason, ledger.latest, sealed, is_saved=True)

    async def measure_next_disk(self) -> float | None:
        """Measure one partition that is due; how long to rest then.

        ``None`` when none is due now.
        """
        settings = self._config.collecting
        if self.is_blind or not settings.is_disk_measured:
            return None
        ledger = self._recall()
        names = self._observing.partition_ids()
        chosen = choose_partition(
            names,
            ledger.disks,
            self._runtime.calendar.now(),
            settings.disk_period_seconds,
        )
        if chosen is None:
            return None
        begun = self._runtime.clock.seconds()
        found = await measure_directory(self._runtime, self._tree.path(chosen))
        took_seconds = self._runtime.clock.seconds() - begun
        if isinstance(found, str):
            self._runtime.log.warn("{reason}", reason=found)  # noqa: G010 - Twisted's
        # What was collected meanwhile stays.
        ledger = self._recall()
        known = ledger.disks.get(chosen)
        if isinstance(found, int):
            used_bytes: int | None = found
        else:
            used_bytes = None if known is None else known.used_bytes
        disks = {name: each for name, each in ledger.disks.items() if name in names}
        disks[chosen] = DiskFigure(used_bytes, self._runtime.calendar.now())
        self._ledger = evolve(ledger, disks=MappingProxyType(disks))
        return max(REST_SECONDS_MIN, REST_RATIO * took_seconds)

    def partition_ids(self) -> tuple[str, ...]:
        """The partitions that have a directory."""
        return self._observing.partition_ids()

    def latest(self) -> Latest:
        """The last collection, of whichever process."""
        return self._recall().latest

    def _count_bangs(
        self, ledger: Ledger, amounts: Amounts
    ) -> tuple[Mapping[str, float], Amounts]:
        """Whoever bangs leaves a mark in the partition, once for each deployment."""
        marks: dict[str, float] = {}
        counted = dict(amounts)
        for name in self._observing.partition_ids():
            status = self._tree.status(f"{name}/{BANG_FILE}")
            if status is None:
                continue
            marks[name] = status.modified
            if ledger.reading is not None and ledger.bangs.get(name) != marks[name]:
                counted[name] = MappingProxyType(
                    {**counted.get(name, {}), Measure.BANGS: 1.0}
                )
        return MappingProxyType(marks), MappingProxyType(counted)

    def _recall(self) -> Ledger:
        if self._ledger is None:
            try:
                content = self._tree.read(USAGE_LEDGER, LEDGER_BYTES_MAX)
                self._ledger = decode_ledger(content)
            except FileNotFoundError:
                self._ledger = Ledger()
            except (OSError, RecordRefused) as error:
                self._runtime.log.warn(  # noqa: G010 - Twisted's name
                    "{path}: {error}; it is kept aside and begun afresh",
                    path=self._tree.path(USAGE_LEDGER),
                    error=error,
                )
                self._keep_aside()
                self._ledger = Ledger()
        return self._ledger

    def _keep_aside(self) -> None:
        with suppress(OSError):
            content = self._tree.read(USAGE_LEDGER, LEDGER_BYTES_MAX)
            self._tree.write(f"{USAGE_LEDGER}.unreadable", content, 0o600)

    def _save(self) -> None:
        self._tree.make_directory(USAGE_DIRECTORY, 0o700)
        self._tree.write(USAGE_LEDGER, encode_ledger(self._recall()), 0o600)

    def _sealed(self) -> SealedDays:
        return SealedDays(
            frozenset(self._sealed_dates()), self._config.collecting.retention_days
        )

    def _sealed_dates(self) -> tuple[str, ...]:
        try:
            names = self._tree.list(USAGE_DAYS)
        except OSError:
            return ()
        return tuple(
            name.removesuffix(".json") for name in names if name.endswith(".json")
        )

    def _seal(self, now: float) -> tuple[str, ...]:
        ledger = self._recall()
        due = due_for_sealing(ledger.days, now)
        if due:
            self._tree.make_directory(USAGE_DAYS, 0o700)
            for name in due:
                # One that is there was sealed by a life that was killed here.
                if self._tree.status(sealed_day(name)) is None:
                    content = encode_day(ledger.days[name])
                    self._tree.write(sealed_day(name), content, 0o600)
            left = {n: day for n, day in ledger.days.items() if n not in due}
            unwritten = tuple(sorted({*ledger.unwritten, *due}))
            ledger = evolve(ledger, days=MappingProxyType(left), unwritten=unwritten)
            self._ledger = ledger
            self._save()
        if ledger.unwritten:
            for name in ledger.unwritten:
                self._write_documents(name)
            self._ledger = evolve(ledger, unwritten=())
            self._save()
            self._forget_oldest()
        return ledger.unwritten

    def _write_documents(self, name: str) -> None:
        """From the sealed file alone, so that the bytes are always the same."""
        try:
            day = decode_day(self._tree.read(sealed_day(name)))
        except (FileNotFoundError, RecordRefused) as error:
            self._runtime.log.warn(  # noqa: G010 - Twisted's name
                "no document of {name}: {error}", name=name, error=error
            )
            return
        computer_id = self._config.computer_id
        directory = journal_directory(computer_id)
        for index, document in enumerate(render_day(day, computer_id)):
            suffix = f"-{index + 1}" if index else ""
            self._tree.make_directory(directory, 0o755)
            self._tree.write(
                f"{directory}/{name}{suffix}.xml", document.encode(), 0o644
            )

    def _forget_oldest(self) -> None:
        kept = self._config.collecting.retention_days
        for name in self._sealed_dates()[:-kept]:
            self._tree.remove(sealed_day(name))


def _with_disks(levels: Amounts, disks: Mapping[str, DiskFigure]) -> Amounts:
    merged: defaultdict[str, Mapping[Measure, float]] = defaultdict(dict, levels)
    for name, figure in disks.items():
        if figure.used_bytes is not None:
            merged[name] = {**merged[name], Measure.DISK_BYTES: figure.used_bytes}
    return MappingProxyType(dict(merged))
