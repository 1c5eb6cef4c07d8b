"""A computer of a cloud, and its end: real agent, programs, addresses and devices.

``python -m tests.emulation.uninstall_driver PLACE`` runs in namespaces of an ordinary
user. It formats a computer, has an agent and a program of a partition run there,
uninstalls the cloud, and prints as JSON what there was before and afterwards.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path

from runtime.real import build_runtime, install_reactor
from slapgrid.layout import ProgramKind
from slapgrid.supervision.conf import ProgramDefinition, ProgramGroup
from slapgrid.supervision.port import ProgramKey
from slapgrid.supervision.supervisord import Supervisord, find_account
from tests.programs import eventually, run, running
from tests.reactor import ReactorBench
from tests.source_tree import TOP

NETWORK = ("ip link set lo up", "ip address add fd98:1::1/48 dev lo")
SLAPCLUSTER = str(TOP / "bin" / "slapcluster")
START_SECONDS = 30.0
PROGRAM = "#!/bin/sh\necho $$ > pid\nexec sleep 1000\n"


def addresses() -> list[str]:
    """Return the addresses and devices that there are."""
    links = json.loads(run(("ip", "-json", "address", "show")).stdout)
    return sorted(
        f"{link['ifname']} {it['local']}" if it else link["ifname"]
        for link in links
        for it in (None, *link.get("addr_info", ()))
    )


def write_settings(place: Path) -> Path:
    """Write the settings of a computer, and the files of those that it is beside."""
    identity = place / "etc" / "identity"
    identity.mkdir(parents=True)
    for name in ("own.key", "own.crt", "root.crt"):
        (identity / name).write_text(name)
    settings = place / "etc" / "slapos.cfg"
    settings.write_text(
        "[slapos]\ncomputer_id = COMP-1\nmaster_url = http://127.0.0.1:9/\n"
        f"key_file = {identity}/own.key\ncert_file = {identity}/own.crt\n"
        f"master_ca_file = {identity}/root.crt\n"
        f"software_root = {place}/opt\ninstance_root = {place}/srv\n"
        "pidfile_software =\npidfile_instance =\npidfile_report =\n"
        "[slapformat]\npartition_amount = 2\ninterface_name = lo\ncreate_tun = true\n"
    )
    cloud = place / "cloud.toml"
    command = json.dumps([SLAPCLUSTER])
    cloud.write_text(
        'name = "cloud"\n[mini-master]\nlisten = "[::1]:5443"\n'
        f'[computers.a]\nregion = "a"\ncommand = {command}\nsettings = "{settings}"\n'
        '[computers.b]\nregion = "b"\n[computers.c]\nregion = "c"\n'
    )
    home = place / "home"
    for name in ("logbook.json", "operator/own.key", "root/root.key", "root/root.crt"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("{}")
    return settings


def start_program(place: Path) -> int:
    """Have supervisord run a program of a partition; return its process."""
    partition = place / "srv" / "slappart0"
    script = partition / "etc" / "service" / "sleeper"
    script.parent.mkdir(parents=True)
    script.write_text(PROGRAM)
    script.chmod(0o755)
    reactor = install_reactor()
    runtime = build_runtime(reactor)
    supervision = Supervisord(runtime, runtime.file_tree(str(place / "srv")))
    account = find_account(os.getuid(), os.getgid())
    definition = ProgramDefinition("sleeper", ProgramKind.SERVICE)
    group = ProgramGroup("slappart0", str(partition), (definition,), account)

    async def start() -> None:
        await supervision.define((group,))
        await supervision.start((ProgramKey("slappart0", "sleeper"),))

    ReactorBench(reactor)(start())
    pid = partition / "pid"
    return int(eventually(pid.read_text, START_SECONDS, "it runs"))


def main(place: Path) -> None:
    for line in NETWORK:
        run(shlex.split(line))
    settings = write_settings(place)
    before = addresses()
    agent = (SLAPCLUSTER, "node", "--cfg", str(settings), "run")
    # The agent has formatted by then.
    supervised = place / "srv/sv.sock"
    words = ("uninstall", str(place / "cloud.toml"), "--home", str(place / "home"))
    with running(agent, place / "agent.log") as process:
        eventually(supervised.exists, START_SECONDS, "it works")
        formatted = addresses()
        program = start_program(place)
        begun = time.monotonic()  # noqa: TID251 - of this driver alone
        ended = run((SLAPCLUSTER, "--output", "json", *words, "--yes"))
        seconds = time.monotonic() - begun  # noqa: TID251
        agent_status = process.wait(START_SECONDS)
    seen = {
        "statuses": [ended.returncode, agent_status],
        "seconds": seconds,
        "said": ended.stderr,
        "answer": json.loads(ended.stdout or "{}"),
        "formatted": [it for it in formatted if it not in before],
        "is_program_there": Path(f"/proc/{program}").exists(),
        "left": sorted(
            str(it.relative_to(place)) for it in place.rglob("*") if it.is_file()
        ),
        "directories": sorted(str(it.relative_to(place)) for it in place.glob("*/")),
        "is_network_as_before": addresses() == before,
    }
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
