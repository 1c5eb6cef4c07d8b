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

from slapcluster.play.places import Account, Identity, Record, Way, addresses_of

NEEDED_PROGRAMS = {
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
}
"""Programs of the system, and the Debian package that has each."""

NEEDED_BY_REGIONS = {"stunnel": "stunnel4"}
"""Besides those: the master finds it on each computer when it is built."""

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
        lines += [covering(path) for path in hidden]
    dies_with_parent = is_bound or record.way.is_apart
    program = (
        *unprivileged(
            record, record.account, ("--pdeathsig", "KILL") if dies_with_parent else ()
        ),
        *clean(record.place, environment),
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
    account: Account | None = None,
) -> tuple[str, ...]:
    """Run a program in the cloud, as its user or as another one of it.

    ``first_pid`` is the first process in there, as seen from outside.
    """
    who = account or record.account
    program = (*unprivileged(record, who), *clean(who.home, environment), *argv)
    if not record.way.is_apart:
        return program
    users = ("--user", "--preserve-credentials")
    return (
        *("nsenter", "--target", str(first_pid)),
        *(users if record.way is Way.USER_NAMESPACES else ()),
        *("--net", "--pid", "--mount", "--"),
        *program,
    )


def environment_of(record: Record, account: Account | None = None) -> dict[str, str]:
    """Return what programs of the cloud find in their environment, and nothing else."""
    home = account.home if account else record.place
    environment = {
        "HOME": f"{home}/home",
        "USER": "slapcluster",
        "LOGNAME": "slapcluster",
        "LANG": "C.UTF-8",
        "PATH": f"{record.place}/venv/bin:{SYSTEM_PATH}",
        "TMPDIR": f"{home}/tmp",  # noqa: S108 - in a directory of its own
    }
    if home != record.place:
        # A computer finds its masters in its settings.
        return environment
    if not record.computers:
        return {**environment, "SLAPCLUSTER_MASTER": record.master_url}
    if not record.replica_urls:
        return environment
    return {
        **environment,
        "SLAPCLUSTER_MASTER": " ".join(record.replica_urls),
        "SLAPCLUSTER_IDENTITY": record.operator_identity,
    }


def covering(path: str) -> str:
    """Return the line of a script that hides what is at a path."""
    return f"mount -t tmpfs -o size=4k,mode=0555 none {shlex.quote(path)}"


def unprivileged(
    record: Record, account: Account, options: Sequence[str] = ()
) -> tuple[str, ...]:
    """Become somebody of the cloud, without any right."""
    is_other = record.is_started_by_root
    identity = _identity_options(account.identity) if is_other else ()
    no_capabilities = ("--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs")
    return ("setpriv", *identity, *no_capabilities, *options, "--")


def _identity_options(identity: Identity) -> tuple[str, ...]:
    user = ("--reuid", str(identity.uid), "--regid", str(identity.gid))
    return (*user, "--clear-groups")


def clean(home: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """Run in a directory, with an environment and nothing else of it."""
    texts = (f"{name}={value}" for name, value in sorted(environment.items()))
    return ("env", "--ignore-environment", f"--chdir={home}", *texts)
