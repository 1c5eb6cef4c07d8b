"""A master and fifty agents: production code in one process, without sleeping."""

from __future__ import annotations

import subprocess  # noqa: TID251 - a hash seed is set when an interpreter starts
import sys

from labsim.models.buildout import BuildoutModel
from labsim.world.world import World
from slap import calls
from slap.model import InstanceRequest, PartitionKey, SoftwareInstallation
from slap.reports import TreeReport
from tests.simulation.computers import Cloud

URL = "http://releases.example/software.cfg"
AGENT_COUNT = 50
SECONDS_MAX = 400.0
"""A build of a minute, a poll of a minute, both twice, and the cut."""


def run_cloud(seed: int, agent_count: int) -> tuple[str, dict[str, PartitionKey]]:
    """One instance requested for each computer while the master is cut off from half.

    The digest of the trace, and where each instance is: all are started by then.
    """
    world = World(seed)
    cloud = Cloud(world)
    cloud.boot_master()
    cloud.add_computers(agent_count, BuildoutModel())
    computers = cloud.computers
    severed = computers[::2]
    for computer in severed:
        world.sever("master", computer.host.name)
    for computer in computers:
        name = computer.host.name
        cloud.perform(calls.supply(SoftwareInstallation(URL, name)))
        wanted = InstanceRequest(
            f"instance-{name}", URL, allocation_filter={"computer_guid": name}
        )
        cloud.perform(calls.request_instance(wanted))
    world.run_for(60)
    for computer in severed:
        world.heal("master", computer.host.name)

    world.run_until(
        lambda: all(computer.host.running_programs for computer in computers),
        SECONDS_MAX,
    )

    world.run_for(120)
    places = {}
    for computer in computers:
        title = f"instance-{computer.host.name}"
        report = cloud.perform(calls.get_tree_report(title))
        assert isinstance(report, TreeReport)
        (instance,) = report.instances
        assert instance.reported_state == "started", instance
        assert instance.partition is not None
        places[title] = instance.partition
    cloud.finish()
    return world.digest(), places


def test_fifty_agents_converge_after_a_cut() -> None:
    """Every instance is started on the computer that it was requested for."""
    _, places = run_cloud(seed=2, agent_count=AGENT_COUNT)

    assert places == {
        f"instance-COMP-{number}": PartitionKey(f"COMP-{number}", "slappart0")
        for number in range(AGENT_COUNT)
    }


def test_one_seed_gives_one_trace_under_different_hash_seeds() -> None:
    """Fresh interpreters, three hash seeds, a small cloud: one digest.

    Eight agents, and four of them severed, run every line that fifty do.
    """
    code = (
        "from tests.simulation.test_fifty_agents import run_cloud;"
        "print(run_cloud(seed=3, agent_count=8)[0])"
    )

    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "2")
    }

    (digest,) = digests
    assert len(digest.strip()) == 64


def test_another_seed_gives_another_trace() -> None:
    assert run_cloud(seed=4, agent_count=3)[0] != run_cloud(seed=5, agent_count=3)[0]
