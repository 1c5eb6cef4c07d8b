from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from master_cluster.allocation import (
    EXPLAINED_COUNT_MAX,
    Allocated,
    Unallocated,
    choose_partition,
)
from master_cluster.conditions import explain
from master_cluster.inventory import Offer, Stock, natural_order
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

    assert isinstance(chosen, Unallocated)
    assert chosen.sentence == "the partition is free: 3 partitions are excluded"
    assert explain(an_instance_request(), inventory)[0] == Condition(
        "computer_guid",
        3,
        "the computer is COMP-1, the default one: 3 partitions are excluded",
    )


@pytest.mark.parametrize(
    "asked", [{"region": "eu"}, {"capability": "gpu"}, {"mode": "unique_by_network"}]
)
def test_a_request_that_says_where_is_not_for_the_default_computer(
    asked: dict[str, str],
) -> None:
    there = Offer(
        "COMP-2",
        ("slappart0",),
        attributes={"region": "eu", "network_guid": "net"},
        capabilities=("gpu",) if "capability" in asked else (),
    )
    inventory = an_inventory(an_offer("COMP-1"), there, default_computer_id="COMP-1")

    chosen = choose_partition(an_instance_request(allocation_filter=asked), inventory)

    assert chosen == Allocated(PartitionKey("COMP-2", "slappart0"))


def test_a_named_computer_wins_over_the_default_one() -> None:
    wanted = an_instance_request(allocation_filter={"computer_guid": "COMP-2"})
    inventory = an_inventory(
        an_offer("COMP-1"), an_offer("COMP-2"), default_computer_id="COMP-1"
    )

    chosen = choose_partition(wanted, inventory)

    assert chosen == Allocated(PartitionKey("COMP-2", "slappart1"))


def test_an_unknown_key_of_a_filter_excludes_every_partition() -> None:
    wanted = an_instance_request(allocation_filter={"colour": "red"})

    chosen = choose_partition(wanted, an_inventory(an_offer(free=2, busy=1)))

    assert isinstance(chosen, Unallocated)
    assert counts(chosen.reasons) == {
        "reserved": 0,
        "colour": 3,
        "offered": 0,
        "free": 0,
    }
    assert chosen.sentence == (
        "the filter key 'colour' is not understood: 3 partitions are excluded"
    )


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"region": ""}, "the filter key 'region' has no value"),
        ({"capability": ""}, "the filter key 'capability' has no value"),
        ({"mode": "odd"}, "the mode 'odd' is not understood"),
        (
            {"instance_guid": "SOFTINST-1"},
            "the filter key 'instance_guid' is for shared instances",
        ),
    ],
)
def test_a_key_without_a_meaning_here_excludes_every_partition(
    asked: dict[str, str], sentence: str
) -> None:
    wanted = an_instance_request(allocation_filter=asked)

    told = explain(wanted, an_inventory(an_offer(free=2, busy=1)))

    assert [it.sentence for it in told if it.name in asked][-1].startswith(sentence)
    assert isinstance(choose_partition(wanted, an_inventory()), Unallocated)


def test_a_key_that_is_for_the_node_excludes_nothing() -> None:
    wanted = an_instance_request(allocation_filter={"retention_delay": "7.0"})

    chosen = choose_partition(wanted, an_inventory())

    assert chosen == Allocated(a_partition_key(1))


