from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given

from master_cluster.allocation import (
    Allocated,
    Inventory,
    Offer,
    Unallocated,
    choose_partition,
    explain,
    natural_order,
)
from slap.model import InstanceRequest, PartitionKey, RequestedState
from slap.reports import Condition
from tests import strategies
from tests.builders import (
    a_host,
    a_partition_key,
    an_instance_request,
    an_inventory,
    an_offer,
)


def counts(reasons: tuple[Condition, ...]) -> dict[str, int]:
    return {it.name: it.excluded_count for it in reasons}


def test_the_first_free_partition_in_the_order_of_numbers_is_chosen() -> None:
    names = sorted(["slappart10", "slappart2", "slappart9"], key=natural_order)
    offer = Offer("COMP-1", tuple(names))

    chosen = choose_partition(an_instance_request(), an_inventory(offer))

    assert chosen == Allocated(PartitionKey("COMP-1", "slappart2"))


def test_the_least_loaded_computer_is_chosen() -> None:
    inventory = an_inventory(
        an_offer("COMP-1", free=2, busy=2), an_offer("COMP-2", free=3, busy=1)
    )

    chosen = choose_partition(an_instance_request(), inventory)

    assert chosen == Allocated(PartitionKey("COMP-2", "slappart1"))


def test_a_request_without_a_computer_stays_on_the_default_one() -> None:
    inventory = an_inventory(
        an_offer("COMP-1", free=0, busy=3),
        an_offer("COMP-2", free=3, busy=0),
        default_computer_id="COMP-1",
    )

    chosen = choose_partition(an_instance_request(), inventory)

    assert chosen == Unallocated(
        (
            Condition(
                "computer_guid",
                3,
                "the computer is COMP-1, the default one: 3 partitions are excluded",
            ),
            Condition("offered", 0, "the computer still defines the partition"),
            Condition("free", 3, "the partition is free: 3 partitions are excluded"),
        )
    )


def test_a_named_computer_wins_over_the_default_one() -> None:
    wanted = an_instance_request(allocation_filter={"computer_guid": "COMP-2"})
    inventory = an_inventory(
        an_offer("COMP-1"), an_offer("COMP-2"), default_computer_id="COMP-1"
    )

    chosen = choose_partition(wanted, inventory)

    assert chosen == Allocated(PartitionKey("COMP-2", "slappart1"))


def test_an_unknown_key_of_a_filter_excludes_every_partition() -> None:
    wanted = an_instance_request(allocation_filter={"cpu_core": "64"})

    chosen = choose_partition(wanted, an_inventory(an_offer(free=2, busy=1)))

    assert isinstance(chosen, Unallocated)
    assert counts(chosen.reasons) == {"cpu_core": 3, "offered": 0, "free": 0}
    assert chosen.sentence == (
        "the filter key 'cpu_core' is not understood: 3 partitions are excluded"
    )


def test_a_key_that_is_for_the_node_excludes_nothing() -> None:
    wanted = an_instance_request(allocation_filter={"retention_delay": "7.0"})

    chosen = choose_partition(wanted, an_inventory())

    assert chosen == Allocated(a_partition_key(1))


def test_five_conditions_share_out_the_partitions_that_they_exclude() -> None:
    wanted = an_instance_request(
        is_shared=True,
        allocation_filter={"instance_guid": "slappart0"},
    )
    inventory = Inventory(
        (an_offer("COMP-1", free=4, busy=4),),
        (
            a_host(0, software_release_url="https://other.example/"),
            a_host(1),
            a_host(2, key=a_partition_key(0, "COMP-2"), software_type="other"),
            a_host(
                3,
                key=a_partition_key(0, "COMP-3"),
                requested_state=RequestedState.DESTROYED,
            ),
        ),
    )

    chosen = choose_partition(wanted, inventory)

    assert isinstance(chosen, Unallocated)
    assert counts(chosen.reasons) == {
        "occupied": 4,
        "instance_guid": 1,
        "software_release": 1,
        "software_type": 1,
        "host_state": 1,
    }


