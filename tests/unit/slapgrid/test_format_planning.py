"""From what shall be and what is there to what is to be done."""

from __future__ import annotations

import json
from collections.abc import Iterable
from ipaddress import ip_network
from types import MappingProxyType

import pytest
from attrs import evolve

from slapgrid.format.choosing import FormatRefused, choose_computer
from slapgrid.format.computer import FormattedComputer
from slapgrid.format.machine import (
    Accounts,
    FoundEntry,
    NetworkRoute,
    ObservedFiles,
    ObservedNetwork,
    User,
    decode_accounts,
    decode_links,
    decode_routes,
)
from slapgrid.format.planning import (
    Owners,
    Placement,
    plan_accounts,
    plan_directories,
    plan_network,
    plan_resources,
)
from slapgrid.format.previous import PreviousComputer
from slapgrid.format.settings import FormatSettings
from tests.unit.slapgrid.format_samples import (
    a_link,
    a_network,
    a_wish,
    on_interface,
)

ETH0 = a_link("eth0", "192.0.2.1/24", "fd98:1::1/48")
HOST = a_network(ETH0)
ROOTS = ("/srv/example/inst", "/srv/example/soft")


def a_computer(settings: FormatSettings, **fields: object) -> FormattedComputer:
    return choose_computer(a_wish(settings, **fields), HOST, PreviousComputer())


def sentences(actions: Iterable[object]) -> list[str]:
    return [str(it) for it in actions]


def network_plan(
    settings: FormatSettings, network: ObservedNetwork = HOST
) -> list[str]:
    computer = a_computer(settings)
    owners = tuple(it.user_name for it in computer.partitions)
    placement = Placement("eth0", "eth0", owners)
    return sentences(plan_network(computer, placement, network))


ONE = on_interface(partition_amount=1, has_tuns=True, tap_gateway_interface="eth0")
IPV4 = str(a_computer(ONE).partitions[0].addresses[0])
EVERYTHING = [
    "sysctl -q -w net.ipv6.ip_nonlocal_bind=1",
    f"ip address replace {IPV4} dev eth0",
    "ip address replace fd98:1::2/48 dev eth0",
    "ip tuntap add dev slaptap0 mode tap user slapuser0",
    "ip link set dev slaptap0 up",
    (
        "ip address replace fd98:1:0:8001:ffff:ffff:ffff:ffff/64 dev slaptap0 "
        "noprefixroute nodad"
    ),
    "ip tuntap add dev slaptun0 mode tun user slapuser0",
    "ip link set dev slaptun0 up",
    "ip address replace 172.16.0.1/12 dev slaptun0",
    "ip address replace fd98:1:0:c001::1/64 dev slaptun0 nodad",
    "ip route replace local fd98:1:0:4001::/64 dev lo",
    "ip route replace fd98:1:0:8001::1/128 dev slaptap0",
    "ip route replace fd98:1:0:8001::/64 via fd98:1:0:8001::1 dev slaptap0",
    "ip route replace 192.0.2.2/32 dev slaptap0",
]
DONE = ObservedNetwork(
    MappingProxyType(
        {
            it.name: it
            for it in (
                a_link("eth0", "192.0.2.1/24", "fd98:1::1/48", IPV4, "fd98:1::2/48"),
                a_link("slaptap0", "fd98:1:0:8001:ffff:ffff:ffff:ffff/64", kind="tap"),
                a_link("slaptun0", "172.16.0.1/12", "fd98:1:0:c001::1/64", kind="tun"),
            )
        }
    ),
    frozenset(
        {
            NetworkRoute(ip_network("fd98:1:0:4001::/64"), "lo", is_local=True),
            NetworkRoute(ip_network("fd98:1:0:8001::1/128"), "slaptap0"),
            NetworkRoute(
                ip_network("fd98:1:0:8001::/64"), "slaptap0", "fd98:1:0:8001::1"
            ),
            NetworkRoute(ip_network("192.0.2.2/32"), "slaptap0"),
        }
    ),
    can_bind_nonlocal=True,
)


def test_a_new_partition_gets_addresses_devices_and_routes() -> None:
    """In the order in which they need each other."""
    assert network_plan(ONE) == EVERYTHING


def test_a_host_that_is_as_wanted_is_left_alone() -> None:
    """No action at all."""
    assert network_plan(ONE, DONE) == []


