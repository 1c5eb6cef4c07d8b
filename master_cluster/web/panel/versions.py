"""Core. Which version of an instance a form was made from, and what differs since.

The digest is of what a request can change, so that reports, which come all the time,
make no conflict. A form that was made from nothing has the digest of nothing.
"""

from __future__ import annotations

import hashlib
import json

from attrs import frozen

from master_cluster.records import InstanceRecord
from slap.errors import Refusal
from slap.model import InstanceRequest

ABSENT = "absent"


class ChangedMeanwhile(Refusal):
    """Somebody else changed the instance after the form was made: ``current`` is it."""

    status = 409

    def __init__(self, sentence: str, current: InstanceRecord | None) -> None:
        super().__init__(sentence)
        self.current = current


def digest_of(record: InstanceRecord | None) -> str:
    """Return the version of an instance, in a word that a form carries."""
    if record is None:
        return ABSENT
    content = (
        record.instance_guid,
        record.software_release_url,
        record.software_type,
        record.wished_state.value,
        dict(record.parameters),
        dict(record.allocation_filter),
    )
    return hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()[:32]


def request_of(record: InstanceRecord) -> InstanceRequest:
    """Return the request of a person that changes nothing."""
    return InstanceRequest(
        title=record.title,
        software_release_url=record.software_release_url,
        software_type=record.software_type,
        parameters=record.parameters,
        allocation_filter=record.allocation_filter,
        requested_state=record.wished_state,
        is_shared=record.is_shared,
    )


def check_version(
    seen: str, current: InstanceRecord | None, wanted: InstanceRequest
) -> None:
    """Raise ``ChangedMeanwhile`` unless the form was made from the current version.

    Asking for what is so already is no conflict: a form that is sent twice.
    """
    if digest_of(current) == seen or (current and request_of(current) == wanted):
        return
    if current is None:
        sentence = f"{wanted.title!r} is gone"
    elif seen == ABSENT:
        sentence = f"{wanted.title!r} exists already: change it instead"
    else:
        sentence = f"somebody else changed {wanted.title!r} after this page was made"
    raise ChangedMeanwhile(sentence, current)


@frozen
class Difference:
    """A part of an instance that is not as the form has it; ``None`` is not there."""

    name: str
    current: str | None
    typed: str | None


def differences(
    current: InstanceRequest, wanted: InstanceRequest
) -> tuple[Difference, ...]:
    """Return what differs, part by part and parameter by parameter."""
    names = sorted({*current.parameters, *wanted.parameters})
    both = (
        ("software release", current.software_release_url, wanted.software_release_url),
        ("software type", current.software_type, wanted.software_type),
        ("wanted", current.requested_state, wanted.requested_state),
        *(
            (f"parameter {it}", current.parameters.get(it), wanted.parameters.get(it))
            for it in names
        ),
    )
    return tuple(
        Difference(name, before, after)
        for name, before, after in both
        if before != after
    )