def test_five_conditions_share_out_the_partitions_that_they_exclude() -> None:
    wanted = an_instance_request(
        is_shared=True,
        allocation_filter={"instance_guid": "slappart0"},
    )
    inventory = Stock(
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
    inventory = Stock(all_hosts=(a_host(3), a_host(7)))

    chosen = choose_partition(wanted, inventory)

    assert chosen == Allocated(a_partition_key(7), "SOFTINST-7")


def test_a_named_host_is_found_beside_the_default_computer() -> None:
    wanted = an_instance_request(
        is_shared=True, allocation_filter={"instance_guid": "SOFTINST-7"}
    )
    hosts = (a_host(7, key=a_partition_key(7, "COMP-2")),)

    chosen = choose_partition(wanted, Stock((), hosts, "COMP-1"))

    assert chosen == Allocated(a_partition_key(7, "COMP-2"), "SOFTINST-7")


def test_an_instance_of_its_own_is_not_placed_by_a_host() -> None:
    wanted = an_instance_request(allocation_filter={"instance_guid": "SOFTINST-7"})

    chosen = choose_partition(wanted, an_inventory())

    assert isinstance(chosen, Unallocated)


def test_nothing_at_all_is_said_in_a_sentence() -> None:
    wanted = an_instance_request(allocation_filter={"computer_guid": "COMP-9"})

    chosen = choose_partition(wanted, Stock())

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


def test_a_partition_with_capabilities_is_for_who_names_one_of_them() -> None:
    offer = Offer("COMP-1", ("slappart0",), capabilities=("arm", "gpu"))
    plain = an_instance_request()
    wanted = an_instance_request(allocation_filter={"capability": "gpu"})

    chosen = [choose_partition(it, an_inventory(offer)) for it in (plain, wanted)]

    assert chosen == [
        Unallocated(explain(plain, an_inventory(offer))),
        Allocated(a_partition_key()),
    ]


def test_a_network_of_its_own_is_one_without_others_of_the_tree() -> None:
    wanted = an_instance_request(allocation_filter={"mode": "unique_by_network"})
    inventory = an_inventory(
        Offer("COMP-1", ("slappart0",), attributes={"network_guid": "net-1"}),
        Offer("COMP-2", ("slappart0",)),
        Offer("COMP-3", ("slappart0",), attributes={"network_guid": "net-2"}),
        tree_networks=frozenset({"net-1"}),
    )

    chosen = choose_partition(wanted, inventory)

    assert chosen == Allocated(a_partition_key(computer_id="COMP-3"))


def test_a_refusal_counts_a_bounded_number_of_computers() -> None:
    offers = [an_offer(f"COMP-{number}", free=1, busy=0) for number in range(200)]
    wanted = an_instance_request(allocation_filter={"region": "eu"})

    chosen = choose_partition(wanted, an_inventory(*offers))

    assert isinstance(chosen, Unallocated)
    assert counts(chosen.reasons)["region"] == EXPLAINED_COUNT_MAX


def meets(asked: Mapping[str, str], offer: Offer, inventory: Stock) -> bool:
    """The conditions once more, one by one, without shelves."""
    network = offer.attributes.get("network_guid")
    default = inventory.default_computer_id
    wanted_capability = {asked["capability"]} if asked.get("capability") else set()
    return all(
        (
            not {"instance_guid", "odd"} & set(asked),
            "" not in asked.values(),
            asked.get("mode") != "odd",
            set(asked) - {"retention_delay"} or default in (None, offer.computer_id),
            asked.get("computer_guid", offer.computer_id) == offer.computer_id,
            all(
                offer.attributes.get(key) == asked.get(key, offer.attributes.get(key))
                for key in ("region", "network_guid", "cpu_core")
            ),
            "mode" not in asked or network not in {None, *inventory.tree_networks},
            wanted_capability <= set(offer.capabilities),
            wanted_capability or not offer.capabilities,
        )
    )


@given(
    strategies.a_placement_request().filter(lambda it: not it.is_shared),
    strategies.an_inventory(),
)
def test_shelves_give_the_same_choice_as_looking_at_everything(
    wanted: InstanceRequest, inventory: Stock
) -> None:
    fitting = [
        it
        for it in inventory.all_offers
        if it.free and meets(wanted.allocation_filter, it, inventory)
    ]

    chosen = choose_partition(wanted, inventory)

    if not fitting:
        assert isinstance(chosen, Unallocated)
        return
    best = min(fitting, key=lambda it: it.head)
    assert chosen == Allocated(PartitionKey(best.computer_id, best.free[0]))


@given(
    strategies.a_placement_request(),
    strategies.an_inventory(),
    strategies.identifiers(),
)
def test_a_salt_never_turns_yes_into_no_or_prefers_the_more_loaded(
    wanted: InstanceRequest, inventory: Stock, salt: str
) -> None:
    plain = choose_partition(wanted, inventory)

    salted = choose_partition(wanted, inventory, salt)

    if isinstance(plain, Unallocated) or wanted.is_shared:
        assert isinstance(salted, type(plain))
        return
    assert isinstance(salted, Allocated)
    steps = {
        PartitionKey(offer.computer_id, name): offer.load_step
        for offer in inventory.all_offers
        for name in offer.free
    }
    assert steps[salted.key] == steps[plain.key]


@given(strategies.a_placement_request(), strategies.an_inventory())
def test_only_a_free_partition_or_a_living_host_is_chosen(
    wanted: InstanceRequest, inventory: Stock
) -> None:
    chosen = choose_partition(wanted, inventory)

    if isinstance(chosen, Unallocated):
        return
    if wanted.is_shared:
        (host,) = (
            it for it in inventory.all_hosts if it.instance_guid == chosen.host_guid
        )
        assert host.key == chosen.key
        assert host.requested_state is not RequestedState.DESTROYED
    else:
        free = {
            (offer.computer_id, name)
            for offer in inventory.all_offers
            for name in offer.free
        }
        assert (chosen.key.computer_id, chosen.key.partition_id) in free


@given(strategies.a_placement_request(), strategies.an_inventory())
def test_the_reasons_count_each_partition_once(
    wanted: InstanceRequest, inventory: Stock
) -> None:
    chosen = choose_partition(wanted, inventory)
    excluded = sum(it.excluded_count for it in explain(wanted, inventory))
    total = sum(it.partition_count for it in inventory.all_offers)
    if wanted.is_shared:
        total = len(inventory.all_hosts) + sum(
            len(it.free) for it in inventory.all_offers
        )

    assert isinstance(chosen, Unallocated) == (excluded == total)


@given(
    strategies.a_placement_request(), strategies.an_inventory(), strategies.an_offer()
)
def test_more_free_partitions_never_turn_yes_into_no(
    wanted: InstanceRequest, inventory: Stock, more: Offer
) -> None:
    before = choose_partition(wanted, inventory)
    which = more.computer_id, more.capabilities
    found = {(it.computer_id, it.capabilities): it for it in inventory.all_offers}
    free = {*more.free, *(found[which].free if which in found else ())}
    found[which] = evolve(more, free=tuple(sorted(free, key=natural_order)))
    grown = evolve(inventory, all_offers=tuple(found.values()))

    after = choose_partition(wanted, grown)

    assert isinstance(after, Allocated) or isinstance(before, Unallocated)


@given(strategies.a_placement_request(), strategies.an_inventory())
def test_the_order_of_the_inventory_does_not_matter(
    wanted: InstanceRequest, inventory: Stock
) -> None:
    turned = evolve(inventory, all_offers=inventory.all_offers[::-1])

    assert choose_partition(wanted, turned) == choose_partition(wanted, inventory)


@given(st.lists(st.text("ab-10" + chr(1), max_size=6), min_size=2, max_size=2))
def test_names_are_ordered_by_their_numbers(names: list[str]) -> None:
    def parts(name: str) -> tuple[object, ...]:
        split = re.split("([0-9]+)", name)
        return tuple(int(it) if odd % 2 else it for odd, it in enumerate(split))

    def expected(name: str) -> tuple[object, ...]:
        return parts(name), name

    assert sorted(names, key=natural_order) == sorted(names, key=expected)
