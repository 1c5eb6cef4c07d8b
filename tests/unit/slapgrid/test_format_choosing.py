"""What a computer shall be."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Interface

import pytest
from attrs import evolve

from slap.marshalling import loads
from slap.model import NetworkAddress, Route
from slap.xml_codec import decode_definition, encode_definition
from slapgrid.format.choosing import FormatRefused, choose_computer, choose_place
from slapgrid.format.computer import FormattedComputer
from slapgrid.format.definition_files import read_definition, render_definition
from slapgrid.format.machine import LinkAddress
from slapgrid.format.previous import PreviousComputer, decode_previous
from slapgrid.format.records import render_xml
from slapgrid.format.settings import FormatSettings
from slapgrid.settings import ConfigError
from tests.unit.slapgrid.format_samples import (
    STOCK_DESCRIPTION,
    a_link,
    a_network,
    a_wish,
    golden,
    on_interface,
    stock_config,
)

NOTHING = PreviousComputer()
ETH0 = a_link("eth0", "192.0.2.7/24", "fd98:1::1/48")


def chosen(
    settings: FormatSettings, previous: PreviousComputer = NOTHING
) -> FormattedComputer:
    return choose_computer(a_wish(settings), a_network(ETH0), previous)


def previous_of(computer: FormattedComputer) -> PreviousComputer:
    return decode_previous(render_xml(computer.describe()))


def test_a_computer_that_a_stock_node_recorded_stays_as_it_is() -> None:
    """Its record, written again, has the same bytes."""
    network = a_network(
        a_link("lo", "127.0.0.1/8", "fd98:1::1/48"), a_link("dum1", "10.42.0.1/24")
    )
    wish = a_wish(stock_config().format, description=STOCK_DESCRIPTION)

    computer = choose_computer(wish, network, decode_previous(golden("computer.xml")))

    assert render_xml(computer.describe()) == golden("computer.xml")


def test_recipes_read_what_a_stock_node_wrote_for_them() -> None:
    """To the byte."""
    network = a_network(
        a_link("lo", "127.0.0.1/8", "fd98:1::1/48"), a_link("dum1", "10.42.0.1/24")
    )
    computer = choose_computer(
        a_wish(stock_config().format), network, decode_previous(golden("computer.xml"))
    )

    rendered = computer.partitions[0].render_resource()

    assert rendered == golden("slapos-resource.json")


def test_without_a_record_only_drawn_addresses_differ() -> None:
    """All IPv6 addresses and networks follow from the computer's."""
    network = a_network(
        a_link("lo", "127.0.0.1/8", "fd98:1::1/48"), a_link("dum1", "10.42.0.1/24")
    )
    wish = a_wish(stock_config().format, description=STOCK_DESCRIPTION)
    recorded = loads(golden("computer.xml"))

    described = choose_computer(wish, network, NOTHING).describe()

    assert isinstance(recorded, dict)
    for partition in (*described["partition_list"], *recorded["partition_list"]):  # type: ignore[misc, union-attr, operator]
        del partition["address_list"][0]  # type: ignore[index, call-overload, union-attr, arg-type]
    assert described == recorded


def test_more_partitions_leave_the_first_ones_as_they_are() -> None:
    """Their addresses, networks and devices."""
    settings = on_interface(has_tuns=True, tap_gateway_interface="eth0")
    before = chosen(settings)

    after = chosen(evolve(settings, partition_amount=7), previous_of(before))

    assert after.partitions[:3] == before.partitions
    addresses = [it for each in after.partitions for it in each.addresses]
    assert len(set(addresses)) == 14


def test_fewer_partitions_are_refused() -> None:
    """Instances may be in those that would go."""
    previous = previous_of(chosen(on_interface()))

    with pytest.raises(FormatRefused, match="has 3 partitions, and partition_amount"):
        chosen(on_interface(partition_amount=2), previous)


def test_a_computer_that_moved_has_its_partitions_move() -> None:
    """What they had is reached by nobody."""
    previous = previous_of(chosen(on_interface()))
    moved = a_network(a_link("eth0", "fd99::1/64"))

    computer = choose_computer(a_wish(on_interface()), moved, previous)

    assert [str(it.addresses[1]) for it in computer.partitions] == [
        "fd99::2/64",
        "fd99::3/64",
        "fd99::4/64",
    ]
    assert str(computer.partitions[0].ipv6_range) == "fd99::4001:0:0:0/80"


