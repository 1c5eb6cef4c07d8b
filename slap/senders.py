"""Core. Senders: which partition sends a call, and through which masters it came."""

from __future__ import annotations

import re

from attrs import evolve

from slap.errors import BadRequest
from slap.model import InstanceRequest, PartitionKey

FORWARDED_HEADER = "X-Slapcluster-Forwarded-By"
"""Names the masters that forwarded a request, so that a circle of them is noticed."""

# Printable ASCII without commas: nothing else arrives as it was sent.
_REQUESTER = re.compile(
    r"x-slappartition +computer_id=([ -+\--~]+), *computer_partition_id=([ -+\--~]+)",
    re.IGNORECASE,
)


def render_requester(requester: PartitionKey) -> str:
    header = (
        f"X-SlapPartition computer_id={requester.computer_id},"
        f" computer_partition_id={requester.partition_id}"
    )
    if _match_requester(header) != requester:
        raise BadRequest(f"a header cannot name {requester}")
    return header


def parse_requester(header: str) -> PartitionKey | None:
    """Return the partition that calls; other schemes of authorization name none."""
    if not header.lower().startswith("x-slappartition"):
        return None
    requester = _match_requester(header)
    if requester is None:
        raise BadRequest("Authorization: does not name a partition")
    return requester


def _match_requester(header: str) -> PartitionKey | None:
    match = _REQUESTER.fullmatch(header.strip())
    computer_id, partition_id = (
        (it.strip() for it in match.groups()) if match else ("", "")
    )
    if not computer_id or not partition_id:
        return None
    return PartitionKey(computer_id, partition_id)


_HOPS = re.compile(r"[0-9A-Za-z-]{1,64}(?:, ?[0-9A-Za-z-]{1,64}){0,63}")


def render_hops(wanted: object) -> dict[str, str]:
    if not isinstance(wanted, InstanceRequest) or not wanted.forwarded_by:
        return {}
    return {FORWARDED_HEADER: ", ".join(wanted.forwarded_by)}


def parse_hops(header: str) -> tuple[str, ...]:
    """Return the masters that a call came through; none when nobody says so."""
    if not header.strip():
        return ()
    if _HOPS.fullmatch(header.strip()) is None:
        raise BadRequest(f"{FORWARDED_HEADER}: does not name masters")
    return tuple(it.strip() for it in header.split(","))


def with_sender(
    arguments: dict[str, object], requester: PartitionKey | None, hops: tuple[str, ...]
) -> dict[str, object]:
    """Return the arguments with what headers say of the sender of a request.

    The requester of the header wins over the one of the form.
    """
    wanted = arguments.get("instance_request")
    if not isinstance(wanted, InstanceRequest):
        return arguments
    if requester is not None:
        wanted = evolve(wanted, requester=requester)
    return {**arguments, "instance_request": evolve(wanted, forwarded_by=hops)}
