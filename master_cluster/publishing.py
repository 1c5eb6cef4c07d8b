"""Core. What an instance publishes, and who is to be processed again for it.

Connection parameters are for whoever requested the instance: when they really change,
the direct requester gets a new timestamp, and nobody else. A bang is for everybody of
the tree, or of the computer, and gives all of them the same new timestamp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve

from master_cluster.records import Change, InstanceRecord, ReportedState
from master_cluster.reporting import BANG, report_of
from master_cluster.timestamps import next_timestamp


def decide_publication(
    instance: InstanceRecord,
    requester: InstanceRecord | None,
    connection_parameters: Mapping[str, str],
    now: float,
) -> Change:
    """Decide new connection parameters; ``requester`` is ``None`` for a person."""
    published = evolve(instance, connection_parameters=connection_parameters)
    if published == instance:
        return Change()
    if requester is None:
        return Change((published,))
    touched = requester.at(next_timestamp(now, requester.timestamp))
    return Change((published, touched))


def decide_bang(
    instances: Sequence[InstanceRecord], banged_guid: str, message: str, now: float
) -> Change:
    """Decide that all of ``instances`` are processed again; one of them complains.

    ``banged_guid`` is empty when the computer complains.
    """
    own = [it for it in instances if not it.is_shared]
    timestamp = next_timestamp(now, *(it.timestamp for it in own))
    complaint = report_of(ReportedState.ERROR, BANG + message, now)
    return Change(
        tuple(
            evolve(it, timestamp=timestamp, report=complaint)
            if it.instance_guid == banged_guid
            else it.at(timestamp)
            for it in own
        )
    )
