"""Shell. Looks at the machine and chooses how a cloud of play lives on it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sys
from collections.abc import Sequence

from runtime.ports import Exit, Program, Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.play import confinement, namespaces, places, power
from slapcluster.play.checkouts import Checkout
from slapcluster.play.places import Identity, Record, Way

PYTHON_CHECK = (
    "import sys, venv, ssl, zlib; print('cp%d%d' % sys.version_info[:2], end='')"
)

TRIAL_SECONDS_MAX = 20
"""To open an empty namespace, or to start an interpreter, on a loaded machine."""

MASTER_PORT = 5000
"""Where a mini-master listens by default; free in a network of its own."""


def check_programs(*, has_regions: bool = False) -> None:
    """Raise when programs of the system are missing, naming their packages."""
    more = confinement.NEEDED_BY_REGIONS if has_regions else {}
    missing = sorted(
        {
            package
            for program, package in (confinement.NEEDED_PROGRAMS | more).items()
            if shutil.which(program, path=confinement.SYSTEM_PATH) is None
        }
    )
    if missing:
        raise CommandFailed(
            "System packages are missing; please run: sudo apt-get install "
            + " ".join(missing)
        )


async def choose_record(
    runtime: Runtime,
    *,
    is_apart: bool,
    regions: Sequence[str] = (),
) -> Record:
    """Return a place, users and a way that this machine allows.

    Computers of regions have a user each when there is a choice.
    """
    is_root = os.geteuid() == 0
    identity, *others = _choose_identities(runtime, 1 + len(regions), is_root=is_root)
    way = _best_way()
    if not is_apart or not await _is_allowed(runtime, way, confinement.trial_script()):
        way = Way.NONE
    parent = places.choose_parent(_parent(path) for path in ("/tmp", "/var/tmp"))  # noqa: S108 - the name below it is drawn, and made by nobody else
    return Record(
        place=places.choose_place(parent, runtime.entropy),
        identity=identity,
        is_started_by_root=is_root,
        way=way,
        network=places.choose_network(runtime.entropy) if way.is_apart else "",
        master_port=MASTER_PORT if way.is_apart else _free_port(),
        computers=dict(zip(regions, others, strict=True)),
    )


async def allows_regions(runtime: Runtime) -> bool:
    """Tell whether computers of one cloud can each have a network of their own here."""
    check_programs(has_regions=True)
    return await _is_allowed(runtime, _best_way(), power.trial_script())


def _best_way() -> Way:
    return Way.ROOT_NAMESPACES if os.geteuid() == 0 else Way.USER_NAMESPACES


def _choose_identities(
    runtime: Runtime, count: int, *, is_root: bool
) -> tuple[Identity, ...]:
    if not is_root:
        return (Identity(os.geteuid(), os.getegid()),) * count
    taken = set(namespaces.users_with_processes() | _known_users())
    found: list[Identity] = []
    while len(found) < count:
        found.append(places.choose_identity(taken, runtime.entropy.getrandbits(16)))
        taken.add(found[-1].uid)
    return tuple(found)


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


async def _is_allowed(runtime: Runtime, way: Way, script: str) -> bool:
    ended = await runtime.processes.run(
        Program(
            confinement.opening(way, script),
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
