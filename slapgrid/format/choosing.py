"""Core. What a computer shall be, from its settings, the host and an earlier format.

Rules. (1) The answer follows from the arguments alone: run again after an interruption,
it is the same. (2) What a partition had it keeps, as long as it fits the network of the
computer and is not taken. (3) No address and no network is given twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface, IPv6Network

from attrs import field, frozen

from slap.marshalling import Value
from slapgrid.format.computer import (
    FormattedComputer,
    FormattedPartition,
    Tap,
    TapRoute,
    Tun,
)
from slapgrid.format.definition_files import DefinedComputer, DefinedPartition
from slapgrid.format.machine import Interface, Link, LinkAddress, ObservedNetwork
from slapgrid.format.networks import (
    NETWORK_LENGTH_MAX,
    AddressTaken,
    Purpose,
    choose_address,
    choose_host,
    choose_network,
    choose_tun_hosts,
)
from slapgrid.format.previous import NOTHING, PreviousComputer, PreviousPartition
from slapgrid.format.settings import TUN_BASE_NAME, AddressSource, FormatSettings


class FormatRefused(Exception):
    """The computer cannot be prepared as configured; the sentence says what to do."""


@frozen
class Wish:
    """What is asked for: all that does not come from the network.

    ``users`` are the names of the partitions' users and ``groups`` their additional
    ones, ``storages`` the directories for partitions outside the instance root,
    ``description`` what else the master is told.
    """

    computer_id: str
    instance_root: str
    settings: FormatSettings
    software_user: str
    users: tuple[str, ...]
    groups: tuple[str, ...] = ()
    storages: tuple[str, ...] = ()
    defined: DefinedComputer | None = None
    description: Mapping[str, Value] = field(factory=dict)


def choose_computer(
    wish: Wish,
    network: ObservedNetwork,
    previous: PreviousComputer,
    taken: frozenset[IPv6Interface] = frozenset(),
) -> FormattedComputer:
    """The computer and its partitions; ``taken`` are addresses that others have."""
    settings = wish.settings
    if settings.source is not AddressSource.NETWORK:
        _check_count(wish, previous)
    if wish.defined is not None:
        return _defined(wish, wish.defined)
    if settings.source is AddressSource.INTERFACE:
        return _Choice(wish, network, previous, taken).computer()
    addresses = [
        (IPv4Interface(settings.ipv4_address), IPv6Interface(it))
        for it in map(settings.partition_address, range(settings.partition_amount))
    ]
    own = IPv6Interface(settings.partition_address(0))
    partitions = (_partition(wish, n, it) for n, it in enumerate(addresses))
    return FormattedComputer(wish.computer_id, own, tuple(partitions), wish.description)


def _check_count(wish: Wish, previous: PreviousComputer) -> None:
    base = wish.settings.partition_base_name
    count = len([it for it in previous.partitions if it.startswith(base)])
    if count > wish.settings.partition_amount:
        raise FormatRefused(
            f"the computer has {count} partitions, and partition_amount is "
            f"{wish.settings.partition_amount}: partitions are not removed"
        )


def _partition(
    wish: Wish, index: int, addresses: tuple[Interface, ...]
) -> FormattedPartition:
    settings = wish.settings
    partition_id = settings.partition_ids[index]
    return FormattedPartition(
        partition_id,
        f"{wish.instance_root}/{partition_id}",
        wish.users[index],
        wish.groups,
        addresses,
        storages=tuple(f"{it}/{partition_id}" for it in wish.storages),
    )


def _defined(wish: Wish, defined: DefinedComputer) -> FormattedComputer:
    count, wanted = len(defined.partitions), wish.settings.partition_amount
    if count < wanted:
        raise FormatRefused(
            f"the definition file has {count} partitions, and partition_amount is "
            f"{wanted}"
        )
    pairs = enumerate(defined.partitions[:wanted])
    return FormattedComputer(
        wish.computer_id,
        defined.address,
        tuple(_as_defined(wish, index, it) for index, it in pairs),
        wish.description,
    )


def _as_defined(
    wish: Wish, index: int, defined: DefinedPartition
) -> FormattedPartition:
    plain = _partition(wish, index, defined.addresses)
    name = defined.path_name or plain.partition_id
    if name != plain.partition_id:
        raise FormatRefused(
            f"[partition_{index}] pathname must be {plain.partition_id}, not {name}: "
            "partitions have the name of their directory"
        )
    return FormattedPartition(
        plain.partition_id,
        plain.path,
        plain.user_name,
        plain.groups,
        defined.addresses,
        defined.ipv6_range,
        Tap(defined.link) if defined.link else None,
        storages=plain.storages,
        capabilities=defined.capabilities,
    )


def choose_place(link: Link, previous: PreviousComputer) -> IPv6Interface | None:
    """The address of the computer among those of its interface.

    The one that it had, else one of the network that it had, else of the largest
    network, the lowest address.
    """
    partitions = {it.ipv6.ip for it in previous.partitions.values() if it.ipv6}
    places = [
        it.interface
        for it in link.addresses
        if isinstance(it.interface, IPv6Interface)
        and it.is_lasting
        and not it.has_failed
        and it.interface.ip not in partitions
    ]
    return min(
        places,
        key=lambda it: (
            it.ip != previous.address,
            it.network != previous.network,
            it.network.prefixlen,
            it.ip,
        ),
        default=None,
    )


class _Choice:
    """One computer whose addresses are chosen on an interface."""

    def __init__(
        self,
        wish: Wish,
        network: ObservedNetwork,
        previous: PreviousComputer,
        taken: frozenset[IPv6Interface],
    ) -> None:
        self._wish = wish
        self._settings = wish.settings
        self._network = network
        ids = wish.settings.partition_ids
        self._had = [previous.partitions.get(it, NOTHING) for it in ids]
        self._link = self._find(self._settings.interface_name)
        name = self._settings.ipv6_interface
        self._ipv6_link = self._find(name) if name else self._link
        place = choose_place(self._ipv6_link, previous)
        if place is None:
            raise FormatRefused(
                f"{self._ipv6_link.name} has no global IPv6 address: give it one, or "
                "wait until it has"
            )
        self._place: IPv6Interface = place
        self._given: set[Interface] = {place, *taken}
        self._given_networks: set[IPv6Network] = set()
        self._elsewhere = {
            address.interface.ip
            for link, address in network.addresses
            if link.name not in {self._link.name, self._ipv6_link.name}
        }

    def computer(self) -> FormattedComputer:
        try:
            partitions = self._partitions()
        except AddressTaken as error:
            raise FormatRefused(
                f"{error}: change the network of {self._ipv6_link.name}, "
                "ipv4_local_network or ipv6_prefixshift"
            ) from error
        return FormattedComputer(
            self._wish.computer_id,
            self._place,
            partitions,
            self._wish.description,
        )

    def _partitions(self) -> tuple[FormattedPartition, ...]:
        count = self._settings.partition_amount
        self._keep()
        had_tuns = tuple(it.tun_ipv4 for it in self._had)
        tuns = choose_tun_hosts(count, had_tuns) if self._settings.has_tuns else ()
        routes = self._tap_routes() if self._settings.has_taps else ()
        return tuple(
            self._partition(index, routes[index : index + 1], tuns[index : index + 1])
            for index in range(count)
        )

    def _partition(
        self,
        index: int,
        routes: tuple[TapRoute | None, ...],
        tuns: tuple[IPv4Interface, ...],
    ) -> FormattedPartition:
        settings, had = self._settings, self._had[index]
        addresses = (self._ipv4(index, had), self._ipv6(index, had))
        plain = _partition(self._wish, index, addresses)
        choose = partial(self._choose_network, index)
        return FormattedPartition(
            plain.partition_id,
            plain.path,
            plain.user_name,
            plain.groups,
            addresses,
            choose(Purpose.RANGE, had.ipv6_range) if settings.has_ranges else None,
            Tap(
                f"{settings.tap_base_name}{index}",
                choose(Purpose.TAP, had.tap_network)
                if settings.has_tap_networks
                else None,
                routes[0],
            )
            if routes
            else None,
            Tun(
                f"{TUN_BASE_NAME}{index}",
                tuns[0],
                choose(Purpose.TUN, had.tun_network)
                if settings.has_tun_networks
                else None,
            )
            if tuns
            else None,
            plain.storages,
        )

    def _keep(self) -> None:
        """Reserve what partitions had, so that none is given to one before them."""
        self._kept: set[Interface | IPv6Network] = set()
        for had in self._had:
            named = (had.ipv4, had.ipv6)
            networks = (had.ipv6_range, had.tap_network, had.tun_network)
            self._kept.update(it for it in (*named, *networks) if it is not None)

    def _ipv4(self, index: int, had: PreviousPartition) -> Interface:
        settings = self._settings
        if not settings.alters_network:
            return self._present_ipv4(had)
        seed = self._seed(index, "ipv4")
        lasting = {it.interface.ip for it in self._link.addresses if _is_wide(it)}

        def is_taken(it: IPv4Interface) -> bool:
            return (
                self._is_given(it, had.ipv4)
                or it.ip in lasting
                or it.ip in self._elsewhere
            )

        chosen = choose_host(settings.ipv4_local_network, had.ipv4, is_taken, seed)
        self._given.add(chosen)
        return chosen

    def _present_ipv4(self, had: PreviousPartition) -> Interface:
        """One that is there already; a partition shares the last resort with others."""
        present = sorted(
            it.interface.ip
            for it in self._link.addresses
            if it.interface.version == 4  # noqa: PLR2004 - of IP
            and it.interface.ip in self._settings.ipv4_local_network
        )
        free = [IPv4Interface(it) for it in present]
        free = [it for it in free if not self._is_given(it, had.ipv4)]
        if had.ipv4 in free:
            chosen = had.ipv4
        elif free:
            chosen = free[0]
        else:
            return IPv4Interface(self._settings.ipv4_address)
        self._given.add(chosen)
        return chosen

    def _ipv6(self, index: int, had: PreviousPartition) -> Interface:
        def is_taken(it: IPv6Interface) -> bool:
            return self._is_given(it, had.ipv6) or it.ip in self._elsewhere

        seed = self._seed(index, "ipv6")
        chosen = choose_address(self._place, index, had.ipv6, is_taken, seed)
        self._given.add(chosen)
        return chosen

    def _choose_network(
        self, index: int, purpose: Purpose, kept: IPv6Network | None
    ) -> IPv6Network:
        def is_taken(it: IPv6Network) -> bool:
            if it in self._given_networks or (it in self._kept and it != kept):
                return True
            return self._place.ip in it

        settings = self._settings
        length = self._place.network.prefixlen + settings.ipv6_prefixshift
        if length > NETWORK_LENGTH_MAX:
            raise FormatRefused(
                f"{self._place} leaves {128 - self._place.network.prefixlen} bits, too "
                f"few for ipv6_prefixshift {settings.ipv6_prefixshift}: set it lower, "
                "or set partition_has_ipv6_range, tap_ipv6 and tun_ipv6 to false"
            )
        seed = self._seed(index, purpose.name)
        chosen = choose_network(
            self._place,
            settings.ipv6_prefixshift,
            purpose,
            index,
            kept=kept,
            is_taken=is_taken,
            seed=seed,
        )
        self._given_networks.add(chosen)
        return chosen

    def _tap_routes(self) -> tuple[TapRoute | None, ...]:
        name, count = self._settings.tap_gateway_interface, len(self._had)
        if not name:
            return (None,) * count
        present = [it.interface for it in self._find(name).addresses if _is_wide(it)]
        gateways = [it for it in present if isinstance(it, IPv4Interface)]
        if not gateways:
            raise FormatRefused(
                f"tap_gateway_interface {name} has no IPv4 network: give it an address "
                "with a netmask"
            )
        gateway = gateways[0]
        network = gateway.network
        routed = {it.tap_ipv4 for it in self._had if it.tap_ipv4 is not None}
        free = (
            network[number]
            for number in range(1, network.num_addresses - 1)
            if network[number] != gateway.ip and network[number] not in routed
        )
        routes: list[TapRoute] = []
        for had in self._had:
            address = had.tap_ipv4
            unfit = {gateway.ip, *(it.address for it in routes)}
            if address is None or address not in network or address in unfit:
                address = next(free, None)
            if address is None:
                raise FormatRefused(
                    f"{network} of tap_gateway_interface {name} has too few addresses "
                    f"for {count} taps"
                )
            routes.append(TapRoute(address, gateway))
        return tuple(routes)

    def _find(self, name: str) -> Link:
        found = self._network.links.get(name)
        if found is None:
            known = ", ".join(sorted(self._network.links)) or "none"
            raise FormatRefused(
                f"there is no interface {name}: the computer has {known}"
            )
        return found

    def _is_given(self, it: Interface, had: Interface | None) -> bool:
        if it in self._given or it.ip == self._place.ip:
            return True
        return it in self._kept and it != had

    def _seed(self, index: int, what: str) -> str:
        partition_id = self._settings.partition_ids[index]
        return f"{self._wish.computer_id} {partition_id} {what}"


def _is_wide(address: LinkAddress) -> bool:
    """Whether it is an IPv4 address with a network around it."""
    interface = address.interface
    return isinstance(interface, IPv4Interface) and interface.network.num_addresses > 1
