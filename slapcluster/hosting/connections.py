"""Shell. The master that asks for an instance, called from the instance."""

from __future__ import annotations

from attrs import frozen

from slap.calls import Call, bang_instance, get_requested
from slap.model import PartitionKey
from slap.reports import InstanceReport, TreeReport
from slapgrid.recipe.master_link import WAIT_SECONDS_MAX, link_all


@frozen
class Connection:
    """What the recipe ``slapcluster:parameters`` says of it."""

    server_urls: str
    computer_id: str
    partition_id: str
    key_file: str = ""
    cert_file: str = ""
    master_ca_file: str = ""

    @property
    def partition(self) -> PartitionKey:
        return PartitionKey(self.computer_id, self.partition_id)

    def bang(self, message: str, wait_seconds_max: float = WAIT_SECONDS_MAX) -> None:
        """Have the tree of the instance processed again; raises ``SlapError``."""
        self._perform(bang_instance(self.partition, message), wait_seconds_max)

    def requested(self) -> tuple[InstanceReport, ...]:
        """Return what the instance requested so far; raises ``SlapError``."""
        told = self._perform(get_requested(self.partition))
        assert isinstance(told, TreeReport)
        return told.instances

    def _perform(
        self, call: Call, wait_seconds_max: float = WAIT_SECONDS_MAX
    ) -> object:
        links = link_all(
            self.server_urls.split(),
            self.key_file,
            self.cert_file,
            self.master_ca_file,
        )
        return links.perform(call, wait_seconds_max)
