"""Partitions on disk: what is there, installing instances, destroying them."""

from __future__ import annotations

import re
from collections.abc import Callable
from posixpath import basename, dirname

from attrs import evolve

from runtime.identity_files import CREDENTIAL_BYTES_MAX
from runtime.ports import FileKind, IFileTree, Program, Runtime
from slap.model import Certificate, Partition, PartitionInstance
from slapgrid.config import Config
from slapgrid.convergence.views import LocalPartition, PromiseView
from slapgrid.identity import Identity, choose_identity
from slapgrid.instance.certificates import CertificateRepository, KeyPaths
from slapgrid.instance.reading import list_directory, read_if_there
from slapgrid.instance.remembering import PartitionMemory
from slapgrid.layout import (
    AGENT_DIRECTORY,
    BANG_FILE,
    BUILDOUT_CFG,
    INSTANCE_KINDS,
    INSTANCE_LOG,
    PARTITION_MODE,
    PLUGIN_DIRECTORY,
    PROMISE_CACHE_DIRECTORY,
    PROMISE_DIRECTORY,
    PROMISE_RESULT_DIRECTORY,
    RELEASE_LINK,
    RESOURCE_FILE,
    ROOTS_COPY,
    TIMESTAMP_FILE,
    error_log,
    transaction_file,
)
from slapgrid.platform import Platform
from slapgrid.profiles import SlapConnection, render_instance_profile
from slapgrid.promises.banging import read_bang_mark, read_timestamp
from slapgrid.promises.records import PromiseFile, find_promises, view_promise
from slapgrid.software.releases import (
    ERROR_BYTES_MAX,
    Releases,
    buildout_environment,
    describe_failed_run,
)
from slapgrid.supervision.conf import ProgramDefinition, ProgramGroup
from slapgrid.supervision.port import PartitionGroups
from slapgrid.warm.servers import WarmServers
from slapgrid.writing_out import write_out

#: An installation takes seconds; one that hangs must not stop all others for ever.
INSTALL_SECONDS_MAX = 3600.0
#: As stock nodes keep of it.
INSTANCE_LOG_BYTES_MAX = 20 * 1024 * 1024
#: One line per requested child; a tree has at most some thousands.
TRANSACTION_BYTES_MAX = 1024 * 1024

_PROGRAM_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]*\Z")


class InstanceRefused(Exception):
    """The partition cannot be processed as it is; the sentence says why."""


