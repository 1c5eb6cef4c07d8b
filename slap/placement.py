"""Core. The keys of an allocation filter: where an instance may be placed.

These are wire names; what each of them means stands in ``master_cluster.conditions``.
"""

from __future__ import annotations

ATTRIBUTE_KEYS = (
    "network_guid",
    "project_guid",
    "region",
    "group",
    "cpu_core",
    "cpu_frequency",
    "cpu_type",
    "local_area_network_type",
    "memory_size",
    "memory_type",
    "storage_capacity",
    "storage_interface",
    "storage_redundancy",
)
"""What can be said of a computer and asked for, in the order in which it is tested."""

CARRIED_KEYS = frozenset(
    {
        "fw_authorized_sources",
        "fw_rejected_sources",
        "fw_restricted_access",
        "retention_delay",
        "source_instance_id",
    }
)
"""Keys that are for the node to read, and exclude no partition."""

UNIQUE_BY_NETWORK = "unique_by_network"
"""The one value of ``mode`` that anybody defines."""
