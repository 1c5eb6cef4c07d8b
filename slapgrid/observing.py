"""Looking at a whole computer: its disk and its programs, as one value."""

from __future__ import annotations

from types import MappingProxyType

from attrs import evolve, frozen

from runtime.ports import ICalendar
from slap.model import Computer, Partition, RequestedState
from slapgrid.convergence.views import LocalPartition, LocalView
from slapgrid.grants.granting import Granting
from slapgrid.instance.departing import Departing
from slapgrid.instance.partitions import Partitions
from slapgrid.software.releases import Releases
from slapgrid.supervision.port import ISupervision, groups_by_partition


@frozen
class Observing:
    """What the planners of instances and of destruction are shown."""

    calendar: ICalendar
    releases: Releases
    partitions: Partitions
    supervision: ISupervision
    granting: Granting
    departing: Departing

    async def look(self, desired: Computer) -> LocalView:
        """The computer now; ``SupervisionError`` when its programs cannot be seen."""
        urls = {each.software_release_url for each in desired.installations}
        urls |= {
            each.instance.software_release_url
            for each in desired.partitions
            if each.instance is not None
        }
        releases = self.releases.observe(tuple(sorted(urls)))
        names = [each.key.partition_id for each in desired.partitions]
        groups = groups_by_partition(await self.supervision.observe(), names)
        now = self.calendar.now()
        partitions = {
            name: self.partitions.observe(name, of_partition, now)
            for name, of_partition in groups.items()
        }
        for partition in desired.partitions:
            local = partitions[partition.key.partition_id]
            local = self.granting.view(partition, local)
            partitions[local.partition_id] = self._with_departure(partition, local)
        return LocalView(MappingProxyType(partitions), releases)

    def _with_departure(
        self, partition: Partition, local: LocalPartition
    ) -> LocalPartition:
        if (
            partition.instance is None
            or partition.requested_state is not RequestedState.DESTROYED
            or local.programs is not None
            or not local.has_content
        ):
            return local
        departure = self.departing.view(
            local.partition_id, partition.instance, local.side_groups
        )
        return evolve(local, departure=departure)
