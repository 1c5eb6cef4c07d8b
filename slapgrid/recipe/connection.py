"""The partition that an instance runs in, and its line to the master.

Everything stands in ``[slap-connection]``, which the agent appends to the profile of an
instance; ``server-urls`` has all replicas that it knew then, where there are several.
Calls are made one at a time with blocking sockets: buildout runs recipes one after the
other and nothing else happens in its process.
"""

from __future__ import annotations

from attrs import frozen

from slap.calls import Call
from slap.errors import SlapError
from slap.model import PartitionKey
from slapgrid.recipe.master_link import MasterLinks, link_all
from slapgrid.recipe.section import Buildout, Section

SECTION = "slap-connection"


@frozen
class SlapConnection:
    """Who calls, and whom."""

    partition: PartitionKey
    links: MasterLinks
    software_release_url: str

    def perform(self, call: Call) -> object:
        """Return what the master answers; raises ``SlapError``."""
        return self.links.perform(call)


def read_connection(buildout: Buildout) -> SlapConnection:
    """Return the connection that the agent wrote into the profile of the instance."""
    section = Section(SECTION, buildout[SECTION])
    option = "server-urls" if "server-urls" in section.options else "server-url"
    try:
        links = link_all(
            section.text(option).split(),
            section.text("key-file", ""),
            section.text("cert-file", ""),
            section.text("master-ca-file", ""),
        )
    except ValueError as error:
        raise section.refusal(option, str(error)) from error
    return SlapConnection(
        PartitionKey(section.text("computer-id"), section.text("partition-id")),
        links,
        section.text("software-release-url"),
    )


def perform(section: Section, connection: SlapConnection, call: Call) -> object:
    """Perform a call for a section; an error becomes one that buildout shows."""
    try:
        return connection.perform(call)
    except SlapError as error:
        option = "recipe"
        raise section.refusal(option, f"{call.method}: {error.sentence}") from error
