"""Core. From what a computer shall be and what is there to the actions in between.

A plan is empty when everything is as wanted. Its order: accounts, directories, devices
and addresses, routes, and last what recipes read: an address of which a
``.slapos-resource`` speaks has been there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Interface, IPv6Network

from attrs import frozen

from slapgrid.format.actions import (
    Action,
    ChangeNetwork,
    MakeDirectory,
    RunProgram,
    WriteFile,
    add_device,
    allow_nonlocal_binding,
    change_user,
    make_group,
    make_user,
    raise_link,
    replace_address,
    replace_route,
)
from slapgrid.format.choosing import FormatRefused
from slapgrid.format.computer import SHELL, FormattedComputer, FormattedPartition
from slapgrid.format.machine import (
    LOOPBACK,
    TAP,
    TUN,
    Accounts,
    Interface,
    Link,
    NetworkRoute,
    ObservedFiles,
    ObservedNetwork,
)
from slapgrid.layout import PARTITION_MODE, RESOURCE_FILE

ROOT_MODE = 0o755
#: A link without a carrier never hears from a neighbour that has the same address, and
#: keeps an address that it asks about unusable for ever.
NO_QUESTION = "nodad"


@frozen
class Owners:
    """Whom directories belong to; ``None`` when all is the agent's own user's.

    ``uids`` by name: of users that are not made yet there is none.
    """

    software_user: str
    uids: Mapping[str, int]


def plan_accounts(
    computer: FormattedComputer,
    software_user: str,
    software_root: str,
    accounts: Accounts,
) -> Iterator[RunProgram]:
    """Make and mend the users of a computer."""
    if software_user not in accounts.groups:
        yield make_group(software_user)
    if software_user not in accounts.users:
        group = ("--gid", software_user)
        yield make_user("", software_user, software_root, SHELL, *group)
    for partition in computer.partitions:
        yield from _plan_account(partition, accounts)


def _plan_account(
    partition: FormattedPartition, accounts: Accounts
) -> Iterator[RunProgram]:
    name, partition_id = partition.user_name, partition.partition_id
    groups = ",".join(partition.groups)
    known = accounts.users.get(name)
    if known is None:
        # An interrupted useradd may have left the group alone.
        has_group = name in accounts.groups
        options = ("--gid", name) if has_group else ("--user-group",)
        wanted = (*options, "--groups", groups)
        yield make_user(partition_id, name, partition.path, SHELL, *wanted)
        return
    if known.uid == 0:
        raise FormatRefused(
            f"the user {name} is root, and instances never run as root: change "
            "user_base_name"
        )
    if known.home != partition.path:
        yield change_user(partition_id, name, "--home", partition.path)
    if not known.groups.issuperset(partition.groups):
        # Appended: an operator may have given it more.
        yield change_user(partition_id, name, "--append", "--groups", groups)
    if not known.is_locked:
        yield change_user(partition_id, name, "--lock")


def plan_directories(
    computer: FormattedComputer,
    roots: tuple[str, str],
    files: ObservedFiles,
    owners: Owners | None,
) -> Iterator[MakeDirectory]:
    """Make the instance root, the software root, and what partitions have of both."""
    instance_root, software_root = roots
    yield from _plan_directory(
        MakeDirectory("", instance_root, ROOT_MODE), files, owners
    )
    builder = owners.software_user if owners is not None else ""
    yield from _plan_directory(
        MakeDirectory("", software_root, ROOT_MODE, builder), files, owners
    )
    for partition in computer.partitions:
        owner = partition.user_name if owners is not None else ""
        for path in (partition.path, *partition.storages):
            yield from _plan_directory(
                MakeDirectory(partition.partition_id, path, PARTITION_MODE, owner),
                files,
                owners,
            )


def _plan_directory(
    wanted: MakeDirectory, files: ObservedFiles, owners: Owners | None
) -> Iterator[MakeDirectory]:
    found = files.directories.get(wanted.path)
    if found is not None and not found.is_directory:
        raise FormatRefused(f"{wanted.path} is there and is no directory: move it away")
    is_as_wanted = found is not None and found.mode == wanted.mode
    if is_as_wanted and wanted.owner and owners is not None and found is not None:
        is_as_wanted = found.uid == owners.uids.get(wanted.owner)
    if not is_as_wanted:
        yield wanted


def plan_resources(
    computer: FormattedComputer, files: ObservedFiles
) -> Iterator[WriteFile]:
    """Write what recipes read."""
    for partition in computer.partitions:
        path, content = f"{partition.path}/{RESOURCE_FILE}", partition.render_resource()
        if files.contents.get(path) != content:
            yield WriteFile(partition.partition_id, path, content)


@frozen
class Placement:
    """Which interfaces carry the partitions' addresses, and whose devices are."""

    ipv4_link: str
    ipv6_link: str
    owners: tuple[str, ...]


