"""Usage reports: asked of instances, taken, sealed and delivered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from attrs import frozen
from twisted.internet.defer import DeferredLock, DeferredSemaphore

from runtime.ports import FileKind, Runtime
from slap import calls
from slap.errors import BadRequest, MalformedDocument, SlapError, TooLarge
from slapgrid.config import Config
from slapgrid.identity import Identity, IdentityRefused
from slapgrid.instance.partitions import InstanceRefused
from slapgrid.layout import (
    XML_REPORT_DIRECTORY,
    journal_directory,
)
from slapgrid.reporting.merging import (
    Weight,
    check_journal,
    read_consumption,
    weigh,
)
from slapgrid.reporting.programs import (
    PARALLEL_MAX,
    ReportPrograms,
    find_programs,
)
from slapgrid.reporting.spool import Source, SourceRefused, Spool, find_source
from slapgrid.slap_client import SlapClient

#: Who writes one slowly has this long; then it is complete, however it looks.
SETTLED_SECONDS = 3600.0
#: Looked at in one pass, of one directory: an instance must not hold the others up.
REPORTS_PER_PASS_MAX = 500
#: Sentences of one pass; the others are counted.
TROUBLES_MAX = 20


@frozen
class Reported:
    """How a pass ended.

    ``waiting_count`` documents are still to be delivered; ``away`` says why. The master
    refused ``refused_count`` of them. ``troubles`` say what a person should look at.
    """

    delivered_count: int = 0
    refused_count: int = 0
    waiting_count: int = 0
    away: str = ""
    troubles: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """The sentence that is logged."""
        parts = [f"{self.delivered_count} usage documents delivered"]
        if self.refused_count:
            parts.append(f"{self.refused_count} refused by the master and kept aside")
        if self.waiting_count:
            parts.append(f"{self.waiting_count} wait: {self.away}")
        return ", ".join([*parts, *self.troubles[:3]])


class Reporter:
    """Reports of one computer; one pass at a time.

    ``find_identity`` tells as whom to run the code of a partition.
    """

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        find_identity: Callable[[str], Identity],
        client: SlapClient,
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._find_identity = find_identity
        self._client = client
        self._tree = runtime.file_tree(config.instance_root)
        self._spool = Spool(self._tree, runtime.entropy)
        self._programs = ReportPrograms(runtime, DeferredSemaphore(PARALLEL_MAX))
        self._turn = DeferredLock()

    async def report(self, partition_ids: Iterable[str] = ()) -> Reported:
        """Run the programs of these partitions, take what is there, deliver it."""
        async with self._turn:
            troubles: list[str] = []
            names = tuple(partition_ids)
            try:
                await self._spool.clean()
                for partition_id in names:
                    troubles += await self._ask(partition_id)
                troubles += await self._take(self._places(names))
            except OSError as error:
                # A full disk must not stop what frees it.
                troubles.append(f"reports were not taken: {error}")
            return await self._deliver(troubles)

    async def deliver(self) -> Reported:
        """Take what lies there and deliver it, without asking any instance."""
        return await self.report()

    async def farewell(self, partition_id: str) -> str | None:
        """Take the last reports of a partition; why its content may not go yet."""
        async with self._turn:
            try:
                await self._spool.clean()
                await self._ask(partition_id)
                await self._take(
                    (_Place(partition_id, path, is_settled=True))
                    for path in _directories(partition_id)
                )
            except OSError as error:
                return f"the last usage of {partition_id} was not taken: {error}"
        return None

    def waiting_count(self) -> int:
        """How many documents the master does not have."""
        return len(self._spool.outgoing())

    def refused_count(self) -> int:
        """How many documents and reports a person should look at."""
        return self._spool.refused_count()

    def has_news(self) -> bool:
        """Whether a document of the computer itself waits to be taken."""
        return bool(self._names(journal_directory(self._config.computer_id)))

    async def _ask(self, partition_id: str) -> list[str]:
        """Run the programs of a partition; what a failed one wrote is set aside."""
        troubles = []
        files = self._tree.subtree(partition_id)
        try:
            if not find_programs(files):
                return []
            identity = self._find_identity(partition_id)
            runs = await self._programs.run(files, identity)
        except (InstanceRefused, IdentityRefused) as error:
            return [str(error)]
        except OSError as error:
            return [f"the reports of {partition_id} were not asked for: {error}"]
        for run in runs:
            if run.failure is None:
                continue
            troubles.append(f"{partition_id}: {run.failure}")
            if files.status(run.path) is not None:
                path = f"{partition_id}/{run.path}"
                troubles += self._refuse(partition_id, path, run.failure)
        return troubles

    def _places(self, partition_ids: tuple[str, ...]) -> Iterator[_Place]:
        computer_id = self._config.computer_id
        for partition_id in partition_ids or self._known_partitions():
            for path in _directories(partition_id):
                yield _Place(partition_id, path)
        yield _Place(computer_id, journal_directory(computer_id), is_journal=True)

    def _known_partitions(self) -> Iterator[str]:
        for name in self._names(""):
            status = self._tree.status(f"{name}/{XML_REPORT_DIRECTORY}")
            if status is not None and status.kind is FileKind.DIRECTORY:
                yield name

    async def _take(self, places: Iterable[_Place]) -> list[str]:
        """Claim everything that is valid, sealing a batch when it has enough."""
        troubles: list[str] = []
        now = self._runtime.calendar.now()
        batch = self._spool.open_batch(now)
        weight = self._spool.weigh(batch)
        for place in places:
            for name in self._names(place.path)[:REPORTS_PER_PASS_MAX]:
                if name.startswith("."):
                    continue  # a file that is being written is often named so
                try:
                    source = find_source(self._tree, f"{place.path}/{name}")
                    weight += self._take_source(place, batch, source)
                except SourceRefused as error:
                    troubles.append(str(error))
                if weight.is_enough:
                    await self._seal(batch)
                    batch, weight = self._spool.open_batch(now), Weight()
        await self._seal(batch)
        if len(troubles) > TROUBLES_MAX:
            count = len(troubles) - TROUBLES_MAX
            troubles[TROUBLES_MAX:] = [f"and {count} more"]
        return troubles

    def _take_source(self, place: _Place, batch: str, source: Source) -> Weight:
        try:
            if place.is_journal:
                check_journal(source.content)
                self._spool.take_journal(source)
                return Weight()
            movements = read_consumption(source.content)
        except MalformedDocument as error:
            age_seconds = self._runtime.calendar.now() - source.status.modified
            is_asked = source.path.rpartition("/")[2].startswith("slapreport.")
            if place.is_settled or is_asked or not 0 <= age_seconds < SETTLED_SECONDS:
                self._spool.refuse(place.owner, source, str(error))
                sentence = f"{source.path} is invalid and kept aside: {error}"
            else:
                sentence = f"{source.path} is invalid or not complete: {error}"
            raise SourceRefused(sentence) from error
        self._spool.claim(batch, place.owner, source)
        return weigh(movements)

    def _refuse(self, owner: str, path: str, reason: str) -> list[str]:
        try:
            self._spool.refuse(owner, find_source(self._tree, path), reason)
        except SourceRefused as error:
            return [str(error)]
        return []

    async def _seal(self, batch: str) -> None:
        now = self._runtime.calendar.now()
        await self._spool.seal(batch, self._config.computer_id, now)

    async def _deliver(self, troubles: list[str]) -> Reported:
        delivered = refused = 0
        names = self._spool.outgoing()
        for index, name in enumerate(names):
            try:
                document = self._spool.read(name)
                call = calls.send_usage(self._config.computer_id, document)
                await self._client.perform(call)
                self._spool.delivered(name)
                delivered += 1
            except (BadRequest, TooLarge) as error:
                self._spool.keep_aside(name, str(error))
                refused += 1
            except SlapError as error:
                waiting = len(names) - index
                return Reported(
                    delivered, refused, waiting, str(error), tuple(troubles)
                )
            except OSError as error:
                troubles.append(f"{name} was not delivered: {error}")
        return Reported(delivered, refused, 0, "", tuple(troubles))

    def _names(self, path: str) -> tuple[str, ...]:
        try:
            return self._tree.list(path)
        except OSError:
            return ()


@frozen
class _Place:
    """A directory with reports; one is settled when nobody writes there any more."""

    owner: str
    path: str
    is_journal: bool = False
    is_settled: bool = False


def _directories(partition_id: str) -> tuple[str, str]:
    return (
        f"{partition_id}/{XML_REPORT_DIRECTORY}",
        f"{XML_REPORT_DIRECTORY}/{partition_id}",
    )
