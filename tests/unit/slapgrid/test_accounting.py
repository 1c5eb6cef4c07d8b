"""Usage of an agent that lives for days in a simulated world."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from labsim.models.kernel import KernelModel, ModelProcess
from labsim.world.world import World
from slap import calls
from slap.tioxml import decode_journal
from slap.usage import UsageList, UsageReport
from slapgrid.accounting import BLIND_SECONDS, SPREAD_SECONDS
from slapgrid.config import Config
from tests.unit.slapgrid.test_agent_in_world import SmallCloud

DAY = 86400.0


class SlowCloud(SmallCloud):
    """One whose agent looks rarely: it lives for days here."""

    @property
    def config(self) -> Config:
        return evolve(super().config, recheck_seconds=3600.0, poll_seconds=7200.0)


@pytest.fixture
def cloud() -> SmallCloud:
    """An agent with a started instance, on a computer whose kernel counts."""
    cloud = SlowCloud(World(seed=1))
    cloud.start_agent()
    cloud.supply()
    cloud.request("first")
    cloud.wait_for("first", "started", 200)
    return cloud


def told(cloud: SmallCloud, resource: str) -> dict[str, Decimal]:
    """How much of a resource the master has heard of, by whose it is."""
    answer = cloud.perform(calls.list_usage("COMP-1"))
    assert isinstance(answer, UsageList)
    total: dict[str, Decimal] = {}
    for summary in answer.documents:
        found = cloud.perform(calls.get_usage_document("COMP-1", summary.document_id))
        assert isinstance(found, UsageReport)
        for entry in decode_journal(found.document).entries:
            for movement in entry.movements:
                if movement.resource == f"service_module/{resource}":
                    before = total.get(movement.reference, Decimal(0))
                    total[movement.reference] = before + Decimal(movement.quantity)
    return total


def test_what_was_consumed_is_at_the_master_the_day_after(cloud: SmallCloud) -> None:
    """Whatever kills the agent meanwhile, each second of CPU is told once."""
    computer = cloud.computer
    kernel = KernelModel(computer)
    partition = computer.runtime.file_tree("/srv/instances").status("slappart0")
    assert partition is not None
    kernel.start(ModelProcess(100, partition.uid))
    kernel.show()
    cloud.world.run_for(2 * BLIND_SECONDS)
    entropy = cloud.world.entropy("kills")
    for _ in range(24):
        kernel.processes[100].own_ticks += 360_000
        kernel.show()
        cloud.world.run_for(entropy.uniform(1700, 3500))
        computer.kill()
        cloud.world.run_for(1)
        computer.boot()
        kernel.show()

    cloud.world.run_for(DAY + SPREAD_SECONDS + 1800)

    assert told(cloud, "cpu_time") == {"slappart0": Decimal("86400.000")}
    cloud.finish()


def test_what_instances_report_is_delivered_after_midnight(cloud: SmallCloud) -> None:
    """Each computer at an instant of its own, within an hour."""
    cloud.world.run_for(DAY / 4)
    files = cloud.computer.runtime.file_tree("/srv/instances/slappart0")
    files.make_directory("var/xml_report")
    files.write(
        "var/xml_report/visits",
        b"<consumption><movement><resource>service_module/visits</resource>"
        b"<quantity>12</quantity><price>0</price><VAT/></movement></consumption>",
    )

    cloud.world.run_for(DAY + SPREAD_SECONDS)

    assert told(cloud, "visits") == {"slappart0": Decimal(12)}
    cloud.finish()
