"""Core. What is taken over from a reference proxy, for people and for programs."""

from __future__ import annotations

from master_cluster.takeover.deciding import Takeover
from slapcluster.tables import Table, line


def document_of_takeover(takeover: Takeover, *, is_written: bool) -> object:
    titles = _root_titles(takeover)
    return {
        "is_written": is_written,
        "version": takeover.version,
        "digest": takeover.digest,
        "computers": [
            dict(
                zip(("computer_id", "partitions", "busy", "releases"), it, strict=True)
            )
            for it in _computers(takeover)
        ],
        "instances": [
            {
                "title": it.title,
                "root_title": titles[it.root_guid],
                "instance_guid": it.instance_guid,
                "is_shared": it.is_shared,
                "requested_state": it.requested_state.value,
                "partition": {
                    "computer_id": it.partition.computer_id,
                    "partition_id": it.partition.partition_id,
                },
            }
            for it in takeover.instances
        ],
        "notes": list(takeover.notes),
    }


def taken_computers_table(takeover: Takeover) -> Table:
    return Table(
        ("computer", "partitions", "busy", "releases"),
        tuple(line(*it) for it in _computers(takeover)),
        title="Computers",
    )


def taken_instances_table(takeover: Takeover) -> Table:
    titles = _root_titles(takeover)
    return Table(
        ("instance", "service", "shared", "partition", "wanted"),
        tuple(
            line(
                it.title,
                titles[it.root_guid],
                it.is_shared,
                f"{it.partition.computer_id}/{it.partition.partition_id}",
                it.requested_state,
            )
            for it in takeover.instances
        ),
        title="Instances",
    )


def _computers(takeover: Takeover) -> list[tuple[str, int, int, int]]:
    busy = [it.partition.computer_id for it in takeover.instances if not it.is_shared]
    return [
        (
            it.computer.computer_id,
            len(it.partitions),
            busy.count(it.computer.computer_id),
            len(it.installations),
        )
        for it in takeover.computers
    ]


def _root_titles(takeover: Takeover) -> dict[str, str]:
    return {it.instance_guid: it.title for it in takeover.instances if it.is_root}
