"""Shell. The master that asks for an instance, called from the instance."""

from __future__ import annotations

from attrs import frozen

from slap.calls import bang_instance
from slap.model import PartitionKey
from slapgrid.recipe.master_link import link_all


@frozen
class Connection:
    """What the recipe ``slapcluster:parameters`` says of it."""

    server_urls: str
    computer_id: str
    partition_id: str
    key_file: str = ""
    cert_file: str = ""
    master_ca_file: str = ""

    def bang(self, message: str) -> None:
        """Have the tree of the instance processed again; raises ``SlapError``."""
        links = link_all(
            self.server_urls.split(),
            self.key_file,
            self.cert_file,
            self.master_ca_file,
        )
        partition = PartitionKey(self.computer_id, self.partition_id)
        links.perform(bang_instance(partition, message))