class Partitions:
    """The instance root of a computer.

    ``find_urls`` gives the replicas that are known now, in the order to ask them.
    """

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        platform: Platform,
        releases: Releases,
        warm: WarmServers,
        *,
        find_urls: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._config = config
        self._find_urls = find_urls
        self._runtime = runtime
        self._platform = platform
        self._releases = releases
        self._warm = warm
        self._tree = runtime.file_tree(config.instance_root)
        self._memory = PartitionMemory(self._tree)
        self._last: dict[
            str, tuple[LocalPartition, PartitionGroups, LocalPartition]
        ] = {}
        directory = config.instance.certificate_directory
        self._certificates = (
            CertificateRepository(runtime, directory) if directory else None
        )

    @property
    def has_certificates(self) -> bool:
        """Whether instances are to have certificates of their own."""
        return self._certificates is not None

    def files(self, partition_id: str) -> IFileTree:
        """The tree of a partition."""
        return self._tree.subtree(partition_id)

    def identity(self, partition_id: str) -> Identity:
        """As whom to run the code of a partition."""
        owner = self._tree.status(partition_id)
        if owner is None or owner.kind is not FileKind.DIRECTORY:
            raise InstanceRefused(f"{partition_id} has no directory: run format")
        if owner.mode != PARTITION_MODE:
            raise InstanceRefused(
                f"{partition_id} has mode {owner.mode:o} instead of "
                f"{PARTITION_MODE:o}: run format"
            )
        return choose_identity(partition_id, self._platform.uid, owner.uid, owner.gid)

    def observe(
        self, partition_id: str, groups: PartitionGroups, now: float
    ) -> LocalPartition:
        """The partition as it is on disk, with its programs as supervision says."""
        seen = self._memory.observe(
            partition_id, now, lambda: self._observe(partition_id, now)
        )
        last = self._last.get(partition_id)
        if last is None or last[0] is not seen or last[1] != groups:
            whole = evolve(
                seen, programs=groups.programs, side_groups=groups.side_groups
            )
            last = self._last[partition_id] = (seen, groups, whole)
        return last[2]

    def _observe(self, partition_id: str, now: float) -> LocalPartition:
        # Read here only what ``PartitionMemory`` looks at.
        found = self._tree.status(partition_id)
        if found is None or found.kind is not FileKind.DIRECTORY:
            return LocalPartition(partition_id, is_formatted=False)
        files = self.files(partition_id)
        names = frozenset(files.list())
        stamp = files.status(TIMESTAMP_FILE) if TIMESTAMP_FILE in names else None
        return LocalPartition(
            partition_id,
            has_content=bool(names - {RESOURCE_FILE}),
            has_remains=not names.isdisjoint({TIMESTAMP_FILE, AGENT_DIRECTORY}),
            has_programs="etc" in names and bool(self._programs(files)),
            timestamp=None if stamp is None else read_timestamp(files),
            processed_at=0.0 if stamp is None else stamp.modified,
            promises=self._view_promises(files, now) if "etc" in names else (),
            bang_mark=read_bang_mark(files) if BANG_FILE in names else None,
        )

    def group(self, partition_id: str) -> ProgramGroup:
        """The programs of a partition as its files define them."""
        programs = self._programs(self.files(partition_id))
        return self.group_of(partition_id, partition_id, programs)

    def group_of(
        self,
        partition_id: str,
        name: str,
        programs: tuple[ProgramDefinition, ...],
    ) -> ProgramGroup:
        """A group of programs that run in a partition, as its user."""
        owner = self._tree.status(partition_id)
        assert owner is not None, "only of an installed instance"
        self.identity(partition_id)
        for program in programs:
            if not _PROGRAM_NAME.match(program.name):
                raise InstanceRefused(
                    f"{program.kind}/{program.name}: the name of a program has only "
                    "letters, digits and _ . + @ -"
                )
        return ProgramGroup(
            name,
            self._tree.path(partition_id),
            programs,
            self._platform.find_account(owner.uid, owner.gid),
        )

    def promises(self, partition_id: str) -> tuple[PromiseFile, ...]:
        """The promises of a partition."""
        files = self.files(partition_id)
        return find_promises(
            list_directory(files, PLUGIN_DIRECTORY),
            list_directory(files, PROMISE_DIRECTORY),
        )

    async def install(
        self, partition: Partition, certificate: Certificate | None = None
    ) -> str | None:
        """Run buildout in the partition; the reason when that fails.

        Without a certificate of its own an instance is told that of the computer.
        ``write_out`` must follow before anything remembers the success. Until then the
        partition counts as not processed.
        """
        instance = partition.instance
        assert instance is not None, "only an instance is installed"
        partition_id = partition.key.partition_id
        identity = self.identity(partition_id)
        files = self.files(partition_id)
        if files.free_bytes() < self._config.instance.free_bytes_min:
            return (
                f"{self._config.instance_root} has less than "
                f"{self._config.instance.free_bytes_min} bytes free: free some"
            )
        files.remove(TIMESTAMP_FILE)
        files.remove(error_log(partition_id))
        files.remove(transaction_file(partition_id))
        # There before the certificate: a partition with content is one to destroy.
        files.make_directory(f"{AGENT_DIRECTORY}/log", 0o755)
        paths = self._keep_certificate(partition_id, certificate, identity)
        self._write_profile(partition, instance, files, identity, paths)
        failure = await self._run_buildout(partition_id, instance, files, identity)
        if failure is not None:
            files.write(error_log(partition_id), failure.encode(), 0o640)
        return failure

    async def write_out(self) -> str | None:
        """Make what installations wrote durable; the reason when that fails."""
        failure = await write_out(self._runtime, self._tree.root)
        if failure is None and self._certificates is not None:
            failure = await self._certificates.write_out()
        return failure

    def requested_titles(self, partition_id: str) -> tuple[str, ...] | None:
        """What the instance requested while it was installed; ``None`` if unknown."""
        try:
            content = self.files(partition_id).read(
                transaction_file(partition_id), TRANSACTION_BYTES_MAX
            )
        except FileNotFoundError:
            return None
        return tuple(sorted(set(content.decode(errors="replace").split("\n")) - {""}))

    def record_processed(self, partition_id: str, timestamp: str) -> None:
        """Write that the partition is as wanted."""
        self.files(partition_id).write(TIMESTAMP_FILE, timestamp.encode())

    def forget_processed(self, partition_id: str) -> None:
        """Have the partition processed again, whatever its timestamp."""
        if self._tree.status(partition_id) is not None:
            self.files(partition_id).remove(TIMESTAMP_FILE)

    async def destroy(self, partition_id: str) -> None:
        """Remove all content and the certificate.

        The directory and its resource file stay.
        """
        files = self.files(partition_id)
        if files.status("") is None:
            return
        files.remove(TIMESTAMP_FILE)
        if self._certificates is not None:
            # Before the content: without that, nobody would come back for it.
            self._certificates.remove(partition_id)
        for name in files.list():
            if name != RESOURCE_FILE:
                await remove_entry(files, name)

    async def clean(self, partition_id: str) -> None:
        """Remove what says that an instance was processed here."""
        files = self.files(partition_id)
        files.remove(TIMESTAMP_FILE)
        await files.remove_tree(AGENT_DIRECTORY)

    def _programs(self, files: IFileTree) -> tuple[ProgramDefinition, ...]:
        return tuple(
            ProgramDefinition(name, kind)
            for kind in INSTANCE_KINDS
            for name in list_directory(files, kind)
        )

    def _view_promises(self, files: IFileTree, now: float) -> tuple[PromiseView, ...]:
        views = []
        found = find_promises(
            list_directory(files, PLUGIN_DIRECTORY),
            list_directory(files, PROMISE_DIRECTORY),
        )
        for promise in found:
            result = f"{PROMISE_RESULT_DIRECTORY}/{promise.title}.status.json"
            views.append(
                view_promise(
                    promise,
                    read_if_there(files, f"{PROMISE_CACHE_DIRECTORY}/{promise.title}"),
                    read_if_there(files, result),
                    now,
                )
            )
        return tuple(views)

    def _keep_certificate(
        self, partition_id: str, certificate: Certificate | None, identity: Identity
    ) -> KeyPaths:
        paths = None
        if self._certificates is not None and certificate is not None:
            paths = self._certificates.keep(partition_id, certificate, identity)
        return paths or KeyPaths(self._config.key_file, self._config.cert_file)

    def _write_profile(
        self,
        partition: Partition,
        instance: PartitionInstance,
        files: IFileTree,
        identity: Identity,
        paths: KeyPaths,
    ) -> None:
        connection = SlapConnection(
            self._config.computer_id,
            partition.key.partition_id,
            self._config.master_urls[0],
            instance.software_release_url,
            partition.requested_state,
            paths.key_file,
            paths.cert_file,
            self._config.software.shared_part_directories,
            self._config.software.build_time_part_directories,
            self._keep_roots(files),
            self._find_urls(),
        )
        template = self._releases.template(instance.software_release_url)
        profile = render_instance_profile(template, connection)
        files.write(BUILDOUT_CFG, profile.encode(), 0o640)
        if identity.gid is not None:
            files.change(BUILDOUT_CFG, gid=identity.gid)
        files.link(RELEASE_LINK, self._releases.path(instance.software_release_url))

    def _keep_roots(self, files: IFileTree) -> str:
        """Have a copy of the roots where the instance can read it; no secret is in it.

        They stand beside the key of the computer, where no partition may look.
        """
        path = self._config.master_ca_file
        if not path:
            return ""
        roots = self._runtime.file_tree(dirname(path)).read(
            basename(path), CREDENTIAL_BYTES_MAX
        )
        if read_if_there(files, ROOTS_COPY, CREDENTIAL_BYTES_MAX) != roots:
            files.write(ROOTS_COPY, roots, 0o644)
        return files.path(ROOTS_COPY)

    async def _run_buildout(
        self,
        partition_id: str,
        instance: PartitionInstance,
        files: IFileTree,
        identity: Identity,
    ) -> str | None:
        url = instance.software_release_url
        limit = self._config.instance.timeout_seconds or INSTALL_SECONDS_MAX
        warmth = self._releases.warmth(url)
        ended = await self._warm.run(
            warmth,
            Program(
                (*warmth.python, warmth.shim, warmth.argument, "-U"),
                directory=files.root,
                environment=buildout_environment(
                    files.root, {"SLAPGRID_INSTANCE_ROOT": self._config.instance_root}
                ),
                uid=identity.uid,
                gid=identity.gid,
                timeout_seconds=limit,
                output_bytes_max=ERROR_BYTES_MAX,
                log_path=files.path(INSTANCE_LOG),
                log_bytes_max=INSTANCE_LOG_BYTES_MAX,
            ),
        )
        if ended.is_success:
            return None
        return describe_failed_run(f"buildout of {partition_id}", ended)


async def remove_entry(files: IFileTree, name: str) -> None:
    """Remove what stands there, a directory with all its content."""
    status = files.status(name)
    if status is None:
        return
    if status.kind is FileKind.DIRECTORY:
        await files.remove_tree(name)
    else:
        files.remove(name)
