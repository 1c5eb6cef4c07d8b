"""Shell. Where the programs of a simulated neo_cluster listen."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from replication.observation import StorageId
from runtime.ports import TcpAddress

NEO_MASTER_PORT = 2051
STORAGE_PORT = 2052


@frozen
class NeoPlaces:
    """The neo_masters in their order, each storage node, and who of them begins."""

    neo_masters: tuple[TcpAddress, ...]
    storage_nodes: Mapping[StorageId, TcpAddress]
    founders: frozenset[StorageId]
