"""Giving an instance what it asks of its computer beyond its partition."""

from __future__ import annotations

from attrs import evolve, frozen

from runtime.ports import IFileTree
from slap.model import Partition, RequestedState
from slapgrid.config import Config
from slapgrid.convergence.views import LIVE_STATES, LocalPartition
from slapgrid.grants.asking import BadGrant
from slapgrid.grants.filtering import Filtering, read_asked
from slapgrid.grants.redirections import decode_redirections, plan_programs
from slapgrid.identity import IdentityRefused
from slapgrid.instance.partitions import InstanceRefused, Partitions
from slapgrid.instance.reading import read_if_there
from slapgrid.layout import PORT_REDIRECTION_FILE, group_file, redirection_group
from slapgrid.platform import Platform
from slapgrid.supervision.conf import ProgramGroup, render_group
from slapgrid.supervision.port import ISupervision, ProgramKey


@frozen
class Granting:
    """What the instances of one computer are given; ``filtering`` is its firewall."""

    config: Config
    tree: IFileTree
    platform: Platform
    partitions: Partitions
    supervision: ISupervision
    filtering: Filtering

    def view(self, partition: Partition, local: LocalPartition) -> LocalPartition:
        """The partition, with what it asks beside what it was given."""
        refusal = self.filtering.refusals.get(local.partition_id)
        if refusal != local.grant_refusal:
            local = evolve(local, grant_refusal=refusal)
        try:
            group = self._wanted(partition, local)
        except (BadGrant, InstanceRefused, IdentityRefused) as error:
            return evolve(local, grant_refusal=str(error))
        if group is None:
            return local
        return evolve(
            local,
            has_redirections=True,
            are_redirections_due=not self._is_given(group, local),
        )

    async def open_redirections(self, partition: Partition) -> str | None:
        """Run the programs that lead ports to the instance; which of them ended."""
        partition_id = partition.key.partition_id
        local = LocalPartition(partition_id)
        group = self._wanted(partition, local)
        if group is None:
            return None
        failures = dict(await self.supervision.define((group,)))
        name = group.partition_id
        if name in failures:
            return failures[name]
        (status,) = (
            each
            for each in await self.supervision.observe()
            if each.partition_id == name
        )
        resting = tuple(
            each for each in status.programs if each.program_state not in LIVE_STATES
        )
        keys = tuple(ProgramKey(name, each.name) for each in resting)
        failures.update(await self.supervision.start(keys))
        if name in failures:
            return failures[name]
        for each in resting:
            if each.has_ended:
                return (
                    f"{each.name} of {partition_id} ended and is started again; see "
                    f"its .{name}_{each.name}.log"
                )
        return None

    async def close_redirections(self, partition_id: str) -> str | None:
        """End the programs that lead ports to the instance."""
        name = redirection_group(partition_id)
        return (await self.supervision.remove((name,))).get(name)

    def _wanted(
        self, partition: Partition, local: LocalPartition
    ) -> ProgramGroup | None:
        grants = self.config.grants
        if (
            not grants.has_redirections
            or not local.is_formatted
            or partition.instance is None
            or partition.requested_state is not RequestedState.STARTED
        ):
            return None
        content = read_asked(
            self.partitions.files(local.partition_id), PORT_REDIRECTION_FILE
        )
        if content is None:
            return None
        addresses = [each.address for each in partition.addresses]
        addresses += [each.address for each in partition.routes]
        asked = decode_redirections(content, tuple(addresses))
        programs = plan_programs(asked, grants.privileged_ports, self.platform.uid)
        if not programs:
            return None
        return self.partitions.group_of(
            local.partition_id, redirection_group(local.partition_id), programs
        )

    def _is_given(self, group: ProgramGroup, local: LocalPartition) -> bool:
        known = local.side_groups.get(group.partition_id, ())
        live = {each.name for each in known if each.program_state in LIVE_STATES}
        return live == {each.name for each in group.programs} and render_group(
            group
        ).encode() == read_if_there(self.tree, group_file(group.partition_id))
