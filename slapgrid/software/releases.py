"""Releases on disk: what is there, building, removing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from attrs import evolve

from runtime.ports import Exit, Program, Runtime
from slapgrid.config import Config
from slapgrid.convergence.collection import is_removable
from slapgrid.convergence.views import Absence, LocalRelease, LocalView
from slapgrid.environment import clean_environment
from slapgrid.identity import Identity, choose_identity
from slapgrid.layout import (
    ABSENCE_FILE,
    BUILD_LOG_DIRECTORY,
    BUILDOUT_CFG,
    BUILDOUT_SCRIPT,
    COMPLETED_FILE,
    INSTANCE_TEMPLATES,
    NETRC_FILE,
    PERIODICITY_FILE,
    SHARED_FILE,
    UPLOAD_FILE,
    build_log,
    release_directory,
)
from slapgrid.platform import Platform
from slapgrid.profiles import render_software_profile
from slapgrid.software.binary_cache import (
    ARCHIVE_PREFIX,
    EXTRACTING_PREFIX,
    BinaryCache,
    CacheRefused,
)
from slapgrid.software.networkcache import Finding
from slapgrid.software.progress import (
    BuildProgress,
    ProgressReader,
    nobody_watches,
)
from slapgrid.software.unsupplied import (
    find_unsupplied,
    read_absence,
    remove_release,
    write_absence,
)
from slapgrid.software.uses import observe_uses
from slapgrid.warm.warmth import Warmth
from slapgrid.writing_out import write_out

#: The longest builds known take two hours; one that hangs must end.
BUILD_SECONDS_MAX = 6 * 3600.0
#: Copies six distributions; a slow disk needs some seconds.
BOOTSTRAP_SECONDS_MAX = 300.0
#: A profile extends some dozens of others.
EXTENDS_CACHE_FILES_MAX = 1000
NETRC_BYTES_MAX = 1024 * 1024
#: As ``buildout_shim`` reads it, which runs alone.
SHARED_PARTS = "SLAPGRID_SHARED_PARTS"
#: Posted to the master; the whole log stays on the computer.
ERROR_BYTES_MAX = 16 * 1024


class Releases:
    """The software root of a computer."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        platform: Platform,
        notify: Callable[[BuildProgress], None] = nobody_watches,
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._platform = platform
        self._notify = notify
        self._cache = BinaryCache(config, runtime, platform)
        self._tree = runtime.file_tree(config.software_root)
        self._instance_tree = runtime.file_tree(config.instance_root)

    def observe(self, urls: Collection[str]) -> Mapping[str, LocalRelease]:
        """The state on disk of each of these releases."""
        return {url: self._observe(url) for url in urls}

    def observe_with_users(self, urls: Collection[str]) -> Mapping[str, LocalRelease]:
        """The state of these, with the partitions whose files name each."""
        uses = self._observe_uses()
        return {
            url: evolve(found, users=uses.get(release_directory(url), ()))
            for url, found in self.observe(urls).items()
        }

    def observe_unsupplied(
        self, wanted: frozenset[str], retention_seconds: float, now: float
    ) -> LocalView:
        """What the collection of releases looks at; ``wanted`` are directories.

        Users are looked for when one may be removed: that reads files of all
        partitions.
        """
        found = find_unsupplied(self._tree, wanted)
        is_space_short = bool(found) and self.is_space_short()
        if is_space_short or any(
            is_removable(each, retention_seconds, now) for each in found
        ):
            uses = self._observe_uses()
            found = tuple(
                evolve(each, users=uses.get(each.directory, ())) for each in found
            )
        return LocalView(unsupplied=found, is_space_short=is_space_short)

    def _observe_uses(self) -> Mapping[str, tuple[str, ...]]:
        return observe_uses(self._instance_tree, self._runtime.file_tree("/proc"))

    def is_space_short(self) -> bool:
        """Whether a build would be refused for want of space."""
        return self._tree.free_bytes() < self._config.software.free_bytes_min

    async def remove_leftovers(self) -> None:
        """Remove what transfers left that were killed; none may run."""
        if self._tree.status("") is None:
            return
        for name in self._tree.list():
            if name.startswith(ARCHIVE_PREFIX):
                self._tree.remove(name)
            elif name.startswith(EXTRACTING_PREFIX):
                await self._tree.remove_tree(name)

    def note_absence(self, directory: str, absence: Absence | None) -> None:
        """Note for how long a release is unsupplied; nothing: it is supplied again."""
        if absence is None:
            self._tree.remove(f"{directory}/{ABSENCE_FILE}")
        else:
            write_absence(self._tree, directory, absence)

    def python(self, software_release_url: str) -> str:
        """The interpreter of a release; ``OSError`` when it has none."""
        return self._interpreter(release_directory(software_release_url))

    def template(self, software_release_url: str) -> str:
        """The profile of the release's instances; ``OSError`` when it has none."""
        directory = release_directory(software_release_url)
        present = [
            name
            for name in INSTANCE_TEMPLATES
            if self._tree.status(f"{directory}/{name}") is not None
        ]
        name = present[0] if present else INSTANCE_TEMPLATES[0]
        return self._tree.read(f"{directory}/{name}").decode()

    def path(self, software_release_url: str) -> str:
        """The absolute path of the release."""
        return self._tree.path(release_directory(software_release_url))

    def warmth(self, software_release_url: str) -> Warmth:
        """What the instances of the release have in common when they are installed."""
        directory = release_directory(software_release_url)
        completed = self._tree.status(f"{directory}/{COMPLETED_FILE}")
        return Warmth(
            release_path=self._tree.path(directory),
            stamp="" if completed is None else str(completed.modified),
            python=(self._interpreter(directory), "-I", "-S"),
            shim=self._platform.shim("buildout_shim"),
            argument=self._tree.path(f"{directory}/{BUILDOUT_SCRIPT}"),
        )

    async def build(self, software_release_url: str) -> str | None:
        """Build or finish building; the reason when it does not build."""
        self._tree.make_directory("")
        if self.is_space_short():
            return (
                f"{self._config.software_root} has {self._tree.free_bytes()} bytes "
                f"free, and builds need {self._config.software.free_bytes_min}: free "
                "some, or lower software_min_free_space"
            )
        directory = release_directory(software_release_url)
        identity = self._identity()
        if self._tree.status(directory) is None and self._cache.may_fetch(
            software_release_url
        ):
            failure = await self._fetch(software_release_url, identity)
            if failure is None:
                return await write_out(self._runtime, self._tree.path(directory))
            if self._cache.must_fetch(software_release_url):
                return f"{software_release_url} is never built here, and {failure}"
        # buildout wants its cache of profiles to be there.
        for made in (directory, f"{directory}/extends-cache"):
            self._tree.make_directory(made, 0o755)
            self._give(made, identity)
        if self._tree.status(f"{directory}/{BUILDOUT_CFG}") is None:
            profile = render_software_profile(self._config, software_release_url)
            self._tree.write(f"{directory}/{BUILDOUT_CFG}", profile.encode())
        self._copy_netrc(directory, identity)
        ended = await self._bootstrap(directory, identity)
        if ended.is_success:
            ended = await self._run_buildout(software_release_url, identity)
        if not ended.is_success:
            return describe_failed_run("buildout", ended)
        await self._bound_extends_cache(f"{directory}/extends-cache")
        is_shared = self._tree.status(f"{directory}/{SHARED_FILE}") is not None
        if self._cache.may_send(software_release_url) and not is_shared:
            self._tree.write(f"{directory}/{UPLOAD_FILE}", b"")
        return await write_out(self._runtime, self._tree.path(directory))

    async def upload(self, software_release_url: str) -> str | None:
        """Send a release that was built here to the cache; the reason if it fails."""
        directory = release_directory(software_release_url)
        if self._cache.may_send(software_release_url):
            try:
                await self._cache.send(software_release_url, self._identity())
            except CacheRefused as error:
                return f"not sent to the binary cache: {error}"
        self._tree.remove(f"{directory}/{UPLOAD_FILE}")
        return None

    async def look_up(self, software_release_url: str) -> tuple[Finding, ...]:
        """What the binary cache has about a release."""
        return await self._cache.look_up(software_release_url)

    def reopen(self, software_release_url: str) -> None:
        """Have a complete release built again; until then instances wait for it."""
        directory = release_directory(software_release_url)
        if self._tree.status("") is not None:
            self._tree.remove(f"{directory}/{COMPLETED_FILE}")

    def record_built(self, software_release_url: str) -> None:
        """Mark the release as complete."""
        directory = release_directory(software_release_url)
        now = f"{self._runtime.calendar.now():.0f}\n"
        self._tree.write(f"{directory}/{COMPLETED_FILE}", now.encode())

    async def remove(self, software_release_url: str) -> None:
        """Remove the release; its mark goes first, so that half of it is never used."""
        directory = release_directory(software_release_url)
        await self.remove_directory(directory)
        self._instance_tree.remove(build_log(software_release_url))

    async def remove_directory(self, directory: str) -> None:
        """Remove the release in a directory; its mark goes first here too."""
        self._tree.remove(f"{directory}/{COMPLETED_FILE}")
        await remove_release(self._tree, directory)

    def _observe(self, url: str) -> LocalRelease:
        directory = release_directory(url)
        tree = self._tree
        if tree.status("") is None or tree.status(directory) is None:
            return LocalRelease(url)
        is_completed = tree.status(f"{directory}/{COMPLETED_FILE}") is not None
        periodicity: float | None = self._config.instance.periodicity_seconds
        try:
            text = tree.read(f"{directory}/{PERIODICITY_FILE}", bytes_max=64)
            periodicity = float(int(text))
        except (OSError, ValueError):
            # Absent or not a number of seconds: that of the computer holds.
            pass
        return LocalRelease(
            url,
            is_present=True,
            is_completed=is_completed,
            periodicity_seconds=periodicity,
            has_absence=read_absence(tree, directory) is not None,
            is_upload_due=tree.status(f"{directory}/{UPLOAD_FILE}") is not None,
        )

    def _identity(self) -> Identity:
        owner = self._tree.status("")
        assert owner is not None, "made before"
        return choose_identity(
            self._config.software_root, self._platform.uid, owner.uid, owner.gid
        )

    def _give(self, directory: str, identity: Identity) -> None:
        if identity.uid is not None:
            self._tree.change(directory, uid=identity.uid, gid=identity.gid)

    async def _bootstrap(self, directory: str, identity: Identity) -> Exit:
        path = self._tree.path(directory)
        return await self._runtime.processes.run(
            Program(
                (self._platform.python, self._platform.shim("bootstrap_shim"), path),
                directory=path,
                environment=clean_environment(path),
                umask=0o022,
                uid=identity.uid,
                gid=identity.gid,
                timeout_seconds=BOOTSTRAP_SECONDS_MAX,
                output_bytes_max=ERROR_BYTES_MAX,
            )
        )

    async def _run_buildout(self, url: str, identity: Identity) -> Exit:
        path = self.path(url)
        self._instance_tree.make_directory(BUILD_LOG_DIRECTORY)
        reader = ProgressReader(url, self._notify)
        return await self._runtime.processes.run(
            Program(
                (
                    self.python(url),
                    "-I",
                    "-S",
                    self._platform.shim("buildout_shim"),
                    f"{path}/{BUILDOUT_SCRIPT}",
                    "-U",
                    f"buildout:extends-cache={path}/extends-cache",
                    f"buildout:directory={path}",
                    "-N",
                    "-c",
                    BUILDOUT_CFG,
                ),
                directory=path,
                environment=buildout_environment(path, self._build_variables()),
                # Instances of other users read the release.
                umask=0o022,
                uid=identity.uid,
                gid=identity.gid,
                timeout_seconds=BUILD_SECONDS_MAX,
                output_bytes_max=ERROR_BYTES_MAX,
                log_path=self._instance_tree.path(build_log(url)),
            ),
            reader.add,
        )

    async def _fetch(self, url: str, identity: Identity) -> str | None:
        """Take a release from the binary cache; the reason when it is to be built."""
        directory = release_directory(url)
        try:
            await self._cache.fetch(url, identity)
            interpreter = self._interpreter(directory)
        except (CacheRefused, OSError, UnicodeDecodeError, IndexError) as error:
            failure = str(error)
        else:
            parent, _, name = interpreter.rpartition("/")
            if self._runtime.file_tree(parent or "/").status(name) is not None:
                self._runtime.log.info("{url} comes from the binary cache", url=url)
                return None
            failure = f"what the cache has needs {interpreter}, which is not here"
        await remove_release(self._tree, directory)
        self._runtime.log.info(
            "{url} is not from the binary cache: {reason}", url=url, reason=failure
        )
        return failure

    def _copy_netrc(self, directory: str, identity: Identity) -> None:
        """Give builds the passwords of their user, whose home is not theirs."""
        uid = self._platform.uid if identity.uid is None else identity.uid
        home = self._platform.find_home(uid)
        if home is None:
            return
        try:
            content = self._runtime.file_tree(home).read(NETRC_FILE, NETRC_BYTES_MAX)
        except OSError:
            self._tree.remove(f"{directory}/{NETRC_FILE}")
            return
        self._tree.write(f"{directory}/{NETRC_FILE}", content, 0o600)
        self._give(f"{directory}/{NETRC_FILE}", identity)

    async def _bound_extends_cache(self, cache: str) -> None:
        """Profiles of old versions of a release that moves would stay for ever."""
        try:
            count = len(self._tree.list(cache))
        except OSError:
            return
        if count > EXTENDS_CACHE_FILES_MAX:
            await self._tree.remove_tree(cache)

    def _build_variables(self) -> Mapping[str, str]:
        shared = self._config.software.shared_part_directories
        return {SHARED_PARTS: shared[-1]} if shared else {}

    def _interpreter(self, directory: str) -> str:
        script = self._tree.read(f"{directory}/{BUILDOUT_SCRIPT}")
        first = script.split(b"\n", 1)[0].decode()
        return first.removeprefix("#!").split()[0]


def buildout_environment(
    home: str, additional: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """The environment of a buildout; it never replaces itself by another version."""
    return clean_environment(
        home, {"BUILDOUT_RESTART_AFTER_UPGRADE": "1", **(additional or {})}
    )


def describe_failed_run(program: str, ended: Exit) -> str:
    """The end of what a program wrote, and how it ended."""
    output = ended.output.decode(errors="replace")
    return f"{output}\n{describe_end(program, ended)}"[-ERROR_BYTES_MAX:]


def describe_end(program: str, ended: Exit) -> str:
    """How a program that failed ended, as a sentence."""
    if ended.is_timed_out:
        return f"{program} took too long and was ended"
    if ended.signal is not None:
        return f"{program} was ended by signal {ended.signal}"
    return f"{program} ended with status {ended.status}"