def test_an_address_that_a_neighbour_has_is_replaced() -> None:
    """The others keep theirs."""
    taken = frozenset({IPv6Interface("fd98:1::3/48")})
    settings = on_interface()

    computer = choose_computer(a_wish(settings), a_network(ETH0), NOTHING, taken)

    addresses = [str(it.addresses[1]) for it in computer.partitions]
    assert (addresses[0], addresses[2]) == ("fd98:1::2/48", "fd98:1::4/48")
    assert addresses[1] not in {"fd98:1::1/48", "fd98:1::3/48"}


def test_an_address_of_another_interface_is_replaced() -> None:
    """The kernel would answer for it there."""
    network = a_network(ETH0, a_link("eth1", "fd98:1::2/48"))

    computer = choose_computer(a_wish(on_interface()), network, NOTHING)

    assert str(computer.partitions[0].addresses[1].ip) != "fd98:1::2"


def test_what_a_later_partition_had_is_not_given_to_an_earlier_one() -> None:
    """A record says that the first is new and the second had its address."""
    before = chosen(on_interface(partition_amount=2))
    second = evolve(
        previous_of(before).partitions["slappart1"], ipv6=IPv6Interface("fd98:1::2/48")
    )
    previous = PreviousComputer(partitions={"slappart1": second})

    computer = chosen(on_interface(partition_amount=2), previous)

    addresses = [str(it.addresses[1].ip) for it in computer.partitions]
    assert addresses[1] == "fd98:1::2"
    assert addresses[0] not in {"fd98:1::1", "fd98:1::2"}


@pytest.mark.parametrize(
    ("addresses", "previous", "place"),
    [
        (["fd01::5/64", "fd01::3/64"], NOTHING, "fd01::3/64"),
        (["fd01::1/64", "fd02::1/48"], NOTHING, "fd02::1/48"),
        (
            ["fd01::1/64", "fd02::1/48"],
            PreviousComputer(
                IPv6Interface("fd01::9/64").ip, IPv6Interface("fd01::/64").network
            ),
            "fd01::1/64",
        ),
        (
            ["fd01::1/64", "fd01::9/64"],
            PreviousComputer(
                IPv6Interface("fd01::9/64").ip, IPv6Interface("fd01::/64").network
            ),
            "fd01::9/64",
        ),
        (["192.0.2.1/24"], NOTHING, "None"),
    ],
)
def test_the_place_of_a_computer_is_the_one_it_had_or_the_largest(
    addresses: list[str], previous: PreviousComputer, place: str
) -> None:
    """And of several the lowest."""
    assert str(choose_place(a_link("eth0", *addresses), previous)) == place


def test_a_passing_address_is_no_place() -> None:
    """Those of privacy extensions go within a day."""
    passing = LinkAddress(IPv6Interface("fd01::1/32"), is_lasting=False)
    failed = LinkAddress(IPv6Interface("fd02::1/32"), has_failed=True)
    link = a_link("eth0", "fd03::1/64")

    link = evolve(link, addresses=(passing, failed, *link.addresses))

    assert str(choose_place(link, NOTHING)) == "fd03::1/64"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"interface_name": "eth9"}, "there is no interface eth9: the computer has"),
        ({"ipv6_interface": "lo"}, "lo has no global IPv6 address: give it one, or"),
        ({"tap_gateway_interface": "lo2"}, "there is no interface lo2"),
        (
            {"ipv4_local_network": IPv4Network("10.0.0.0/31")},
            "no address of 10.0.0.0/31 is free",
        ),
        ({"tap_gateway_interface": "few"}, "192.0.2.8/30 of tap_gateway_interface few"),
        ({"ipv6_interface": "narrow"}, "fd01::1/120 leaves 8 bits, too few for ipv6"),
        ({"ipv6_interface": "single"}, "fd01::1/128 has no room for partitions"),
    ],
)
def test_what_is_missing_on_the_host_is_named(
    fields: dict[str, object], sentence: str
) -> None:
    """With what to do."""
    host = a_network(
        ETH0,
        a_link("few", "192.0.2.9/30"),
        a_link("narrow", "fd01::1/120"),
        a_link("single", "fd01::1/128"),
    )
    lo = evolve(host.links["lo"], addresses=host.links["lo"].addresses[:1])
    host = evolve(host, links={**host.links, "lo": lo})

    with pytest.raises(FormatRefused) as refused:
        choose_computer(a_wish(on_interface(**fields)), host, NOTHING)

    assert str(refused.value).startswith(sentence)


