"""Which addresses and networks partitions get."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapgrid.format.networks import (
    TUN_IPV4_NETWORK,
    AddressTaken,
    Purpose,
    choose_address,
    choose_host,
    choose_network,
    choose_tun_hosts,
    partition_address,
    partition_network,
)

PLACE = IPv6Interface("fd98:1::1/48")
FREE: Callable[[object], bool] = lambda _: False  # noqa: E731 - a word for the calls
TAKEN: Callable[[object], bool] = lambda _: True  # noqa: E731


@pytest.mark.parametrize(
    ("place", "index", "address"),
    [
        ("fd98:1::1/48", 0, "fd98:1::2/48"),
        ("fd98:1::1/48", 2, "fd98:1::4/48"),
        ("2001:db8:1:1::1/64", 1, "2001:db8:1:1::3/64"),
        ("2001:db8:1:1:8000::1/65", 0, "2001:db8:1:1:8000::2/65"),
        ("fd00::ffff/64", 0xFFFD, "fd00::ffff/64"),
        ("fd00::1/64", 0xFFFE, "fd00::1:0/64"),
        ("fd00::1/120", 251, "fd00::fd/120"),
        ("fd00::1/120", 252, "fd00::/120"),
        ("fd00::1/120", 254, "fd00::2/120"),
    ],
)
def test_a_partition_has_an_address_beside_its_computer(
    place: str, index: int, address: str
) -> None:
    """Two after the first; in a small network it begins again."""
    assert str(partition_address(IPv6Interface(place), index)) == address


@pytest.mark.parametrize("length", [127, 128])
def test_a_network_of_the_computer_alone_has_no_room(length: int) -> None:
    """With a sentence, not a division by nothing."""
    with pytest.raises(AddressTaken, match="has no room for partitions"):
        partition_address(IPv6Interface(f"fd00::1/{length}"), 0)


@pytest.mark.parametrize(
    ("place", "shift", "purpose", "index", "network"),
    [
        # What a stock node gave, see tests/golden/slapgrid/computer.xml.
        ("fd98:1::1/48", 16, Purpose.RANGE, 0, "fd98:1:0:4001::/64"),
        ("fd98:1::1/48", 16, Purpose.RANGE, 2, "fd98:1:0:4003::/64"),
        ("fd98:1::1/48", 16, Purpose.TAP, 0, "fd98:1:0:8001::/64"),
        ("fd98:1::1/48", 16, Purpose.TAP, 1, "fd98:1:0:8002::/64"),
        ("fd98:1::1/48", 16, Purpose.TUN, 2, "fd98:1:0:c003::/64"),
        ("2001:db8:1:1::1/64", 16, Purpose.RANGE, 1, "2001:db8:1:1:4002::/80"),
        # Other numbers of bits, aligned and not.
        ("fd98:1::1/48", 8, Purpose.RANGE, 0, "fd98:1:0:4100::/56"),
        ("fd98:1::1/48", 8, Purpose.TUN, 62, "fd98:1:0:ff00::/56"),
        ("fd98:1::1/48", 3, Purpose.RANGE, 0, "fd98:1:0:6000::/51"),
        ("fd98:1::1/48", 20, Purpose.RANGE, 0, "fd98:1:0:4000:1000::/68"),
        ("fd98:1:2:3:4:5:6:1/100", 16, Purpose.TAP, 0, "fd98:1:2:3:4:5:800:1000/116"),
        ("fd98:1::1/50", 16, Purpose.RANGE, 0, "fd98:1:0:1000:4000::/66"),
    ],
)
def test_a_partition_has_a_network_for_each_purpose(
    place: str, shift: int, purpose: Purpose, index: int, network: str
) -> None:
    """A quarter of the numbers for each, the first for nobody."""
    found = partition_network(IPv6Interface(place), shift, purpose, index)
    assert str(found) == network


@given(
    st.integers(8, 100),
    st.integers(3, 16),
    st.sampled_from(Purpose),
    st.integers(0, 2**128 - 1),
    st.data(),
)
def test_networks_of_partitions_never_meet(
    length: int, shift: int, purpose: Purpose, address: int, data: st.DataObject
) -> None:
    """All lie in the computer's network and hold none of the computer's first ones."""
    place = IPv6Interface((address, length))
    count = 2 ** (shift - 2) - 1
    index = data.draw(st.integers(0, count - 1))
    other = data.draw(
        st.tuples(st.sampled_from(Purpose), st.integers(0, count - 1)).filter(
            lambda it: it != (purpose, index)
        )
        if count > 1
        else st.sampled_from([(it, 0) for it in Purpose if it != purpose])
    )

    one = partition_network(place, shift, purpose, index)
    two = partition_network(place, shift, *other)

    assert one.prefixlen == length + shift
    assert one.subnet_of(place.network)
    assert not one.overlaps(two)
    assert place.network.network_address not in one


def test_a_partition_keeps_what_it_had() -> None:
    """Its instance knows these addresses."""
    address, network = IPv6Interface("fd98:1::77/48"), IPv6Network("fd98:1:0:7::/64")

    assert choose_address(PLACE, 0, address, FREE, "seed") == address
    assert (
        choose_network(
            PLACE, 16, Purpose.TAP, 0, kept=network, is_taken=FREE, seed="seed"
        )
        == network
    )


@pytest.mark.parametrize("kept", ["fd99::77/48", "fd98:1::77/64"])
def test_an_address_of_another_network_is_not_kept(kept: str) -> None:
    """The computer moved, and nobody reaches the old one."""
    chosen = choose_address(PLACE, 0, IPv6Interface(kept), FREE, "seed")
    assert chosen == IPv6Interface("fd98:1::2/48")


def test_what_is_taken_is_replaced_by_what_is_drawn() -> None:
    """The same on each run, another one for another partition."""
    own = partition_address(PLACE, 0)
    drawn = [
        choose_address(PLACE, 0, None, lambda it: it == own, seed)
        for seed in ("slappart0", "slappart0", "slappart1")
    ]

    assert drawn[0] == drawn[1]
    assert own != drawn[0] != drawn[2]
    assert all(it.network == PLACE.network for it in drawn)
    assert all(int(it.ip) - int(PLACE.network.network_address) < 2**16 for it in drawn)


def test_a_taken_network_is_replaced_only_among_numbers_of_16_bits() -> None:
    """As stock nodes do: other numbers of bits have no replacement."""
    own = partition_network(PLACE, 16, Purpose.TUN, 0)
    drawn = choose_network(
        PLACE,
        16,
        Purpose.TUN,
        0,
        kept=None,
        is_taken=lambda it: it == own,
        seed="seed",
    )
    assert drawn != own
    assert drawn.subnet_of(PLACE.network)

    with pytest.raises(AddressTaken, match=r"no network of fd98:1::/48 is free"):
        choose_network(
            PLACE, 15, Purpose.TUN, 0, kept=None, is_taken=TAKEN, seed="seed"
        )


def test_when_all_draws_are_taken_there_is_a_sentence() -> None:
    """After ten of them."""
    with pytest.raises(AddressTaken, match=r"no address of fd98:1::/48 is free"):
        choose_address(PLACE, 0, None, TAKEN, "seed")


def test_an_ipv4_address_is_drawn_once_for_all_time() -> None:
    """A format that was interrupted chooses it again."""
    network = IPv4Network("10.0.0.0/8")
    chosen = [choose_host(network, None, FREE, "seed") for _ in range(2)]

    assert chosen[0] == chosen[1]
    assert chosen[0].network.prefixlen == 32
    assert chosen[0].ip in network


def test_a_small_ipv4_network_is_used_up() -> None:
    """Neither the first nor the last address is given."""
    network = IPv4Network("10.0.0.0/29")
    given_before: set[IPv4Interface] = set()
    for number in range(6):
        chosen = choose_host(network, None, given_before.__contains__, f"{number}")
        given_before.add(chosen)

    assert sorted(str(it.ip) for it in given_before) == [
        f"10.0.0.{number}" for number in range(1, 7)
    ]
    with pytest.raises(AddressTaken, match=r"no address of 10.0.0.0/29 is free"):
        choose_host(network, None, given_before.__contains__, "7")


@pytest.mark.parametrize(
    ("count", "addresses"),
    [
        (0, []),
        (1, ["172.16.0.1/12"]),
        (2, ["172.16.0.1/13", "172.24.0.1/13"]),
        (3, ["172.16.0.1/14", "172.20.0.1/14", "172.24.0.1/14"]),
    ],
)
def test_tuns_share_a_private_network(count: int, addresses: list[str]) -> None:
    """Split as stock nodes split it."""
    assert [str(it) for it in choose_tun_hosts(count, ())] == addresses


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_more_tuns_never_meet_those_that_were_there(counts: list[int]) -> None:
    """However often partitions are added."""
    hosts: tuple[IPv4Interface, ...] = ()
    for count in sorted(counts):
        hosts = choose_tun_hosts(count, hosts)

        networks = [it.network for it in hosts]
        assert len(hosts) == count
        assert all(it.subnet_of(TUN_IPV4_NETWORK) for it in networks)
        assert not any(
            one.overlaps(two)
            for number, one in enumerate(networks)
            for two in networks[:number]
        )


def test_tuns_that_were_there_keep_their_addresses() -> None:
    """Where there is room for the others."""
    three = choose_tun_hosts(3, ())
    assert choose_tun_hosts(5, three)[:3] == three
    assert choose_tun_hosts(16, three)[:3] == three
