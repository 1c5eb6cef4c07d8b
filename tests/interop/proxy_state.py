"""A life of a reference proxy: what its database is filled with, call by call."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable

from slap import calls
from slap.calls import Call, HttpAnswer, decode_answer, encode_call
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    NetworkAddress,
    PartitionDefinition,
    PartitionKey,
    RequestedState,
    SoftwareInstallation,
    SupplyState,
)

Perform = Callable[[Call], object]

RELEASE = "http://release.invalid/software.cfg"
OTHER_RELEASE = "http://release.invalid/other.cfg"

HOST_SECONDS_MAX = 30


def performer(url: str) -> Perform:
    """Speak to a master at an address, as the stock client would."""

    def perform(call: Call) -> object:
        wanted = encode_call(call)
        sent = urllib.request.Request(
            url + wanted.path,
            wanted.body if wanted.verb == "POST" else None,
            dict(wanted.headers),
        )
        with urllib.request.urlopen(sent, timeout=HOST_SECONDS_MAX) as answer:
            return decode_answer(
                call, HttpAnswer(answer.status, dict(answer.headers), answer.read())
            )

    return perform


def live(perform: Perform) -> None:
    """Format, supply, request, share, publish, stop, destroy."""
    for computer_id, count in (("local", 5), ("other", 2)):
        perform(calls.define_computer(a_definition(computer_id, count)))
    for url, computer_id, state in (
        (RELEASE, "local", SupplyState.AVAILABLE),
        (OTHER_RELEASE, "local", SupplyState.DESTROYED),
        (RELEASE, "other", SupplyState.AVAILABLE),
    ):
        perform(calls.supply(SoftwareInstallation(url, computer_id, state)))
    root = PartitionKey("local", "slappart0")
    kid = PartitionKey("local", "slappart1")
    request(perform, "first", parameters={"greeting": 'hé & <b> "x"', "b": "2"})
    request(perform, "kid", OTHER_RELEASE, requester=root, software_type="small")
    request(perform, "grandkid", OTHER_RELEASE, requester=kid)
    request(
        perform,
        "kid",
        OTHER_RELEASE,
        requester=root,
        software_type="small",
        requested_state=RequestedState.STOPPED,
    )
    request(perform, "second", allocation_filter={"computer_guid": "other"})
    request(perform, "dying", requested_state=RequestedState.STARTED)
    request(perform, "dying", requested_state=RequestedState.DESTROYED)
    for title, requester in (("front_end", kid), ("alone", None), ("gone", None)):
        request(
            perform,
            title,
            software_type="default",
            is_shared=True,
            requester=requester,
            parameters={"domain": f"{title}.invalid"},
            allocation_filter={"instance_guid": "local-slappart0"},
        )
    request(
        perform,
        "gone",
        is_shared=True,
        requested_state=RequestedState.DESTROYED,
        allocation_filter={"instance_guid": "local-slappart0"},
    )
    perform(calls.publish_connection(kid, {"url": "http://[::1]:8080/?a=1&b=2"}))
    partition = perform(calls.get_partition(root))
    for shared in partition.instance.shared_instances:  # type: ignore[attr-defined]
        address = {"site": f"https://{shared.parameters['domain']}/"}
        perform(calls.publish_connection(root, address, shared.reference))


def request(
    perform: Perform, title: str, url: str = RELEASE, **fields: object
) -> object:
    return perform(
        calls.request_instance(
            InstanceRequest(title=title, software_release_url=url, **fields)  # type: ignore[arg-type]
        )
    )


def a_definition(computer_id: str, count: int) -> ComputerDefinition:
    return ComputerDefinition(
        computer_id,
        address="10.0.0.1",
        netmask="255.0.0.0",
        partitions=tuple(
            PartitionDefinition(
                f"slappart{number}",
                (
                    NetworkAddress(f"tap{number}", f"10.0.0.{number}"),
                    NetworkAddress(f"tap{number}", f"fd00::{number}"),
                ),
            )
            for number in range(count)
        ),
    )
