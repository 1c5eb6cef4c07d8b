"""What is removed of a computer, in which order, and what is left."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, IPv6Network

from attrs import evolve

from slapcluster.uninstalling.planning import (
    Kind,
    Present,
    plan_network_removal,
    plan_uninstallation,
)
from slapgrid.format.machine import Link, LinkAddress, NetworkRoute, ObservedNetwork
from slapgrid.format.previous import PreviousComputer, PreviousPartition
from slapgrid.format.settings import FormatSettings

RELEASE = "0123456789abcdef0123456789abcdef"
ALL = Present(
    settings="/etc/slapos.cfg",
    instance_root="/srv",
    software_root="/opt",
    unit="/etc/systemd/system/slapgrid.service",
    agent=17,
    has_mark=True,
    has_rules=True,
    has_supervision=True,
    instance_names=("etc", "photos", "slappart0", "var"),
    partitions=("slappart0",),
    owned=("etc/supervisord.conf", "var/slapgrid"),
    software_names=(RELEASE, "nginx"),
    storages=("/data0/slappart0",),
    network=("link delete dev slaptap0",),
    users=("slapuser0",),
    certificate_directory="/certs",
    certificates=("/certs/slappart0.crt",),
    identity_directory="/etc/identity",
    identity_names=("own.crt", "own.key", "root.crt", "root.key"),
    shared_part_directories=("/opt/shared",),
    places=("/srv", "/opt", "/certs", "/etc/identity"),
)


def words(present: Present) -> list[str]:
    return [f"{it.kind}: {it.what}" for it in plan_uninstallation(present).removals]


def test_what_runs_ends_first_and_what_says_where_all_is_goes_last() -> None:
    assert words(ALL) == [
        "unit: /etc/systemd/system/slapgrid.service",
        "agent: process 17",
        "programs: all of the supervisord below /srv",
        "firewall: table inet slapgrid",
        "network: link delete dev slaptap0",
        "directory: /data0/slappart0",
        "file: /certs/slappart0.crt",
        "directory, if empty: /certs",
        "directory: /srv/slappart0",
        f"directory: /opt/{RELEASE}",
        "directory, if empty: /opt",
        "file: /srv/etc/supervisord.conf",
        "directory: /srv/var/slapgrid",
        "directory, if empty: /srv/etc",
        "directory, if empty: /srv/var/log",
        "directory, if empty: /srv/var/run",
        "directory, if empty: /srv/var",
        "directory, if empty: /srv",
        "file: /etc/identity/own.key",
        "file: /etc/identity/own.crt",
        "file: /etc/identity/root.crt",
        "directory, if empty: /etc/identity",
        "settings: /etc/slapos.cfg",
    ]


def test_what_is_of_others_is_left_and_named() -> None:
    assert plan_uninstallation(ALL).left == (
        "/srv/photos: unknown to us",
        "/opt/nginx: no releases",
        "/etc/identity/root.key: not of the computer",
        "/opt/shared: shared parts, which releases of others may use",
        "the user slapuser0: nobody wrote down who made it; `userdel slapuser0`",
    )


def test_many_names_of_others_are_counted() -> None:
    names = tuple(f"photo{number:02}" for number in range(13))

    left = plan_uninstallation(evolve(ALL, instance_names=names)).left

    assert left[9:11] == (
        "/srv/photo09: unknown to us",
        "3 more in /srv: unknown to us",
    )


def test_a_root_without_our_mark_is_not_touched() -> None:
    plan = plan_uninstallation(evolve(ALL, has_mark=False))

    assert (plan.removals, plan.left) == ((), ())
    assert plan.refusal.startswith(
        "/srv has no var/slapgrid: it is of no agent of ours"
    )


def test_who_was_interrupted_goes_on_without_the_mark() -> None:
    """Neither partitions nor files of an agent: those went before the mark did."""
    present = evolve(
        ALL,
        is_aside=True,
        has_mark=False,
        has_rules=False,
        unit="",
        instance_names=("slappart0", "var"),
        owned=(),
        storages=(),
        network=(),
        certificates=(),
        software_names=(),
        identity_names=("root.crt",),
        places=("/srv",),
    )

    assert words(present) == [
        "directory, if empty: /srv/var/log",
        "directory, if empty: /srv/var/run",
        "directory, if empty: /srv/var",
        "directory, if empty: /srv",
        "file: /etc/identity/root.crt",
        "settings: /etc/slapos.cfg",
    ]


def test_settings_alone_are_removed() -> None:
    assert words(Present("/etc/slapos.cfg", "/srv", "/opt")) == [
        "settings: /etc/slapos.cfg"
    ]


def test_another_run_of_it_is_no_agent_to_end() -> None:
    assert Kind.AGENT in {it.kind for it in plan_uninstallation(ALL).removals}
    aside = evolve(ALL, is_aside=True)
    assert Kind.AGENT not in {it.kind for it in plan_uninstallation(aside).removals}


SETTINGS = FormatSettings(2, interface_name="eth0")
OWN, GIVEN, MADE = (IPv6Interface(f"fd98:1::{it}/48") for it in ("1", "2", "3"))
LOOP, TEN = IPv4Interface("127.0.0.1/8"), IPv4Interface("10.0.0.5/32")
RANGE = IPv6Network("fd98:1:8000::/34")
PREVIOUS = PreviousComputer(
    OWN.ip,
    OWN.network,
    {
        "slappart0": PreviousPartition(TEN, GIVEN, RANGE),
        "slappart1": PreviousPartition(LOOP, OWN),
    },
)
NETWORK = ObservedNetwork(
    {
        it.name: it
        for it in (
            Link("lo", addresses=(LinkAddress(LOOP),)),
            Link(
                "eth0",
                addresses=tuple(map(LinkAddress, (OWN, GIVEN, MADE, TEN))),
            ),
            Link("eth1", addresses=(LinkAddress(GIVEN),)),
            Link("slaptap0", "tap", addresses=(LinkAddress(GIVEN),)),
            Link("slaptap1", "dummy"),
            Link("slaptapestry", "tap"),
            Link("slaptun0", "tun"),
        )
    },
    frozenset(
        {
            NetworkRoute(RANGE, "lo", is_local=True),
            NetworkRoute(RANGE, "eth0", "fe80::1"),
        }
    ),
)


def test_what_format_gave_to_partitions_is_taken_back_and_no_more() -> None:
    assert plan_network_removal(SETTINGS, PREVIOUS, NETWORK) == (
        "link delete dev slaptap0",
        "link delete dev slaptun0",
        "address delete fd98:1::2/48 dev eth0",
        "address delete 10.0.0.5/32 dev eth0",
        f"route delete local {RANGE} dev lo",
    )


def test_what_format_may_not_alter_is_of_the_operator() -> None:
    for settings in (
        evolve(SETTINGS, may_alter_network=False),
        FormatSettings(2, ipv6_network=IPv6Network("fd98:1::/48")),
        FormatSettings(2, input_definition_file="/etc/definition.cfg"),
    ):
        assert plan_network_removal(settings, PREVIOUS, NETWORK) == ()


def test_the_address_of_the_computer_stays() -> None:
    alone = PreviousComputer(
        IPv6Address("fd98:1::2"), None, {"slappart0": PreviousPartition(ipv6=GIVEN)}
    )
    network = ObservedNetwork({"eth0": NETWORK.links["eth0"]})

    assert plan_network_removal(SETTINGS, alone, network) == ()
