"""A computer whose partitions are installed again and again: what our agent uses.

Run as a program of its own, by an ordinary user: ``benchmarks.agents`` starts it. The
release, installations, promises, programs, supervision and master are real.
"""

from __future__ import annotations

import sys
from pathlib import Path

from attrs import frozen

from benchmarks.agent_costs import computer_settings, print_findings, read_costs
from benchmarks.rivals import Line, a_definition
from slap import calls
from slap.model import InstanceRequest, SoftwareInstallation
from slapgrid.config import Config, read_config
from slapgrid.convergence.retrying import Effort
from slapgrid.passes import Agent, ExitStatus
from slapgrid.selection import Selection

COMPUTER_ID = "COMP-FORCED"
ROUND_COUNT = 3
FORCED = Selection(is_forced=True)


@frozen
class ForcedComputer:
    """``release`` is the URL of its only one."""

    home: Path
    master_port: int
    partition_count: int
    release: str

    @property
    def config(self) -> Config:
        return read_config(
            computer_settings(
                COMPUTER_ID, self.home, self.master_port, self.partition_count
            )
        )

    def prepare(self) -> None:
        """Tell the master of the computer and its instances; format it."""
        line = Line(self.master_port)
        definition = a_definition(COMPUTER_ID, self.partition_count)
        line.perform(calls.define_computer(definition))
        line.perform(calls.supply(SoftwareInstallation(self.release, COMPUTER_ID)))
        for number in range(self.partition_count):
            partition = self.home / "i" / f"slappart{number}"
            partition.mkdir(parents=True)
            partition.chmod(0o750)
            (partition / ".slapos-resource").write_text("{}")
            line.perform(
                calls.request_instance(
                    InstanceRequest(
                        f"forced {number}",
                        self.release,
                        allocation_filter={"computer_guid": COMPUTER_ID},
                    )
                )
            )
        line.close()

    async def measure(self, agent: Agent) -> dict[str, object]:
        """The first pass, which installs everything, then passes that do so again."""
        built = await agent.software_pass()
        assert built.exit_status is ExitStatus.OK, built
        return {
            "first": await self._cost(agent, Selection()),
            "forced": [await self._cost(agent, FORCED) for _ in range(ROUND_COUNT)],
        }

    async def _cost(self, agent: Agent, selection: Selection) -> list[float]:
        before = read_costs(agent)
        result = await agent.instance_pass(selection)
        after = read_costs(agent)
        assert result.exit_status is ExitStatus.OK, result
        for effort in (Effort.INSTALL, Effort.PROVE):
            done = [each for each in result.outcomes if each.effort is effort]
            assert len(done) == self.partition_count, (effort, result)
        return after.since(before)


def main(home: str, port: str, count: str, release: str) -> None:
    """Prepare, measure, print the figures as JSON."""
    computer = ForcedComputer(Path(home), int(port), int(count), release)
    computer.prepare()
    print_findings(computer.config, computer.measure)


if __name__ == "__main__":
    main(*sys.argv[1:])
