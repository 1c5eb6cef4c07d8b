"""buildout without buildout: behaviours for the programs that an agent runs.

A build takes its time and leaves a template; an installation writes the programs and
promises of a partition. A run that is killed leaves what it had written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from string import ascii_letters
from typing import Any, Protocol

from attrs import frozen

from labsim.world.host import Host, Process
from runtime.ports import Exit, IFileTree, Program
from slapgrid.layout import (
    BUILDOUT_CFG,
    BUILDOUT_SCRIPT,
    INSTANCE_TEMPLATES,
    PLUGIN_DIRECTORY,
    PROMISE_CACHE_DIRECTORY,
    PROMISE_DIRECTORY,
    PROMISE_LOG_DIRECTORY,
    PROMISE_RESULT_DIRECTORY,
    SERVICE_DIRECTORY,
)
from slapgrid.platform import Platform
from slapgrid.shims import promise_keeping as keeping
from slapgrid.supervision.conf import Account

INTERPRETER = "/usr/bin/python3"
TEMPLATE = b"[buildout]\nparts =\n"
SHIMS = "/usr/lib/slapgrid"
FIRST_UID = 1000
SERVER = f"{SERVICE_DIRECTORY}/server"
SYNCHRONISATION_SECONDS = 0.05
#: What a promise that breaks says.
BREAKAGE = "it is not alive"


NOT_FOUND = 127
"""The status of a shell that finds no such program."""


def _never(_: str) -> bool:
    return False


def _sign_nothing(_: Process, __: str, *, is_free: bool) -> str:
    del is_free
    return ""


def _notice_nothing(_: Process, __: str, ___: str) -> None:
    """Nobody wants to know."""


class Sign(Protocol):
    """Says what the programs of an installation that begins are to be known by.

    ``is_free``: neither a program nor the file of one is in the directory.
    """

    def __call__(
        self, process: Process, directory: str, /, *, is_free: bool
    ) -> str: ...


def simulated_platform() -> Platform:
    """The platform of an agent that root runs; ``format`` gives partitions to users."""
    return Platform(
        uid=0,
        gid=0,
        python=INTERPRETER,
        shim_directory=SHIMS,
        find_account=lambda uid, gid: Account(uid, gid, f"user{uid}"),
        find_user=_find_user,
    )


def _find_user(name: str) -> Account:
    number = name.lstrip(ascii_letters)
    uid = FIRST_UID + (int(number) + 1 if number else 0)
    return Account(uid, uid, name)


@frozen
class BuildoutModel:
    """What builds and installations do on a host.

    ``fails`` is asked with the directory of each run, as ``build_seconds`` may be. Each
    instance gets one program that lasts and, if it has any, one promise, an executable
    unless ``has_plugin``, which holds unless ``breaks`` says so.

    ``sign`` is asked when an installation begins, and ``notice`` told, with what it
    said then, when a program begins.
    """

    build_seconds: float | Callable[[str], float] = 30.0
    install_seconds: float = 1.0
    promise_seconds: float = 0.1
    fails: Callable[[str], bool] = _never
    breaks: Callable[[str], bool] = _never
    has_promises: bool = True
    has_plugin: bool = False
    sign: Sign = _sign_nothing
    notice: Callable[[Process, str, str], None] = _notice_nothing

    def add_to(self, host: Host) -> None:
        """Give the host these behaviours."""
        host.add_behaviour(_runs("bootstrap_shim"), self._bootstrap)
        host.add_behaviour(_runs("buildout_shim"), self._buildout)
        host.add_behaviour(lambda program: program.argv[0] == "sync", _synchronise)
        host.add_behaviour(_stands_in(SERVICE_DIRECTORY), self._serve)
        host.add_behaviour(_runs("promise_shim"), self._prove)

    async def _bootstrap(self, program: Program, process: Process) -> Exit:
        await process.sleep(self.install_seconds)
        files = process.host.pending_files(program.directory)
        files.make_directory("bin")
        files.write(BUILDOUT_SCRIPT, f"#!{INTERPRETER}\n".encode(), 0o755)
        return Exit(0)

    async def _buildout(self, program: Program, process: Process) -> Exit:
        is_build = "-N" in program.argv
        if not is_build:
            signature = self._sign(program.directory, process)
        files = process.host.pending_files(program.directory)
        assert files.status(BUILDOUT_CFG) is not None, "the agent writes it first"
        build_seconds = self.build_seconds
        if callable(build_seconds):
            build_seconds = build_seconds(program.directory)
        await process.sleep(build_seconds if is_build else self.install_seconds)
        if self.fails(program.directory):
            return Exit(1, output=b"Installing server.\nthe disc is round\n")
        if is_build:
            files.write(INSTANCE_TEMPLATES[0], TEMPLATE)
            return Exit(0, output=b"Installing instance.\n")
        files.make_directory(SERVICE_DIRECTORY)
        files.write(SERVER, f"#!/bin/sh\n{signature}".encode(), 0o755)
        if self.has_promises:
            directory = PLUGIN_DIRECTORY if self.has_plugin else PROMISE_DIRECTORY
            files.make_directory(directory)
            name = "alive.py" if self.has_plugin else "alive"
            files.write(f"{directory}/{name}", b"#!/bin/sh\n", 0o755)
        return Exit(0, output=b"Installing server.\n")

    def _sign(self, directory: str, process: Process) -> str:
        files = process.host.pending_files(directory)
        running = any(
            it.argv[0] == files.path(SERVER) for it in process.host.running_programs
        )
        is_free = files.status(SERVER) is None and not running
        return self.sign(process, directory, is_free=is_free)

    async def _serve(self, program: Program, process: Process) -> Exit:
        files = process.host.pending_files("/")
        if files.status(program.argv[0].lstrip("/")) is None:
            return Exit(NOT_FOUND, output=b"it is not there\n")
        with suppress(OSError, UnicodeDecodeError):
            content = process.host.pending_files(program.directory).read(SERVER)
            self.notice(process, program.directory, content.decode().split("\n")[1])
        while True:
            await process.sleep(86400)

    async def _prove(self, program: Program, process: Process) -> Exit:
        """A job of promises: each takes its time, is kept, and is answered."""
        *_, token, document = program.argv
        job = json.loads(document)
        files = process.host.pending_files(program.directory)
        answers = ""
        for wanted in job["promises"]:
            begun_at = process.host.calendar.now()
            await process.sleep(self.promise_seconds)
            breaks = self.breaks(program.directory)
            run = _judge(files, wanted, job["kind"], begun_at, is_broken=breaks)
            result = f"{PROMISE_RESULT_DIRECTORY}/{run.title}.status.json"
            files.write(result, keeping.encode_result(run).encode())
            cache = f"{PROMISE_CACHE_DIRECTORY}/{run.title}"
            files.write(cache, keeping.encode_cache(run).encode())
            answer = {
                "title": run.title,
                "failed": run.is_failed,
                "message": run.message,
                "unkept": "",
            }
            answers += f"\n{token}{json.dumps(answer)}\n"
        return Exit(0, output=answers.encode())


def _judge(
    files: IFileTree,
    wanted: dict[str, Any],
    kind: str,
    begun_at: float,
    *,
    is_broken: bool,
) -> keeping.Run:
    is_failed = is_broken
    if not wanted["is_plugin"]:
        log = f"{PROMISE_LOG_DIRECTORY}/{wanted['title']}.log"
        before = b"" if files.status(log) is None else files.read(log)
        transaction = f"{int(begun_at)}-100"
        line = keeping.encode_log_line(
            begun_at, transaction, failed=is_broken, message=BREAKAGE
        )
        files.write(log, before + line.encode())
        if kind == keeping.ANOMALY:
            row = keeping.failures_in_a_row(files.read(log))
            is_failed = row >= keeping.EXECUTABLE_FAILURES_MIN
        kind = keeping.TEST
    return keeping.Run(
        wanted["name"],
        wanted["title"],
        wanted["path"],
        kind,
        is_failed,
        BREAKAGE if is_broken else "",
        begun_at,
        0.0,
    )


async def _synchronise(program: Program, process: Process) -> Exit:
    del program
    await process.sleep(SYNCHRONISATION_SECONDS)
    process.host.disk.synchronise_all()
    return Exit(0)


def _runs(shim: str) -> Callable[[Program], bool]:
    return lambda program: f"{SHIMS}/{shim}.py" in program.argv


def _stands_in(directory: str) -> Callable[[Program], bool]:
    return lambda program: f"/{directory}/" in program.argv[0]
