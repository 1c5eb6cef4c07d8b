"""Three regions, each with a replica of the master that others reach by TLS alone.

The store is real NEO, whose regions reach each other through real stunnel
(``tests.neo_port.three_regions``). Agents and persons are programs of their region.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess  # noqa: TID251 - programs of these networks
from pathlib import Path

from attrs import asdict, define, field

from slap.identities import Identity, Role
from tests import programs
from tests.certificates import Issued, a_region, a_root
from tests.neo_port.three_regions import (
    NAME,
    NEO_MASTER_PORT,
    REGIONS,
    STORAGE_PORT,
    ThreeRegions,
    announced,
    inside,
)
from tests.replicas.callers import Task
from tests.replicas.identities import identity_home, write_identities
from tests.source_tree import TOP

WEB_PORT = 4430
READY_SECONDS_MAX = 30
SLAPCLUSTER = str(TOP / "bin" / "slapcluster")
CALLERS = (str(TOP / ".venv" / "bin" / "python"), "-m", "tests.replicas.callers")


@define
class ThreeReplicas:
    """Replicas and their callers; ended with the stack of the regions."""

    regions: ThreeRegions
    root: Issued = field(factory=a_root, init=False)
    replicas: dict[int, subprocess.Popen[bytes]] = field(factory=dict, init=False)
    callers: dict[int, list[subprocess.Popen[bytes]]] = field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        for region in REGIONS:
            authority = a_region(self.root, f"region {region}")
            identity = Identity(Role.REPLICA, replica_name(region))
            write_identities(self.regions.home, self.root, authority, identity)
            self.start_replica(region)
        for region in REGIONS:
            self.wait_for(region)

    def start_replica(self, region: int) -> None:
        argv = replica_arguments(
            self.regions.home,
            replica_name(region),
            self.store_uri(region),
            f"fd00:{region}::1",
            WEB_PORT,
        )
        log = self.regions.home / f"replica-{region}.log"
        self.replicas[region] = self.regions.stack.enter_context(
            programs.running(inside(region, argv), log)
        )

    def wait_for(self, region: int) -> None:
        argv = inside(
            region, ("sh", "-c", f"ss -Hltn 'sport = :{WEB_PORT}' | grep -q .")
        )
        programs.eventually(
            lambda: programs.run(argv).returncode == 0,
            READY_SECONDS_MAX,
            f"the replica of region {region} listens",
        )

    def start_callers(self, region: int, task: Task) -> Path:
        """Begin what a task says in a region; return where its lines are."""
        running = self.callers.setdefault(region, [])
        name = f"callers-{region}-{len(list(self.regions.home.glob('callers-*.json')))}"
        file = self.regions.home / f"{name}.json"
        file.write_text(json.dumps(asdict(task)))
        log = self.regions.home / f"{name}.log"
        running.append(
            self.regions.stack.enter_context(
                programs.running(inside(region, (*CALLERS, str(file))), log)
            )
        )
        return log

    def kill_region(self, region: int) -> None:
        """Everything that runs in it, at once, as when its power goes."""
        doomed = (*self.regions.programs_of(region), self.replicas[region])
        for program in (*doomed, *self.callers.pop(region, ())):
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()

    def start_region(self, region: int) -> None:
        """Everything but its callers, after it was killed."""
        self.regions.start_tunnel(region)
        self.regions.start_neo_master(region)
        self.regions.start_storage(region)
        self.regions.start_admin_node(region)
        self.start_replica(region)

    def url(self, region: int) -> str:
        return f"https://[fd00:{region}::1]:{WEB_PORT}/"

    def store_uri(self, region: int) -> str:
        neo_masters = ",".join(announced(it, NEO_MASTER_PORT) for it in REGIONS)
        reached = self.regions.reached[region]
        translated = ",".join(f"{known}={it}" for known, it in reached.items())
        near = announced(region, STORAGE_PORT)
        return f"neo:{NAME}@{neo_masters}?near={near}&translate={translated}"

    def add_identities(self, *identities: Identity) -> None:
        authority = a_region(self.root)
        write_identities(self.regions.home, self.root, authority, *identities)


def replica_name(region: int) -> str:
    return f"region-{region}"


def replica_arguments(
    place: Path, name: str, store_uri: str, host: str, port: int
) -> tuple[str, ...]:
    """What begins a replica, whose identity is below a place."""
    home = str(identity_home(place, name))
    return (
        *(SLAPCLUSTER, "master", "--store", store_uri),
        *("--listen", f"[{host}]:{port}", "--identity", home),
        *("--documents", f"{home}-documents"),
        *("--announce", f"https://[{host}]:{port}/", name),
    )
