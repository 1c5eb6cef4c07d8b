"""Core. The command lines that open a cloud of play and enter it.

Theory of operation. ``unshare`` stays outside as the parent of the first process of new
namespaces (network, processes, mounts; as an ordinary user also users). In there a
script of the shell raises ``lo``, adds the addresses and covers what must not be seen,
then becomes supervisord as an unprivileged user without capabilities. As pid 1 it reaps
orphans, and the kernel kills everything in there when it ends.

When ``unshare`` dies, pid 1 gets SIGKILL (``--kill-child``; a change of user forgets
that wish, so ``setpriv`` renews it). When the driver of the demo dies, ``unshare`` gets
SIGKILL (``bound_to_driver``). So nothing outlives a killed demo.

Without namespaces SIGKILL of the driver ends supervisord alone: what it started runs
until ``play stop``, or the next demo, finds it by its user or by the name of the place.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from slapcluster.play.places import Identity, Record, Way, addresses_of

NEEDED_PROGRAMS = {
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
}
"""Programs of the system, and the Debian package that has each."""

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def bound_to_driver(argv: Sequence[str]) -> tuple[str, ...]:
    """Run a program that is killed when the process that started it dies."""
    return ("setpriv", "--pdeathsig", "KILL", "--", *argv)


def opening(way: Way, script: str) -> tuple[str, ...]:
    """Run a script of the shell as the first process of the cloud."""
    shell = ("/bin/sh", "-c", script)
    if not way.is_apart:
        return shell
    users = ("--user", "--map-current-user", "--keep-caps")
    return (
        "unshare",
        *(users if way is Way.USER_NAMESPACES else ()),
        *("--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"),
        "--",
        *shell,
    )


def first_script(
    record: Record,
    hidden: Sequence[str],
    environment: Mapping[str, str],
    argv: Sequence[str],
    *,
    is_bound: bool,
) -> str:
    """Return the script that prepares the namespaces and becomes ``argv``."""
    lines = ["set -e"]
    if record.way.is_apart:
        lines += ["ip link set lo up"]
        # Without duplicate address detection, which lo never ends.
        lines += [
            f"ip -6 address add {address}/64 dev lo nodad"
            for address in addresses_of(record.network)
        ]
        lines += [
            f"mount -t tmpfs -o size=4k,mode=0555 none {shlex.quote(path)}"
            for path in hidden
        ]
    dies_with_parent = is_bound or record.way.is_apart
    program = (
        *_unprivileged(record, ("--pdeathsig", "KILL") if dies_with_parent else ()),
        *_clean(record.place, environment),
        *argv,
    )
    lines += ["exec " + shlex.join(program)]
    return "\n".join(lines)


def trial_script() -> str:
    """Return what shows that the namespaces of ``first_script`` are allowed."""
    return (
        "ip link set lo up && ip -6 address add fd00::1/64 dev lo nodad && "
        "mount -t tmpfs -o size=4k none /mnt"
    )


def entering(
    record: Record,
    first_pid: int,
    environment: Mapping[str, str],
    argv: Sequence[str],
) -> tuple[str, ...]:
    """Run a program in the cloud, as its user; ``first_pid`` as seen from outside."""
    program = (
        *_unprivileged(record, ()),
        *_clean(record.place, environment),
        *argv,
    )
    if not record.way.is_apart:
        return program
    users = ("--user", "--preserve-credentials")
    return (
        *("nsenter", "--target", str(first_pid)),
        *(users if record.way is Way.USER_NAMESPACES else ()),
        *("--net", "--pid", "--mount", "--"),
        *program,
    )


def environment_of(record: Record) -> dict[str, str]:
    """Return what programs of the cloud find in their environment, and nothing else."""
    return {
        "HOME": f"{record.place}/home",
        "USER": "slapcluster",
        "LOGNAME": "slapcluster",
        "LANG": "C.UTF-8",
        "PATH": f"{record.place}/venv/bin:{SYSTEM_PATH}",
        "TMPDIR": f"{record.place}/tmp",  # noqa: S108 - in a directory of its own
        "SLAPCLUSTER_MASTER": record.master_url,
    }


def _unprivileged(record: Record, options: Sequence[str]) -> tuple[str, ...]:
    identity = _identity_options(record.identity) if record.is_started_by_root else ()
    no_capabilities = ("--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs")
    return ("setpriv", *identity, *no_capabilities, *options, "--")


def _identity_options(identity: Identity) -> tuple[str, ...]:
    user = ("--reuid", str(identity.uid), "--regid", str(identity.gid))
    return (*user, "--clear-groups")


def _clean(place: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    texts = (f"{name}={value}" for name, value in sorted(environment.items()))
    return ("env", "--ignore-environment", f"--chdir={place}", *texts)