@pytest.mark.parametrize("name", ["eth0", "slaptap0", "slaptun0"])
def test_each_missing_address_is_added_again(name: str) -> None:
    """And nothing besides."""
    link = DONE.links[name]
    for gone in link.addresses:
        if str(gone.interface) in {"192.0.2.1/24", "fd98:1::1/48"}:
            continue
        rest = tuple(it for it in link.addresses if it != gone)
        links = {**DONE.links, name: evolve(link, addresses=rest)}

        (sentence,) = network_plan(ONE, evolve(DONE, links=links))

        assert sentence in EVERYTHING
        assert str(gone.interface) in sentence


@pytest.mark.parametrize("route", sorted(DONE.routes, key=str), ids=str)
def test_each_missing_route_is_added_again(route: NetworkRoute) -> None:
    """And nothing besides."""
    (sentence,) = network_plan(ONE, evolve(DONE, routes=DONE.routes - {route}))

    assert sentence in EVERYTHING
    assert f"{route.destination}" in sentence


def test_a_device_that_is_down_is_raised() -> None:
    """As after an interruption between the two."""
    down = evolve(DONE.links["slaptap0"], is_up=False)
    network = evolve(DONE, links={**DONE.links, "slaptap0": down})

    assert network_plan(ONE, network) == ["ip link set dev slaptap0 up"]


def test_a_device_of_another_kind_is_refused() -> None:
    """It is somebody else's."""
    other = evolve(DONE.links["slaptap0"], kind="bridge")
    network = evolve(DONE, links={**DONE.links, "slaptap0": other})

    with pytest.raises(FormatRefused, match="slaptap0 is there and is no tap"):
        network_plan(ONE, network)


def test_neighbours_are_not_asked_where_there_are_none() -> None:
    """Without a carrier, an address would be asked about for ever."""
    deaf = evolve(ETH0, has_carrier=False)
    plan = network_plan(ONE, evolve(HOST, links={**HOST.links, "eth0": deaf}))

    assert "ip address replace fd98:1::2/48 dev eth0 nodad" in plan
    assert f"ip address replace {IPV4} dev eth0" in plan


def test_what_is_not_wanted_is_not_made() -> None:
    """No range, no tap, no tun."""
    settings = on_interface(partition_amount=1, has_ranges=False, has_taps=False)

    assert network_plan(settings) == EVERYTHING[1:3]


def test_a_tap_without_a_network_has_no_address() -> None:
    """It is a device and no more."""
    settings = on_interface(
        partition_amount=1, has_ranges=False, has_tap_networks=False
    )

    assert network_plan(settings) == EVERYTHING[1:5]


# Accounts.

PASSWD = b"""\
root:x:0:0:root:/root:/bin/sh
slapsoft:x:998:997::/srv/example/soft:/bin/sh
slapuser0:x:996:995::/srv/example/inst/slappart0:/bin/sh
slapuser1:x:994:993::/elsewhere:/bin/sh
broken line
"""
GROUP = b"slapsoft:x:997:slapuser0\nslapuser0:x:995:\nslapuser2:x:990:\n"
SHADOW = b"slapsoft:!:1::::::\nslapuser0:!:1::::::\nslapuser1:$6$x:1::::::\n"


def accounts_plan(accounts: Accounts, **fields: object) -> list[str]:
    computer = a_computer(on_interface(**fields), groups=("slapsoft",))
    return sentences(plan_accounts(computer, "slapsoft", "/srv/example/soft", accounts))


def test_missing_users_are_made_without_a_password() -> None:
    """In the group that may read releases."""
    home = "--system --no-create-home --home-dir"
    assert accounts_plan(Accounts(), partition_amount=1) == [
        "groupadd --system slapsoft",
        f"useradd {home} /srv/example/soft --shell /bin/sh --gid slapsoft slapsoft",
        (
            f"useradd {home} /srv/example/inst/slappart0 --shell /bin/sh --user-group "
            "--groups slapsoft slapuser0"
        ),
    ]


def test_only_what_differs_of_users_is_changed() -> None:
    """The first is as wanted; of the third an interrupted format made the group."""
    accounts = decode_accounts(PASSWD, GROUP, SHADOW)

    assert accounts_plan(accounts, partition_amount=3) == [
        "usermod --home /srv/example/inst/slappart1 slapuser1",
        "usermod --append --groups slapsoft slapuser1",
        "usermod --lock slapuser1",
        (
            "useradd --system --no-create-home --home-dir /srv/example/inst/slappart2 "
            "--shell /bin/sh --gid slapuser2 --groups slapsoft slapuser2"
        ),
    ]


def test_root_is_nobodys_user() -> None:
    """Whatever user_base_name makes of it."""
    users = {"slapuser0": User("slapuser0", 0, 0)}

    with pytest.raises(FormatRefused, match="the user slapuser0 is root"):
        accounts_plan(Accounts(users), partition_amount=1)


