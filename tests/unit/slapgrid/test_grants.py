"""What instances ask of their computer: files that nobody vouches for, and answers."""

from __future__ import annotations

import json
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap.model import NetworkAddress, Partition, PartitionKey, RequestedState, Route
from slapgrid.grants.asking import BadGrant
from slapgrid.grants.firewall import (
    Guard,
    Whitelist,
    decode_whitelist,
    guarded_addresses,
    plan_guard,
    render_ruleset,
)
from slapgrid.grants.redirections import (
    Redirection,
    decode_redirections,
    plan_programs,
    render_command,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "slapgrid"
ADDRESSES = ("10.0.0.1", "fd00::2")
NOBODY: frozenset[int] = frozenset()


def redirections(*entries: object) -> tuple[Redirection, ...]:
    return decode_redirections(json.dumps(entries).encode(), ADDRESSES)


def networks(*texts: str) -> tuple[IPv4Network, ...]:
    return tuple(map(IPv4Network, texts))


def test_a_redirection_leads_to_the_partition_unless_it_says_where() -> None:
    """As stock nodes read the file, ports in digits or as a text."""
    asked = redirections(
        {"srcPort": 8080, "destPort": "80"},
        {
            "type": "UDP",
            "srcPort": 5353,
            "srcAddress": "fd00::9",
            "destPort": 53,
            "destAddress": "10.0.0.7",
        },
    )

    assert asked == (
        Redirection("tcp", 8080, IPv6Address("fd00::2"), 80),
        Redirection(
            "udp", 5353, ip_address("10.0.0.7"), 53, source=ip_address("fd00::9")
        ),
    )
    assert [each.program_name for each in asked] == ["socat-tcp-8080", "socat-udp-5353"]
    assert [render_command(each) for each in asked] == [
        "socat TCP4-LISTEN:8080,reuseaddr,fork TCP6:[fd00::2]:80",
        "socat UDP6-LISTEN:5353,bind=[fd00::9],fork UDP4:10.0.0.7:53",
    ]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (7, "entry 1: it must be an object, not 7"),
        ({"srcPort": 1}, "destPort must be 1 to 65535, not None"),
        ({"srcPort": 65536, "destPort": 1}, "srcPort must be 1 to 65535, not 65536"),
        ({"srcPort": True, "destPort": 1}, "srcPort must be 1 to 65535, not True"),
        (
            {"type": "sctp", "srcPort": 1, "destPort": 1},
            "type must be tcp or udp, not 'sctp'",
        ),
        (
            {"srcPort": 1, "destPort": 1, "destAddress": "1.2.3.4,EXEC:sh"},
            "destAddress must be an IP address, not '1.2.3.4,EXEC:sh'",
        ),
        (
            {"srcPort": 1, "destPort": 1, "srcAddress": "fe80::1%eth0,x"},
            "srcAddress must be an IP address, not 'fe80::1%eth0,x'",
        ),
    ],
)
def test_what_cannot_be_redirected_is_said(entry: object, sentence: str) -> None:
    """Nothing of the file becomes part of a command unless it is a number."""
    with pytest.raises(BadGrant) as raised:
        redirections(entry)

    assert sentence in str(raised.value)


def test_a_port_that_is_there_twice_is_refused() -> None:
    """Which one was meant is not for us to know."""
    one = {"srcPort": 8080, "destPort": 80}

    with pytest.raises(BadGrant, match="entry 2: tcp port 8080 is there twice"):
        redirections(one, one)


def test_without_ipv6_the_target_must_be_said() -> None:
    with pytest.raises(BadGrant, match="the partition has no IPv6"):
        decode_redirections(b'[{"srcPort": 8080, "destPort": 1}]', ("10.0.0.1",))


@pytest.mark.parametrize(
    ("port", "allowed", "uid", "is_root"),
    [(1024, NOBODY, 1000, False), (80, frozenset({80}), 0, True)],
)
def test_only_a_low_port_that_is_allowed_is_opened_by_root(
    port: int, allowed: frozenset[int], uid: int, *, is_root: bool
) -> None:
    """All others by the partition's user."""
    asked = redirections({"srcPort": port, "destPort": 80})

    (program,) = plan_programs(asked, allowed, uid)

    assert program.is_root is is_root


