"""Worlds with something wrong in them, each of which one checker has to notice."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen
from twisted.application.service import IService, Service
from ZODB.MappingStorage import MappingStorage  # type: ignore[import-untyped]
from ZODB.POSException import ConflictError  # type: ignore[import-untyped]

from labsim.history import Ending
from labsim.models.buildout import SERVER, BuildoutModel
from labsim.mutants.changing import run, texts_of
from labsim.mutants.quorum import RULE
from labsim.recording import RecordingInstance, RecordingStorage
from labsim.run import Stage
from labsim.stores import SharedMemory, SharedNeo, Store
from labsim.world.host import Process
from master_cluster.config import Config
from master_cluster.store.storages import MemoryStorage
from runtime.ports import Exit, ICalendar, Program, Runtime
from tests.model.mutants import named_mutant

STALE_SECONDS = 60.0
"""As long as a snapshot of ``StaleInstance`` is kept."""

LATE_SECONDS = 90.0

FORGOTTEN = range(60, 70)
"""Of the transactions of ``ForgettingStorage``: some that people made."""

FRESH_SECONDS = 100.0
"""At first it is as it should be: a cloud has to be there."""


@frozen
class RestoringModel(BuildoutModel):
    """Somebody restores the files of partitions, whoever has them now."""

    kept: dict[str, bytes] = field(factory=dict)

    async def _buildout(self, program: Program, process: Process) -> Exit:
        files = process.host.pending_files(program.directory)
        key = f"{process.host.name} {program.directory}"
        if key in self.kept:
            files.make_directory("etc/service")
            files.write(SERVER, self.kept[key], 0o755)
        ended = await super()._buildout(program, process)
        if files.status(SERVER) is not None:
            self.kept[key] = files.read(SERVER)
        return ended


class Restoring(Stage):
    def build_model(self) -> BuildoutModel:
        return RestoringModel(build_seconds=1.0, has_promises=False)


class OverwritingStorage(MemoryStorage):
    """Takes what is written, whatever was there by then."""

    def store(
        self, oid: bytes, serial: bytes, data: bytes, version: str, transaction: Any
    ) -> None:
        try:
            MappingStorage.store(self, oid, serial, data, version, transaction)
        except ConflictError as error:
            current = error.serials[0]
            MappingStorage.store(self, oid, current, data, version, transaction)


class ForgettingStorage(MemoryStorage):
    """Acknowledges some transactions and keeps nothing of them."""

    _commit_count = 0

    def tpc_finish(self, transaction: object, func: Any = lambda _: None) -> Any:
        self._commit_count += 1
        if self._commit_count in FORGOTTEN:
            self._tdata = {}
        return super().tpc_finish(transaction, func)


class ForgettingMemory(SharedMemory):
    def build_storage(self, calendar: ICalendar) -> MemoryStorage:
        return ForgettingStorage(calendar)


class Forgetting(Stage):
    def build_store(self) -> Store:
        return ForgettingMemory(self.tell, self.world.clock.seconds)


class OverwritingMemory(SharedMemory):
    def build_storage(self, calendar: ICalendar) -> MemoryStorage:
        return OverwritingStorage(calendar)


class Late(Service):
    """A program that begins long after it was started."""

    def __init__(self, program: IService, runtime: Runtime) -> None:
        self._program = program
        self._clock = runtime.clock

    def startService(self) -> None:
        self._clock.callLater(LATE_SECONDS, self._program.startService)

    def stopService(self) -> Any:
        return self._program.stopService()


class LateMemory(SharedMemory):
    """Masters that are late each time but the first."""

    lives = 0

    def build_master(self, name: str, config: Config, runtime: Runtime) -> IService:
        self.lives += 1
        program = super().build_master(name, config, runtime)
        return program if self.lives == 1 else Late(program, runtime)


class Tardy(Stage):
    def build_store(self) -> Store:
        return LateMemory(self.tell, self.world.clock.seconds)


class Overwriting(Stage):
    def build_store(self) -> Store:
        return OverwritingMemory(self.tell, self.world.clock.seconds)


class StaleInstance(RecordingInstance):
    """A connection that looks for what is new only now and then, and says it knows."""

    _looked_at = float("-inf")

    def poll_invalidations(self) -> Any:
        now = self._base.seconds()
        if FRESH_SECONDS < now < self._looked_at + STALE_SECONDS:
            self._reads = {}
            self._looked_up = {}
            self.tid = self._base.lastTransaction()
            return []
        self._looked_at = now
        return super().poll_invalidations()


class StaleStorage(RecordingStorage):
    def new_instance(self) -> RecordingInstance:
        instance = StaleInstance(self)
        with self._lock:
            self._instances.add(instance)
        return instance


class StaleMemory(SharedMemory):
    def build_recording(self, storage: object) -> RecordingStorage:
        return StaleStorage(storage, self._tell, self._seconds)


class Stale(Stage):
    def build_store(self) -> Store:
        return StaleMemory(self.tell, self.world.clock.seconds)


class WithoutMajority(Stage):
    """Each part of a neo_cluster goes on alone, in an epoch of the same number."""

    def build_store(self) -> Store:
        mutant = named_mutant("a recovery needs no majority")
        rule = run(RULE, texts_of(mutant.changes)[RULE])
        return SharedNeo(self.world, self.plan.topology, self.tell, rule)


class Unsettled(Stage):
    """One thing never becomes as it is wanted; all else does."""

    def _found(self) -> tuple[Ending, ...]:
        at = self.world.clock.seconds()
        return (*super()._found(), Ending(at, "a wish", "granted", ""))
