"""Shell. Looks at the machine and chooses how a cloud of play lives on it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sys

from runtime.ports import Exit, Program, Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.play import confinement, namespaces, places
from slapcluster.play.checkouts import Checkout
from slapcluster.play.places import Identity, Record, Way

PYTHON_CHECK = (
    "import sys, venv, ssl, zlib; print('cp%d%d' % sys.version_info[:2], end='')"
)

TRIAL_SECONDS_MAX = 20
"""To open an empty namespace, or to start an interpreter, on a loaded machine."""

MASTER_PORT = 5000
"""Where a mini-master listens by default; free in a network of its own."""


def check_programs() -> None:
    """Raise when programs of the system are missing, naming their packages."""
    missing = sorted(
        {
            package
            for program, package in confinement.NEEDED_PROGRAMS.items()
            if shutil.which(program, path=confinement.SYSTEM_PATH) is None
        }
    )
    if missing:
        raise CommandFailed(
            "System packages are missing; please run: sudo apt-get install "
            + " ".join(missing)
        )


async def choose_record(runtime: Runtime, *, is_apart: bool) -> Record:
    """Return a place, a user and a way that this machine allows."""
    is_root = os.geteuid() == 0
    if is_root:
        taken = namespaces.users_with_processes() | _known_users()
        identity = places.choose_identity(taken, runtime.entropy.getrandbits(16))
    else:
        identity = Identity(os.geteuid(), os.getegid())
    way = Way.ROOT_NAMESPACES if is_root else Way.USER_NAMESPACES
    if not is_apart or not await _is_allowed(runtime, way):
        way = Way.NONE
    parent = places.choose_parent(_parent(path) for path in ("/tmp", "/var/tmp"))  # noqa: S108 - the name below it is drawn, and made by nobody else
    return Record(
        place=places.choose_place(parent, runtime.entropy),
        identity=identity,
        is_started_by_root=is_root,
        way=way,
        network=places.choose_network(runtime.entropy) if way.is_apart else "",
        master_port=MASTER_PORT if way.is_apart else _free_port(),
    )


async def choose_python(runtime: Runtime, checkout: Checkout, record: Record) -> str:
    """Return an interpreter that the user of the cloud can run, fit for the wheels."""
    abi = places.wheels_abi(checkout.wheel_names())
    version = f"3.{abi.removeprefix('cp3')}" if abi else "3"
    for python in places.python_candidates(version, sys.base_prefix):
        argv = (python, "-I", "-c", PYTHON_CHECK)
        ended = await run_as_user(runtime, record, argv, "/", TRIAL_SECONDS_MAX)
        if ended.is_success and abi in {None, ended.output.decode()}:
            return python
    raise CommandFailed(
        f"No Python {version} that user {record.identity.uid} can run; the one of "
        f"this checkout is below {sys.base_prefix}. Install one for everybody "
        f"(apt-get install python{version}), then `make clean` and repeat."
    )


async def run_as_user(
    runtime: Runtime,
    record: Record,
    argv: tuple[str, ...],
    directory: str,
    timeout_seconds: float,
) -> Exit:
    """Run as the user of the cloud, outside it; it dies with this process."""
    is_other = record.is_started_by_root
    return await runtime.processes.run(
        Program(
            confinement.bound_to_driver(argv),
            directory=directory,
            environment=confinement.environment_of(record),
            umask=0o022,
            uid=record.identity.uid if is_other else None,
            gid=record.identity.gid if is_other else None,
            timeout_seconds=timeout_seconds,
        )
    )


async def _is_allowed(runtime: Runtime, way: Way) -> bool:
    ended = await runtime.processes.run(
        Program(
            confinement.opening(way, confinement.trial_script()),
            directory="/",
            environment={"PATH": confinement.SYSTEM_PATH},
            timeout_seconds=TRIAL_SECONDS_MAX,
        )
    )
    return ended.is_success


def _known_users() -> frozenset[int]:
    return frozenset(entry.pw_uid for entry in pwd.getpwall())


def _parent(path: str) -> places.Parent:
    filesystem = os.statvfs(path)
    return places.Parent(
        path,
        is_executable=not filesystem.f_flag & os.ST_NOEXEC,
        free_bytes=filesystem.f_bavail * filesystem.f_frsize,
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
