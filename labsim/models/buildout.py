"""buildout without buildout: behaviours for the programs that an agent runs.

A build takes its time and leaves a template; an installation writes the programs and
promises of a partition. A run that is killed leaves what it had written.
"""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_letters

from attrs import frozen

from labsim.world.host import Host, Process
from runtime.ports import Exit, Program
from slapgrid.layout import (
    BUILDOUT_CFG,
    BUILDOUT_SCRIPT,
    INSTANCE_TEMPLATES,
    PROMISE_DIRECTORY,
    SERVICE_DIRECTORY,
)
from slapgrid.platform import Platform
from slapgrid.supervision.conf import Account

INTERPRETER = "/usr/bin/python3"
TEMPLATE = b"[buildout]\nparts =\n"
SHIMS = "/usr/lib/slapgrid"
FIRST_UID = 1000
SYNCHRONISATION_SECONDS = 0.05


def _never(_: str) -> bool:
    return False


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
    instance gets one program that lasts and, if it has any, one promise, which holds
    unless ``breaks`` says so.
    """

    build_seconds: float | Callable[[str], float] = 30.0
    install_seconds: float = 1.0
    promise_seconds: float = 0.1
    fails: Callable[[str], bool] = _never
    breaks: Callable[[str], bool] = _never
    has_promises: bool = True

    def add_to(self, host: Host) -> None:
        """Give the host these behaviours."""
        host.add_behaviour(_runs("bootstrap_shim"), self._bootstrap)
        host.add_behaviour(_runs("buildout_shim"), self._buildout)
        host.add_behaviour(lambda program: program.argv[0] == "sync", _synchronise)
        host.add_behaviour(_stands_in(SERVICE_DIRECTORY), self._serve)
        host.add_behaviour(_stands_in(PROMISE_DIRECTORY), self._prove)

    async def _bootstrap(self, program: Program, process: Process) -> Exit:
        await process.sleep(self.install_seconds)
        files = process.host.pending_files(program.directory)
        files.make_directory("bin")
        files.write(BUILDOUT_SCRIPT, f"#!{INTERPRETER}\n".encode(), 0o755)
        return Exit(0)

    async def _buildout(self, program: Program, process: Process) -> Exit:
        is_build = "-N" in program.argv
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
        files.write(f"{SERVICE_DIRECTORY}/server", b"#!/bin/sh\n", 0o755)
        if self.has_promises:
            files.make_directory(PROMISE_DIRECTORY)
            files.write(f"{PROMISE_DIRECTORY}/alive", b"#!/bin/sh\n", 0o755)
        return Exit(0, output=b"Installing server.\n")

    async def _serve(self, program: Program, process: Process) -> Exit:
        del program
        while True:
            await process.sleep(86400)

    async def _prove(self, program: Program, process: Process) -> Exit:
        await process.sleep(self.promise_seconds)
        if self.breaks(program.directory):
            return Exit(1, output=b"it is not alive\n")
        return Exit(0)


async def _synchronise(program: Program, process: Process) -> Exit:
    del program
    await process.sleep(SYNCHRONISATION_SECONDS)
    process.host.disk.synchronise_all()
    return Exit(0)


def _runs(shim: str) -> Callable[[Program], bool]:
    return lambda program: f"{SHIMS}/{shim}.py" in program.argv


def _stands_in(directory: str) -> Callable[[Program], bool]:
    return lambda program: f"/{directory}/" in program.argv[0]
