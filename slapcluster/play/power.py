"""Core. The network and the power of the computers of a cloud of play.

Theory of operation. The first process of the cloud is a script that keeps a bridge, and
for each computer a loop. While there is a file with the name of its region in the
directory ``power`` the computer runs: in a network of its own, joined to the bridge by
a cable, with processes and mounts of its own, so that it sees neither the others nor
their files. When the file goes its cable is pulled and its first process killed, and
with that the kernel kills all others: nobody hears a word of it. Then, and not before,
``REGION.on`` goes as well.

The computer dies with the first process of the cloud, by the same wish as that one dies
with its driver (``confinement``).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from slapcluster.play import computers
from slapcluster.play.confinement import (
    clean,
    covering,
    environment_of,
    unprivileged,
)
from slapcluster.play.places import Record

DIRECTORY = "power"
"""Below the place, of whoever opened the cloud."""

LOOK_SECONDS = 0.1
"""Between two looks of a loop: as exact as an instant of a death is known."""

BRIDGE = "cloud"


def switch_path(record: Record, region: str) -> str:
    """Return the file that is there while a computer is to have power."""
    return f"{record.place}/{DIRECTORY}/{region}"


def lamp_path(record: Record, region: str) -> str:
    """Return the file that is there while something of a computer may run."""
    return f"{switch_path(record, region)}.on"


def first_script(record: Record, hidden: Sequence[str]) -> str:
    """Return the script of the first process of the cloud."""
    address = computers.with_prefix(computers.operator_address(record))
    lines = [
        "set -e",
        "ip link set lo up",
        f"ip link add {BRIDGE} type bridge",
        f"ip link set {BRIDGE} up",
        f"ip -6 address add {address} dev {BRIDGE} nodad",
        *(covering(path) for path in hidden),
        *(_loop(record, region) for region in record.computers),
        # As the first process it buries those of others too.
        "while :; do wait; sleep 1; done",
    ]
    return "\n".join(lines)


def trial_script() -> str:
    """Return what shows that the namespaces of ``first_script`` are allowed."""
    inner = shlex.join(("sh", "-c", "mount -t tmpfs -o size=4k none /mnt"))
    cable = (
        "ip link add eth0 type veth peer name trial netns 1 && "
        f"nsenter --target 1 --net ip link set trial master {BRIDGE} up && "
        f"unshare --pid --mount --fork --kill-child --mount-proc -- {inner}"
    )
    return (
        f"ip link add {BRIDGE} type bridge && ip link set {BRIDGE} up && "
        f"unshare --net -- {shlex.join(('sh', '-c', cable))}"
    )


def _loop(record: Record, region: str) -> str:
    """Return the loop that a computer runs in while it has power."""
    switch, lamp = switch_path(record, region), lamp_path(record, region)
    starting = shlex.join(
        ("unshare", "--net", "--", "/bin/sh", "-c", _computer(record, region))
    )
    # The end of the first process waits for that of all others in there, and `unshare`
    # for that one; `unshare` alone could end before them.
    return f"""\
(
  set +e
  while :; do
    until [ -e {switch} ]; do sleep {LOOK_SECONDS}; done
    : > {lamp}
    {starting} &
    outer=$!
    while [ -e {switch} ] && kill -0 $outer 2> /dev/null; do
      sleep {LOOK_SECONDS}
    done
    ip link set {region} down
    first=$(cat /proc/$outer/task/$outer/children 2> /dev/null)
    kill -9 ${{first:-$outer}} 2> /dev/null
    wait $outer
    ip link delete {region} 2> /dev/null
    rm -f {lamp}
  done
) &"""


def _computer(record: Record, region: str) -> str:
    """Return the script that lays the cable and starts a computer."""
    account = record.account_of(region)
    configuration = f"{account.home}/etc/supervisord.conf"
    supervisord = f"{record.place}/venv/bin/supervisord"
    others = [f"{record.place}/{it}" for it in record.computers if it != region]
    program = (
        *unprivileged(record, account, ("--pdeathsig", "KILL")),
        *clean(account.home, environment_of(record, account)),
        *(supervisord, "--nodaemon", "-c", configuration),
    )
    inside = "\n".join(
        (
            "set -e",
            *(covering(it) for it in (*others, f"{record.place}/home")),
            f"exec {shlex.join(program)}",
        )
    )
    apart = ("--pid", "--mount", "--fork", "--kill-child", "--mount-proc")
    return "\n".join(
        (
            "set -e",
            # The bridge is where the first process of the cloud is.
            f"ip link add eth0 type veth peer name {region} netns 1",
            f"nsenter --target 1 --net ip link set {region} master {BRIDGE} up",
            "ip link set lo up",
            "ip link set eth0 up",
            *(
                f"ip -6 address add {computers.with_prefix(it)} dev eth0 nodad"
                for it in computers.addresses_of(record, region)
            ),
            f"exec {shlex.join(('unshare', *apart, '--', '/bin/sh', '-c', inside))}",
        )
    )
