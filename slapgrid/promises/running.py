"""Running promises: one process for those of a partition, some partitions at a time."""

from __future__ import annotations

import json

from attrs import evolve, frozen
from twisted.internet.defer import DeferredSemaphore

from runtime.ports import Exit, IFileTree, Program, Runtime
from slapgrid.config import Config
from slapgrid.environment import clean_environment
from slapgrid.identity import Identity
from slapgrid.instance.reading import read_if_there
from slapgrid.layout import (
    PROMISE_CACHE_DIRECTORY,
    PROMISE_LOG_DIRECTORY,
    PROMISE_RESULT_DIRECTORY,
    PROMISE_STATE_DIRECTORY,
)
from slapgrid.platform import Platform
from slapgrid.promises.headers import read_plugin_path
from slapgrid.promises.jobs import (
    ANSWER_BYTES_MAX,
    PromiseJob,
    PromiseMode,
    PromiseRun,
    WantedPromise,
    decode_answers,
    describe_timeout,
    encode_job,
    next_job,
)
from slapgrid.promises.records import PromiseFile
from slapgrid.software.releases import describe_end
from slapgrid.together import all_of
from slapgrid.warm.servers import WarmServers
from slapgrid.warm.warmth import Warmth

#: At the same time on a computer: each is a process that mostly waits.
PARALLEL_MAX = 8
#: No job of a batch begins later: whatever else is to be done waits for the batch.
BATCH_SECONDS = 10.0
SHIM = "promise_shim"
STATE_MODE = 0o755
#: Plug-ins of some hundred partitions; what was read is read again when there are more.
PATHS_MAX = 4096
#: A plug-in is a page of text.
SOURCE_BYTES_MAX = 1024 * 1024


@frozen
class PromiseRound:
    """Promises of a partition to run now.

    ``warmth`` is what the instances of its release have in common; without one, as of a
    release without an interpreter, there are executables alone.
    """

    partition_id: str
    files: IFileTree
    identity: Identity
    warmth: Warmth | None
    promises: tuple[PromiseFile, ...]
    mode: PromiseMode