@pytest.mark.parametrize("name", ["SOFTINST-7", "COMP-1-slappart7", "slappart7"])
def test_a_host_is_named_by_its_guid_or_its_partition(name: str) -> None:
    wanted = an_instance_request(
        is_shared=True, allocation_filter={"instance_guid": name}
    )
    inventory = Inventory(hosts=(a_host(3), a_host(7)))

    chosen = choose_partition(wanted, inventory)

    assert chosen == Allocated(a_partition_key(7), "SOFTINST-7")


def test_a_named_host_is_found_beside_the_default_computer() -> None:
    wanted = an_instance_request(
        is_shared=True, allocation_filter={"instance_guid": "SOFTINST-7"}
    )
    hosts = (a_host(7, key=a_partition_key(7, "COMP-2")),)

    chosen = choose_partition(wanted, Inventory((), hosts, "COMP-1"))

    assert chosen == Allocated(a_partition_key(7, "COMP-2"), "SOFTINST-7")


def test_an_instance_of_its_own_is_not_placed_by_a_host() -> None:
    wanted = an_instance_request(allocation_filter={"instance_guid": "SOFTINST-7"})

    chosen = choose_partition(wanted, an_inventory())

    assert isinstance(chosen, Unallocated)


def test_nothing_at_all_is_said_in_a_sentence() -> None:
    wanted = an_instance_request(allocation_filter={"computer_guid": "COMP-9"})

    chosen = choose_partition(wanted, Inventory())

    assert isinstance(chosen, Unallocated)
    assert chosen.sentence == "nothing is known where the computer is COMP-9"


def test_a_salt_spreads_and_is_as_fixed_as_none() -> None:
    inventory = an_inventory(an_offer(free=50, busy=0))

    first = [
        choose_partition(an_instance_request(), inventory, f"{number}")
        for number in range(20)
    ]
    again = [
        choose_partition(an_instance_request(), inventory, f"{number}")
        for number in range(20)
    ]

    assert first == again
    assert len({it.key for it in first if isinstance(it, Allocated)}) > 10


@given(strategies.a_placement_request(), strategies.an_inventory())
def test_only_a_free_partition_or_a_living_host_is_chosen(
    wanted: InstanceRequest, inventory: Inventory
) -> None:
    chosen = choose_partition(wanted, inventory)

    if isinstance(chosen, Unallocated):
        return
    if wanted.is_shared:
        (host,) = (it for it in inventory.hosts if it.instance_guid == chosen.host_guid)
        assert host.key == chosen.key
        assert host.requested_state is not RequestedState.DESTROYED
    else:
        (offer,) = (
            it for it in inventory.offers if it.computer_id == chosen.key.computer_id
        )
        assert chosen.key.partition_id in offer.free


@given(strategies.a_placement_request(), strategies.an_inventory())
def test_the_reasons_count_each_partition_once(
    wanted: InstanceRequest, inventory: Inventory
) -> None:
    chosen = choose_partition(wanted, inventory)
    excluded = sum(it.excluded_count for it in explain(wanted, inventory))
    total = sum(it.partition_count for it in inventory.offers)
    if wanted.is_shared:
        total = len(inventory.hosts) + sum(len(it.free) for it in inventory.offers)

    assert isinstance(chosen, Unallocated) == (excluded == total)


@given(
    strategies.a_placement_request(), strategies.an_inventory(), strategies.an_offer()
)
def test_more_free_partitions_never_turn_yes_into_no(
    wanted: InstanceRequest, inventory: Inventory, more: Offer
) -> None:
    before = choose_partition(wanted, inventory)
    others = tuple(it for it in inventory.offers if it.computer_id != more.computer_id)
    same = [it for it in inventory.offers if it.computer_id == more.computer_id]
    free = {*more.free, *(name for it in same for name in it.free)}
    grown = evolve(
        inventory,
        offers=(*others, evolve(more, free=tuple(sorted(free, key=natural_order)))),
    )

    after = choose_partition(wanted, grown)

    assert isinstance(after, Allocated) or isinstance(before, Unallocated)


@given(strategies.a_placement_request(), strategies.an_inventory())
def test_the_order_of_the_inventory_does_not_matter(
    wanted: InstanceRequest, inventory: Inventory
) -> None:
    turned = evolve(inventory, offers=inventory.offers[::-1])

    assert choose_partition(wanted, turned) == choose_partition(wanted, inventory)