@pytest.mark.parametrize(
    ("allowed", "uid", "sentence"),
    [
        (frozenset({443}), 0, "have the operator add it to redirect_port_list"),
        (frozenset({80}), 1000, "port 80 needs an agent that root runs"),
    ],
)
def test_a_low_port_that_is_not_given_is_refused(
    allowed: frozenset[int], uid: int, sentence: str
) -> None:
    """The sentence says what to change."""
    with pytest.raises(BadGrant, match=sentence):
        plan_programs(redirections({"srcPort": 80, "destPort": 80}), allowed, uid)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{", "is no JSON"),
        (b"[" * 60000, "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"{}", "must hold a list, not {}"),
        (b"[" + b"1," * 256 + b"1]", "has 257 entries: 256 may be asked for"),
        (b"[1]", "entry 1 must be an IPv4 address, not 1"),
        (b'["::1"]', "entry 1 must be an IPv4 address, not '::1'"),
        (b'["1.2.3.4; drop"]', "entry 1 must be an IPv4 address"),
    ],
)
def test_a_whitelist_that_is_none_is_refused(content: bytes, sentence: str) -> None:
    """With the number of the entry."""
    with pytest.raises(BadGrant) as raised:
        decode_whitelist(content)

    assert sentence in str(raised.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Nothing else comes of them."""
    for decode in (
        decode_whitelist,
        lambda asked: decode_redirections(asked, ADDRESSES),
    ):
        with suppress(BadGrant):
            assert isinstance(decode(content), tuple)


def test_addresses_that_overlap_become_one() -> None:
    """A set of nft refuses the others."""
    found = decode_whitelist(b'["10.0.0.0/8", "10.1.2.3", "1.2.3.4", "1.2.3.4"]')

    assert found == networks("1.2.3.4/32", "10.0.0.0/8")


def test_only_addresses_of_routes_are_guarded() -> None:
    """Whichever list of the master they stand in."""
    partition = Partition(
        PartitionKey("COMP-1", "slappart0"),
        RequestedState.STARTED,
        (
            NetworkAddress("slappart0", "10.0.0.1"),
            NetworkAddress("route_slaptap0", "fd00::1"),
            NetworkAddress("route_slaptap0", "10.1.0.2"),
        ),
        routes=(Route("route_slaptap0", "10.1.0.3", "10.1.0.1", "255.255.0.0"),),
    )

    assert guarded_addresses(partition) == networks("10.1.0.2/31")


def test_a_tree_is_alone_unless_its_filter_says_otherwise() -> None:
    """Restricted: the tree and who is named. Off: all but who is rejected."""
    ours, tree = networks("10.1.0.2"), ("10.1.0.9", "fd00::1")
    operator = networks("192.0.2.0/24")
    restricted = {"fw_authorized_sources": "198.51.100.7"}
    off = {
        "fw_restricted_access": "off",
        "fw_rejected_sources": "203.0.113.0/24",
    }

    assert plan_guard(ours, tree, operator, restricted) == Guard(
        ours, networks("10.1.0.9/32", "192.0.2.0/24", "198.51.100.7/32")
    )
    assert plan_guard(ours, tree, (), off) == Guard(
        ours, networks("10.1.0.9/32"), networks("203.0.113.0/24")
    )
    with pytest.raises(BadGrant, match="fw_authorized_sources must name IPv4"):
        plan_guard(ours, tree, (), {"fw_authorized_sources": "everybody"})


def test_the_rules_of_a_computer_are_one_transaction() -> None:
    """The file that nft reads; without rules it only removes the table."""
    rules = render_ruleset(
        {
            "slappart1": Whitelist(1001, networks("10.0.0.0/8", "1.2.3.4/32")),
            "slappart10": Whitelist(1010),
        },
        {
            "slappart1": Guard(networks("10.1.0.2/32"), networks("10.1.0.9/32")),
            "slappart2": Guard(networks("10.1.0.3/32"), (), networks("203.0.113.0/24")),
        },
    )

    assert rules == (GOLDEN / "firewall.nft").read_text()
    assert render_ruleset({}, {}) == (
        "add table inet slapgrid\ndelete table inet slapgrid\n"
    )