def plan_network(
    computer: FormattedComputer, placement: Placement, network: ObservedNetwork
) -> Iterator[Action]:
    """Make devices, addresses and routes of the partitions."""
    if not network.can_bind_nonlocal and any(
        it.ipv6_range is not None for it in computer.partitions
    ):
        yield allow_nonlocal_binding()
    routes: list[ChangeNetwork] = []
    links = {4: placement.ipv4_link, 6: placement.ipv6_link}
    for partition, owner in zip(computer.partitions, placement.owners, strict=True):
        for interface in partition.addresses:
            name = links[interface.version]
            yield from _plan_address(partition, name, interface, network)
        yield from _plan_tap(partition, owner, network)
        yield from _plan_tun(partition, owner, network)
        routes += _plan_routes(partition, network)
    yield from routes


def _plan_address(
    partition: FormattedPartition,
    name: str,
    interface: Interface,
    network: ObservedNetwork,
) -> Iterator[ChangeNetwork]:
    link = network.links.get(name)
    if link is None:
        raise FormatRefused(f"there is no interface {name} for {interface}")
    if link.has(interface):
        return
    asks = (
        isinstance(interface, IPv6Interface) and link.has_carrier and name != LOOPBACK
    )
    # IPv4 addresses are not asked about, and the option is refused for them.
    is_silent = isinstance(interface, IPv6Interface) and not asks
    options = (NO_QUESTION,) if is_silent else ()
    yield replace_address(partition.partition_id, name, interface, *options)


def _plan_device(
    partition: FormattedPartition,
    name: str,
    kind: str,
    owner: str,
    network: ObservedNetwork,
) -> Iterator[ChangeNetwork]:
    link = network.links.get(name)
    if link is None:
        yield add_device(partition.partition_id, name, kind, owner)
    elif link.kind != kind:
        raise FormatRefused(
            f"{name} is there and is no {kind}: rename it, or change the base name"
        )
    if link is None or not link.is_up:
        yield raise_link(partition.partition_id, name)


def _plan_tap(
    partition: FormattedPartition, owner: str, network: ObservedNetwork
) -> Iterator[ChangeNetwork]:
    tap = partition.tap
    if tap is None:
        return
    link = network.links.get(tap.name, Link(tap.name))
    is_plain = tap.network is None and tap.route is None
    if is_plain and tap.name in network.links and link.kind != TAP:
        # A definition file may name any interface as that of a partition.
        return
    yield from _plan_device(partition, tap.name, TAP, owner, network)
    if tap.address is not None and not link.has(tap.address):
        # The way to the network leads through the instance, not straight to the tap.
        options = ("noprefixroute", NO_QUESTION)
        yield replace_address(partition.partition_id, tap.name, tap.address, *options)


def _plan_tun(
    partition: FormattedPartition, owner: str, network: ObservedNetwork
) -> Iterator[ChangeNetwork]:
    tun = partition.tun
    if tun is None:
        return
    yield from _plan_device(partition, tun.name, TUN, owner, network)
    link = network.links.get(tun.name, Link(tun.name))
    if not link.has(tun.ipv4):
        yield replace_address(partition.partition_id, tun.name, tun.ipv4)
    if tun.address is not None and not link.has(tun.address):
        yield replace_address(
            partition.partition_id, tun.name, tun.address, NO_QUESTION
        )


def _plan_routes(
    partition: FormattedPartition, network: ObservedNetwork
) -> Iterator[ChangeNetwork]:
    for it in _wanted_routes(partition):
        if it not in network.routes:
            yield replace_route(
                partition.partition_id,
                it.destination,
                it.link,
                gateway=it.gateway,
                is_local=it.is_local,
            )


def _wanted_routes(partition: FormattedPartition) -> Iterator[NetworkRoute]:
    if partition.ipv6_range is not None:
        yield NetworkRoute(partition.ipv6_range, LOOPBACK, is_local=True)
    tap = partition.tap
    if tap is None:
        return
    if tap.gateway is not None and tap.network is not None:
        gateway = IPv6Network(tap.gateway.ip)
        yield NetworkRoute(gateway, tap.name)
        yield NetworkRoute(tap.network, tap.name, str(tap.gateway.ip))
    if tap.route is not None:
        yield NetworkRoute(IPv4Network(tap.route.address), tap.name)