def test_where_nothing_is_altered_ipv4_addresses_that_are_there_are_used() -> None:
    """And the given one when there are too few."""
    network = a_network(a_link("eth0", "10.0.0.7/16", "10.0.0.5/32", "fd98:1::1/48"))
    settings = on_interface(may_alter_network=False)

    computer = choose_computer(a_wish(settings), network, NOTHING)

    assert [str(it.addresses[0]) for it in computer.partitions] == [
        "10.0.0.5/32",
        "10.0.0.7/32",
        "127.0.0.1/32",
    ]


def test_a_master_is_told_of_addresses_and_routes() -> None:
    """Of the device that carries them."""
    settings = on_interface(tap_gateway_interface="eth0", partition_amount=1)

    partition = chosen(settings).define().partitions[0]

    assert partition.routes == (
        Route("route_slaptap0", "192.0.2.1", "192.0.2.7", "255.255.255.0", "192.0.2.0"),
    )
    assert partition.addresses[1] == NetworkAddress("slaptap0", "fd98:1::2")


def test_a_master_reads_in_the_document_what_it_is_told() -> None:
    """Of partitions with every device, and of partitions without any."""
    everything = on_interface(has_tuns=True, tap_gateway_interface="eth0")
    bare = on_interface(has_taps=False, has_ranges=False)

    for settings in (everything, bare):
        told = chosen(settings).define()

        document = encode_definition(told)

        assert decode_definition(document) == told
        assert told.document == loads(document)


DEFINITION = """\
[computer]
address = fd98:1::1/ffff:ffff:ffff::
software_user = builder
[partition_0]
user = someone
address = 192.0.2.10/255.255.255.255 fd98:1::a/48
network_interface = br0
pathname = slappart0
capability_list = large "very fast"
[partition_1]
address = fd98:1::b/48 192.0.2.11/32
ipv6_range = fd98:1:0:1::/64
"""


def test_a_definition_file_says_what_partitions_have() -> None:
    """Instead of what would be chosen."""
    defined = read_definition(DEFINITION)
    settings = on_interface(input_definition_file="/x.cfg", partition_amount=2)

    computer = choose_computer(a_wish(settings, defined=defined), a_network(), NOTHING)

    first, second = computer.partitions
    assert str(computer.address) == "fd98:1::1/48"
    assert [str(it) for it in first.addresses] == ["192.0.2.10/32", "fd98:1::a/48"]
    assert first.capabilities == ("large", "very fast")
    assert first.tap is not None
    assert first.tap.name == "br0"
    assert [str(it) for it in second.addresses] == ["192.0.2.11/32", "fd98:1::b/48"]
    assert str(second.ipv6_range) == "fd98:1:0:1::/64"
    assert second.tap is None


def test_a_definition_file_that_is_written_defines_the_same() -> None:
    """What a format chose can be kept by hand."""
    computer = chosen(on_interface())

    defined = read_definition(render_definition(computer, "slapsoft").decode())

    settings = on_interface(input_definition_file="/x.cfg")
    again = choose_computer(a_wish(settings, defined=defined), a_network(), NOTHING)
    assert [it.addresses for it in again.partitions] == [
        it.addresses for it in computer.partitions
    ]
    assert [it.ipv6_range for it in again.partitions] == [
        it.ipv6_range for it in computer.partitions
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("address = x", "not a definition file"),
        ("[computer]\n", "[computer] address is missing in the definition file"),
        ("[computer]\naddress = x\n", "[computer] address: 'x' does not appear"),
        (
            "[computer]\naddress = ::1/128\n[partition_1]\naddress=1.2.3.4 ::1\n",
            "a definition file has partition_0 to partition_N, not [1]",
        ),
        (
            "[computer]\naddress = ::1/128\n[partition_0]\naddress = ::1/128\n",
            "[partition_0] address must be one IPv4 and one IPv6 address",
        ),
        (
            "[computer]\naddress=::1\n[partition_0]\naddress=::1 ::2\nipv6_range=::1/9",
            "[partition_0] address must be one IPv4 and one IPv6 address",
        ),
    ],
)
def test_a_definition_file_at_fault_is_refused(text: str, sentence: str) -> None:
    """With its section and key."""
    with pytest.raises(ConfigError) as refused:
        read_definition(text)

    assert str(refused.value).startswith(sentence)


def test_too_short_a_definition_file_is_refused() -> None:
    """It would leave partitions without addresses."""
    settings = on_interface(input_definition_file="/x.cfg")
    wish = a_wish(settings, defined=read_definition(DEFINITION))

    with pytest.raises(FormatRefused, match="has 2 partitions, and partition_amount"):
        choose_computer(wish, a_network(), NOTHING)
