"""Running promises: bounded in time and output, some at the same time."""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from runtime.ports import Exit, IFileTree, Program, Runtime
from slapgrid.config import Config
from slapgrid.environment import clean_environment
from slapgrid.identity import Identity
from slapgrid.layout import (
    PLUGIN_DIRECTORY,
    PROMISE_CACHE_DIRECTORY,
    PROMISE_DIRECTORY,
    PROMISE_LOG_DIRECTORY,
    PROMISE_RESULT_DIRECTORY,
)
from slapgrid.platform import Platform
from slapgrid.promises.records import (
    LOG_BYTES_MAX,
    MESSAGE_CHARACTERS_MAX,
    PERIODICITY_MINUTES_DEFAULT,
    PromiseFile,
    PromiseRun,
    encode_cache,
    encode_log_line,
    encode_result,
)
from slapgrid.software.releases import describe_end

#: At the same time on a computer: each is a process that mostly waits.
PARALLEL_MAX = 8
#: Distinguishes runs of one second in the log.
TRANSACTIONS = (100, 999)


class PromiseRunner:
    """Runs promises of any partition."""

    def __init__(self, config: Config, runtime: Runtime, platform: Platform) -> None:
        self._config = config
        self._runtime = runtime
        self._platform = platform
        self._tickets = DeferredSemaphore(PARALLEL_MAX)

    async def run(
        self,
        partition_id: str,
        files: IFileTree,
        promises: tuple[PromiseFile, ...],
        identity: Identity,
        python: str,
    ) -> tuple[PromiseRun, ...]:
        """Run these and keep their results; in the order given."""
        for directory in (
            PROMISE_CACHE_DIRECTORY,
            PROMISE_LOG_DIRECTORY,
            PROMISE_RESULT_DIRECTORY,
        ):
            files.make_directory(directory, 0o755)
        if identity.uid is not None:
            # Stock plug-ins write their log themselves.
            files.change(PROMISE_LOG_DIRECTORY, uid=identity.uid, gid=identity.gid)
        runs: list[PromiseRun] = await gatherResults(
            [
                Deferred.fromCoroutine(
                    self._run(partition_id, files, promise, identity, python)
                )
                for promise in promises
            ],
            consumeErrors=True,
        )
        for run in runs:
            self._keep(files, run)
        return tuple(runs)

    async def _run(
        self,
        partition_id: str,
        files: IFileTree,
        promise: PromiseFile,
        identity: Identity,
        python: str,
    ) -> PromiseRun:
        token = f"{self._runtime.entropy.getrandbits(64):016x}:"
        argv: tuple[str, ...] = (files.path(promise.path),)
        if promise.is_plugin:
            settings = json.dumps(self._settings(partition_id, files, promise))
            shim = self._platform.shim("promise_shim")
            argv = (python, "-I", shim, files.path(promise.path), token, settings)
        async with self._tickets:
            begun = self._runtime.clock.seconds()
            ended = await self._runtime.processes.run(
                Program(
                    argv,
                    directory=files.root,
                    environment=clean_environment(files.root),
                    uid=identity.uid,
                    gid=identity.gid,
                    timeout_seconds=self._config.promises.timeout_seconds,
                )
            )
            took = self._runtime.clock.seconds() - begun
        status = files.status(promise.path)
        answer = _answer(ended, token) if promise.is_plugin else {}
        is_failed = bool(answer.get("failed", not ended.is_success))
        message = str(answer.get("message", _message(ended, token)))
        if ended.is_timed_out:
            limit = f"{self._config.promises.timeout_seconds:g}"
            is_failed, message = True, f"Error: Promise timed out after {limit} seconds"
        return PromiseRun(
            promise,
            is_failed=is_failed,
            message=message[-MESSAGE_CHARACTERS_MAX:],
            run_at=self._runtime.calendar.now(),
            execution_seconds=took,
            periodicity_minutes=_minutes(answer.get("periodicity")),
            is_tested=bool(answer.get("is_tested", True)),
            is_anomaly_detected=bool(answer.get("is_anomaly_detected", True)),
            module_modified_at=0.0 if status is None else status.modified,
        )

    def _settings(
        self, partition_id: str, files: IFileTree, promise: PromiseFile
    ) -> dict[str, object]:
        """The configuration that stock promises expect."""
        return {
            "name": promise.name,
            "path": files.path(promise.path),
            "partition-folder": files.root,
            "promise-folder": files.path(PLUGIN_DIRECTORY),
            "legacy-promise-folder": files.path(PROMISE_DIRECTORY),
            "log-folder": files.path(PROMISE_LOG_DIRECTORY),
            "promise-timeout": self._config.promises.timeout_seconds,
            "debug": False,
            "master-url": self._config.master_urls[0],
            "partition-key": self._config.key_file,
            "partition-cert": self._config.cert_file,
            "partition-id": partition_id,
            "computer-id": self._config.computer_id,
            "slapgrid-version": "slapcluster",
        }

    def _keep(self, files: IFileTree, run: PromiseRun) -> None:
        title = run.promise.title
        if not run.promise.is_plugin:
            log = f"{PROMISE_LOG_DIRECTORY}/{title}.log"
            try:
                earlier = files.read(log, 4 * LOG_BYTES_MAX)[-LOG_BYTES_MAX:]
            except OSError:
                earlier = b""
            transaction = self._runtime.entropy.randint(*TRANSACTIONS)
            files.write(log, earlier + encode_log_line(run, transaction))
        files.write(
            f"{PROMISE_RESULT_DIRECTORY}/{title}.status.json",
            encode_result(run, files.root),
        )
        # The cache says that the result is there: it comes last.
        files.write(f"{PROMISE_CACHE_DIRECTORY}/{title}", encode_cache(run, files.root))


def _answer(ended: Exit, token: str) -> dict[str, object]:
    """What a plug-in's run printed last; nothing when it died before."""
    _, found, rest = ended.output.decode(errors="replace").rpartition(token)
    if not found:
        return {"failed": True, "message": _message(ended, token)}
    try:
        answer = json.loads(rest.partition("\n")[0])
    except ValueError:
        return {"failed": True, "message": _message(ended, token)}
    assert isinstance(answer, dict), "the shim prints an object"
    return answer


def _message(ended: Exit, token: str) -> str:
    output = ended.output.decode(errors="replace").replace(token, "").strip()
    if ended.is_success or output:
        return output
    return describe_end("the promise", ended)


def _minutes(value: object) -> float:
    if isinstance(value, (int, float)) and value > 0:
        return float(value)
    return PERIODICITY_MINUTES_DEFAULT
