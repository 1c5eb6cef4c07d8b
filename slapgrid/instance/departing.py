"""Taking an instance out of its partition, one step of its departure at a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from attrs import evolve, frozen

from runtime.ports import FileKind, FileStatus, IFileTree, Program, Runtime
from slap.model import PartitionInstance
from slapgrid.config import Config
from slapgrid.convergence.departure import (
    RECORD_BYTES_MAX,
    RETENTION_KEY,
    WAIT_LIST_BYTES_MAX,
    BadRetention,
    Departure,
    DepartureRecord,
    Retention,
    decode_lock,
    decode_record,
    decode_wait_list,
    encode_record,
    read_retention_days,
)
from slapgrid.convergence.views import LIVE_STATES, ProgramStatus
from slapgrid.environment import clean_environment
from slapgrid.instance.partitions import Partitions, remove_entry
from slapgrid.instance.reading import list_directory, read_if_there
from slapgrid.layout import (
    DESTROY_SCRIPT,
    GROUP_DIRECTORY,
    REMOVAL_DIRECTORY,
    RETENTION_DATE_FILE,
    RETENTION_DELAY_FILE,
    WAIT_LIST_FILE,
    ProgramKind,
    departure_file,
    removal_group,
)
from slapgrid.platform import Platform
from slapgrid.software.releases import ERROR_BYTES_MAX, describe_failed_run
from slapgrid.supervision.conf import ProgramDefinition, program_name
from slapgrid.supervision.port import ISupervision, ProgramKey

#: It may hand data over to another computer; others wait for it no longer than this.
HOOK_SECONDS_MAX = 600.0

SideGroups = Mapping[str, tuple[ProgramStatus, ...]]


@frozen
class Departing:
    """The instances of one computer that are to be destroyed."""

    config: Config
    runtime: Runtime
    platform: Platform
    partitions: Partitions
    supervision: ISupervision

    def view(
        self, partition_id: str, instance: PartitionInstance, groups: SideGroups
    ) -> Departure:
        """What stands between an instance, whose programs stopped, and its removal."""
        files = self.partitions.files(partition_id)
        if files.status("") is None:
            return Departure()
        programs = groups.get(removal_group(partition_id), ())
        running = {each.name for each in programs if each.program_state in LIVE_STATES}
        waited = self._waited(partition_id, files)
        return Departure(
            self._retention(partition_id, instance, files),
            list_directory(files, REMOVAL_DIRECTORY),
            frozenset(running),
            frozenset(each.name for each in programs if each.has_ended),
            tuple(name for name in waited if _is_live(name, partition_id, groups)),
            self._record(partition_id, instance.instance_guid),
        )

    def forget(self, partition_id: str, instance: PartitionInstance) -> None:
        """Forget a departure that is wanted no more, before the instance is installed.

        An instance that asks for a retention that cannot be is refused now: later,
        when it is to be destroyed, nobody would be there to ask.
        """
        self._tree.remove(departure_file(partition_id))
        self.partitions.files(partition_id).remove(RETENTION_DATE_FILE)
        if self._frozen_days(partition_id) is None:
            read_retention_days(instance.allocation_filter.get(RETENTION_KEY))

    def freeze_retention(self, partition_id: str, instance: PartitionInstance) -> None:
        """Write how long the installed instance is kept; what is written stays."""
        if self._frozen_days(partition_id) is None:
            days = read_retention_days(instance.allocation_filter.get(RETENTION_KEY))
            files = self.partitions.files(partition_id)
            files.write(RETENTION_DELAY_FILE, str(days).encode())

    def retain(self, partition_id: str, until: float) -> None:
        """Write until when the instance stays."""
        files = self.partitions.files(partition_id)
        files.write(RETENTION_DATE_FILE, str(until).encode())

    async def retire(
        self,
        partition_id: str,
        instance_guid: str,
        ended: frozenset[str],
        resting: tuple[str, ...],
    ) -> str | None:
        """Remember the programs of ``etc/prerm`` that ended, start those that rest."""
        record = self._record(partition_id, instance_guid)
        record = evolve(record, is_released=True, ended_programs=ended)
        self._remember(partition_id, instance_guid, record)
        if not resting:
            return None
        name = removal_group(partition_id)
        files = self.partitions.files(partition_id)
        # All of them, so that those that run or ended are not taken out of the group.
        programs = tuple(
            ProgramDefinition(each, ProgramKind.REMOVAL)
            for each in list_directory(files, REMOVAL_DIRECTORY)
        )
        waited = {f"{name}:{each.name}" for each in programs}
        waited.update(self._waited(partition_id, files))
        lines = "".join(f"{each}\n" for each in sorted(waited))
        files.write(WAIT_LIST_FILE, lines.encode())
        group = self.partitions.group_of(partition_id, name, programs)
        failures = dict(await self.supervision.define((group,)))
        if not failures:
            keys = tuple(ProgramKey(name, each) for each in resting)
            failures.update(await self.supervision.start(keys))
        return failures.get(name)

    async def destroy(self, partition_id: str, instance_guid: str) -> str | None:
        """Run the instance's own removal, then remove everything; why not."""
        record = self._record(partition_id, instance_guid)
        if not record.is_hook_done:
            failure = await self._run_hook(partition_id)
            if failure is not None:
                return failure
            # A full disk must not stop what frees it; at worst the hook runs again.
            with suppress(OSError):
                done = evolve(record, is_released=True, is_hook_done=True)
                self._remember(partition_id, instance_guid, done)
        names = self._group_names(partition_id)
        failures = await self.supervision.remove(names) if names else {}
        for failure in failures.values():
            return failure
        await self._empty_storage(partition_id)
        await self.partitions.destroy(partition_id)
        self._tree.remove(departure_file(partition_id))
        return None

    @property
    def _tree(self) -> IFileTree:
        return self.runtime.file_tree(self.config.instance_root)

    async def _empty_storage(self, partition_id: str) -> None:
        """Remove what the instance keeps on other disks; its directories stay.

        They are found where the operator made them: the links of the partition are its
        user's, and could lead anywhere.
        """
        home = self.config.format.instance_storage_home
        if not home:
            return
        storage = self.runtime.file_tree(home)
        for disk in list_directory(storage, ""):
            place = f"{disk}/{partition_id}"
            for name in list_directory(storage, place):
                await remove_entry(storage.subtree(place), name)

    def _group_names(self, partition_id: str) -> tuple[str, ...]:
        """The other groups of a partition that have a file: exactly its own."""
        found = list_directory(self._tree, GROUP_DIRECTORY)
        names = {each.removesuffix(".conf") for each in found if each.endswith(".conf")}
        return tuple(sorted(n for n in names if n.startswith(f"{partition_id}-")))

    def _waited(self, partition_id: str, files: IFileTree) -> tuple[str, ...]:
        found = read_if_there(files, WAIT_LIST_FILE, WAIT_LIST_BYTES_MAX)
        return decode_wait_list(found, partition_id)

    def _record(self, partition_id: str, instance_guid: str) -> DepartureRecord:
        content = read_if_there(
            self._tree, departure_file(partition_id), RECORD_BYTES_MAX
        )
        return decode_record(content, instance_guid)

    def _remember(
        self, partition_id: str, instance_guid: str, record: DepartureRecord
    ) -> None:
        path = departure_file(partition_id)
        self._tree.make_directory(path.rpartition("/")[0], 0o700)
        self._tree.write(path, encode_record(instance_guid, record), 0o600)

    def _retention(
        self, partition_id: str, instance: PartitionInstance, files: IFileTree
    ) -> Retention | None:
        frozen_in = files.status(RETENTION_DELAY_FILE)
        if frozen_in is None:
            return None
        delay = self._frozen_days(partition_id)
        if delay is None:
            # Nobody can read it: what the master says is the next best.
            with suppress(BadRetention):
                delay = read_retention_days(
                    instance.allocation_filter.get(RETENTION_KEY)
                )
        until = decode_lock(self._read_lock(partition_id, RETENTION_DATE_FILE))
        return Retention(delay or 0.0, frozen_in.modified, until)

    def _frozen_days(self, partition_id: str) -> float | None:
        return decode_lock(self._read_lock(partition_id, RETENTION_DELAY_FILE))

    def _read_lock(self, partition_id: str, name: str) -> bytes | None:
        """A lock file, unless the instance itself may have written it."""
        files = self.partitions.files(partition_id)
        found, owner = files.status(name), self._tree.status(partition_id)
        if found is None or owner is None or not self._is_trusted(found, owner):
            return None
        return read_if_there(files, name, RECORD_BYTES_MAX)

    def _is_trusted(self, found: FileStatus, partition: FileStatus) -> bool:
        return found.uid != partition.uid or found.uid == self.platform.uid

    async def _run_hook(self, partition_id: str) -> str | None:
        files = self.partitions.files(partition_id)
        if files.status("") is None or not _is_program(files, DESTROY_SCRIPT):
            return None
        identity = self.partitions.identity(partition_id)
        ended = await self.runtime.processes.run(
            Program(
                (files.path(DESTROY_SCRIPT),),
                directory=files.root,
                environment=clean_environment(files.root),
                uid=identity.uid,
                gid=identity.gid,
                timeout_seconds=HOOK_SECONDS_MAX,
                output_bytes_max=ERROR_BYTES_MAX,
            )
        )
        if ended.is_success:
            return None
        return describe_failed_run(f"{DESTROY_SCRIPT} of {partition_id}", ended)


def _is_live(name: str, partition_id: str, groups: SideGroups) -> bool:
    group, _, process = name.partition(":")
    if group == removal_group(partition_id):
        return False  # judged with the programs of that group
    return any(
        each.name == program_name(process) and each.program_state in LIVE_STATES
        for each in groups.get(group, ())
    )


def _is_program(files: IFileTree, path: str) -> bool:
    try:
        found = files.status(path)
    except OSError:
        return False  # its directory is none
    return found is not None and found.kind in {FileKind.FILE, FileKind.LINK}