class PromiseRunner:
    """Runs promises of any partition."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        platform: Platform,
        warm: WarmServers | None = None,
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._platform = platform
        self._warm = warm
        self._paths: dict[tuple[str, float, int], tuple[str, ...] | None] = {}
        self._tickets = DeferredSemaphore(PARALLEL_MAX)

    async def run_batch(
        self, rounds: tuple[PromiseRound, ...]
    ) -> list[tuple[PromiseRun, ...] | None]:
        """Run some partitions' promises at the same time, in the order given.

        ``None`` for what did not begin in time.
        """
        until = self._runtime.clock.seconds() + BATCH_SECONDS
        batch: list[tuple[PromiseRun, ...] | None] = [None] * len(rounds)
        waiting = iter(enumerate(rounds))

        async def run_some() -> None:
            # A loop for each ticket: hundreds that wait for one, and have nothing to
            # do when they get it, would call each other deeper and deeper.
            for index, wanted in waiting:
                if self._runtime.clock.seconds() > until:
                    return
                batch[index] = await self._run_or_excuse(wanted)

        await all_of(run_some() for _ in range(PARALLEL_MAX))
        return batch

    async def run(self, wanted: PromiseRound) -> tuple[PromiseRun, ...]:
        """Run these, one after the other; their results are kept when this answers."""
        async with self._tickets:
            return await self._run(wanted)

    async def _run_or_excuse(self, wanted: PromiseRound) -> tuple[PromiseRun, ...]:
        try:
            return await self.run(wanted)
        except OSError as error:
            # One partition's disk or directory is no matter of the others.
            return tuple(
                PromiseRun(each.title, is_failed=False, unkept=str(error))
                for each in wanted.promises
            )

    async def _run(self, wanted: PromiseRound) -> tuple[PromiseRun, ...]:
        self._prepare(wanted)
        job: PromiseJob | None = PromiseJob(
            wanted.files.root,
            wanted.mode,
            self._config.promises.timeout_seconds,
            tuple(self._wanted(wanted.files, each) for each in wanted.promises),
            self._settings(wanted),
        )
        runs: list[PromiseRun] = []
        while job is not None and job.promises:
            token = f"{self._runtime.entropy.getrandbits(64):016x}:"
            ended = await self._run_program(wanted, job, token)
            answered = decode_answers(ended.output.decode(errors="replace"), token)
            runs += answered.runs
            job = next_job(job, answered, _describe(ended, job))
        return tuple(runs)

    def _prepare(self, wanted: PromiseRound) -> None:
        """Have the directories belong to whom the promises run as."""
        identity = wanted.identity
        for directory in (
            PROMISE_STATE_DIRECTORY,
            PROMISE_CACHE_DIRECTORY,
            PROMISE_LOG_DIRECTORY,
            PROMISE_RESULT_DIRECTORY,
        ):
            found = wanted.files.status(directory)
            if found is None:
                wanted.files.make_directory(directory, STATE_MODE)
            if identity.uid is not None and (
                found is None or (found.uid, found.gid) != (identity.uid, identity.gid)
            ):
                wanted.files.change(directory, uid=identity.uid, gid=identity.gid)

    async def _run_program(
        self, wanted: PromiseRound, job: PromiseJob, token: str
    ) -> Exit:
        """Warm when that can be: a runner imports more than it runs."""
        warmth = self._warmth(wanted.warmth, job)
        python = (self._platform.python, "-I") if warmth is None else warmth.python
        program = Program(
            (*python, self._platform.shim(SHIM), token, encode_job(job)),
            directory=wanted.files.root,
            environment=clean_environment(wanted.files.root),
            uid=wanted.identity.uid,
            gid=wanted.identity.gid,
            timeout_seconds=job.seconds_max,
            output_bytes_max=ANSWER_BYTES_MAX,
        )
        is_dying = any(each.death for each in job.promises)
        if warmth is None or self._warm is None or is_dying:
            return await self._runtime.processes.run(program)
        return await self._warm.run(warmth, program)

    def _warmth(self, warmth: Warmth | None, job: PromiseJob) -> Warmth | None:
        """The interpreter of the release, with the path of the first plug-in."""
        if warmth is None:
            return None
        paths = (each.sys_path for each in job.promises if each.file.is_plugin)
        return evolve(
            warmth,
            python=(warmth.python[0], "-I"),
            shim=self._platform.shim(SHIM),
            argument=json.dumps(next(paths, None)),
        )

    def _wanted(self, files: IFileTree, file: PromiseFile) -> WantedPromise:
        if not file.is_plugin:
            return WantedPromise(file)
        status = files.status(file.path)
        if status is None:
            return WantedPromise(file, sys_path=None)
        key = files.path(file.path), status.modified, status.size
        if key not in self._paths:
            if len(self._paths) >= PATHS_MAX:
                self._paths.clear()
            source = read_if_there(files, file.path, SOURCE_BYTES_MAX) or b""
            text = source.decode(errors="replace")
            self._paths[key] = read_plugin_path(text)
        return WantedPromise(file, sys_path=self._paths[key])

    def _settings(self, wanted: PromiseRound) -> dict[str, object]:
        """The configuration that stock promises expect, with no name more.

        The parameters of a promise must not have any of these names.
        """
        return {
            "partition-folder": wanted.files.root,
            "log-folder": wanted.files.path(PROMISE_LOG_DIRECTORY),
            "promise-timeout": self._config.promises.timeout_seconds,
            "debug": False,
            "master-url": self._config.master_urls[0],
            "partition-key": self._config.key_file,
            "partition-cert": self._config.cert_file,
            "partition-id": wanted.partition_id,
            "computer-id": self._config.computer_id,
            "slapgrid-version": "slapcluster",
        }


def unkept(runs: tuple[PromiseRun, ...]) -> str | None:
    """Why the results are not on disk, where everybody else looks for them."""
    reasons = [f"{run.title}: {run.unkept}" for run in runs if run.unkept]
    return f"no result of {'; '.join(reasons)}" if reasons else None


def _describe(ended: Exit, job: PromiseJob) -> str:
    if ended.is_timed_out:
        return describe_timeout(job.timeout_seconds)
    return describe_end("the promise", ended)