# Directories.

OWNERS = Owners("slapsoft", {"slapsoft": 998, "slapuser0": 996})


def found(mode: int, uid: int = 0, *, is_directory: bool = True) -> FoundEntry:
    return FoundEntry(is_directory, mode, uid)


def directories_plan(files: ObservedFiles, owners: Owners | None = OWNERS) -> list[str]:
    settings = on_interface(partition_amount=1)
    computer = a_computer(settings, storages=("/mnt/data0",))
    return sentences(plan_directories(computer, ROOTS, files, owners))


def test_directories_belong_to_those_who_write_in_them() -> None:
    """Partitions are closed to others; releases are not."""
    assert directories_plan(ObservedFiles()) == [
        "make the directory /srv/example/inst, mode 755",
        "make the directory /srv/example/soft, mode 755 of slapsoft",
        "make the directory /srv/example/inst/slappart0, mode 750 of slapuser0",
        "make the directory /mnt/data0/slappart0, mode 750 of slapuser0",
    ]


def test_only_directories_that_differ_are_touched() -> None:
    """In mode or owner."""
    files = ObservedFiles(
        {
            ROOTS[0]: found(0o755),
            ROOTS[1]: found(0o755, 998),
            f"{ROOTS[0]}/slappart0": found(0o755, 996),
            "/mnt/data0/slappart0": found(0o750, 0),
        }
    )

    assert directories_plan(files) == [
        "make the directory /srv/example/inst/slappart0, mode 750 of slapuser0",
        "make the directory /mnt/data0/slappart0, mode 750 of slapuser0",
    ]


def test_an_ordinary_user_owns_everything() -> None:
    """Owners are not looked at."""
    files = ObservedFiles(
        {
            **dict.fromkeys(ROOTS, found(0o755, 1000)),
            f"{ROOTS[0]}/slappart0": found(0o750, 1000),
            "/mnt/data0/slappart0": found(0o750, 1000),
        }
    )

    assert directories_plan(files, None) == []


def test_a_file_in_place_of_a_directory_is_refused() -> None:
    """It is not removed: it may be somebody's."""
    files = ObservedFiles({ROOTS[0]: found(0o755, is_directory=False)})

    with pytest.raises(FormatRefused, match="inst is there and is no directory"):
        directories_plan(files)


def test_recipes_are_told_only_what_is_new() -> None:
    """A resource that is the same is not written."""
    computer = a_computer(on_interface(partition_amount=2))
    first, second = computer.partitions
    path = f"{first.path}/.slapos-resource"
    files = ObservedFiles(contents={path: first.render_resource()})

    planned = list(plan_resources(computer, files))

    assert [(it.path, it.content) for it in planned] == [
        (f"{second.path}/.slapos-resource", second.render_resource())
    ]


# What the host says.


def test_links_are_read() -> None:
    """Devices by their kind, addresses by what they are good for."""
    answer = [
        {},
        {
            "ifname": "t0",
            "flags": ["NO-CARRIER", "UP"],
            "linkinfo": {"info_kind": "tun", "info_data": {"type": "tap"}},
            "addr_info": [
                {"local": "fd00::1", "prefixlen": 64, "scope": "global"},
                {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
                {
                    "local": "fd00::2",
                    "prefixlen": 64,
                    "scope": "global",
                    "tentative": True,
                    "dadfailed": True,
                },
                {
                    "local": "fd00::3",
                    "prefixlen": 64,
                    "scope": "global",
                    "temporary": True,
                },
            ],
        },
    ]

    link = decode_links(json.dumps(answer).encode())["t0"]

    assert (link.kind, link.is_up, link.has_carrier) == ("tap", True, False)
    assert [
        (str(it.interface), it.is_lasting, it.is_tentative, it.has_failed)
        for it in link.addresses
    ] == [
        ("fd00::1/64", True, False, False),
        ("fe80::1/64", False, False, False),
        ("fd00::2/64", True, True, True),
        ("fd00::3/64", False, False, False),
    ]


def test_routes_are_read() -> None:
    """Those of the host itself too."""
    answer = [
        {"dst": "default", "gateway": "fe80::1", "dev": "eth0"},
        {"dst": "fd00::1", "dev": "t0"},
        {"type": "local", "dst": "fd01::/64", "dev": "lo", "table": "local"},
    ]

    assert decode_routes(json.dumps(answer).encode(), 6) == {
        NetworkRoute(ip_network("::/0"), "eth0", "fe80::1"),
        NetworkRoute(ip_network("fd00::1/128"), "t0"),
        NetworkRoute(ip_network("fd01::/64"), "lo", is_local=True),
    }
