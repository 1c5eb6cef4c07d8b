"""Preparing a computer: accounts, directories, addresses, devices, routes, resources.

Theory of operation. Rounds: observe the host, choose what the computer shall be, plan
what is missing, do it. A format is over when a plan is empty, so what it says is what
was seen and not what was tried. The choice follows from settings, host and the record
of an earlier format; one that is killed anywhere is continued by the next one. When the
kernel finds an address in use by a neighbour, the next round chooses another.

Files of instances are never touched. Without ``interface_name`` and without a
definition file, no root is needed and nothing of the host is changed.
"""

from __future__ import annotations

from ipaddress import IPv6Interface

from attrs import evolve, frozen
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from runtime.ports import Runtime, TcpAddress
from slapgrid.config import Config
from slapgrid.format.actions import Action
from slapgrid.format.choosing import FormatRefused, Wish, choose_computer
from slapgrid.format.computer import FormattedComputer
from slapgrid.format.machine import Accounts, ObservedNetwork, User
from slapgrid.format.observing import (
    observe_accounts,
    observe_files,
    observe_network,
)
from slapgrid.format.performing import Performing
from slapgrid.format.planning import (
    Owners,
    Placement,
    plan_accounts,
    plan_directories,
    plan_network,
    plan_resources,
)
from slapgrid.format.previous import PreviousComputer
from slapgrid.format.recording import Record
from slapgrid.format.settings import AddressSource, FormatSettings
from slapgrid.format.wishing import make_wish
from slapgrid.identity import ROOT
from slapgrid.layout import RESOURCE_FILE
from slapgrid.platform import Platform
from slapgrid.writing_out import write_out

#: One makes, one sees it; each further one replaces addresses that neighbours have.
ROUND_COUNT_MAX = 10
#: The kernel asks after up to a second and waits for another one.
QUESTION_SECONDS_MAX = 5.0
QUESTION_POLL_SECONDS = 0.05
_NO_ACCOUNTS = Accounts()
_NO_NETWORK = ObservedNetwork()


@frozen
class Formatted:
    """A computer, and what was done for it or has to be."""

    computer: FormattedComputer
    actions: tuple[Action, ...]

    @property
    def changed_count(self) -> int:
        """How many partitions were made or changed."""
        return len({it.partition_id for it in self.actions} - {""})


_NOTHING_SEEN = Formatted(FormattedComputer("", IPv6Interface("::"), ()), ())


class Formatting:
    """The preparation of one computer."""

    def __init__(self, config: Config, runtime: Runtime, platform: Platform) -> None:
        self._config = config
        self._settings: FormatSettings = config.format
        self._runtime = runtime
        self._platform = platform
        self._roots = (config.instance_root, config.software_root)
        self._tree = runtime.file_tree(config.instance_root)
        self._record = Record(config, runtime)

    async def plan(self) -> Formatted:
        """What ``apply`` would do first; nothing is changed."""
        return await self._look(self._wish(), self._record.read())

    async def apply(self) -> Formatted:
        """Make everything as configured; raises ``FormatRefused`` or ``OSError``."""
        wish, previous = self._wish(), self._record.read()
        self._check_left_over()
        performing = Performing(
            self._runtime, self._config.instance_root, self._platform.find_user
        )
        done: list[Action] = []
        step = _NOTHING_SEEN
        for _ in range(ROUND_COUNT_MAX):
            before, step = step.actions, await self._look(wish, previous)
            if not step.actions:
                break
            if step.actions == before:
                raise FormatRefused(
                    f"this has no effect: {step.actions[0]}: {performing.complaint}"
                )
            await performing.perform(step.actions)
            done += step.actions
        else:
            raise FormatRefused(
                f"after {ROUND_COUNT_MAX} rounds there is still this to do: "
                f"{step.actions[0]}: {performing.complaint}"
            )
        if done:
            await self._write_out(wish)
        self._record.write(step.computer)
        return Formatted(step.computer, tuple(done))

    async def _look(self, wish: Wish, previous: PreviousComputer) -> Formatted:
        settings = self._settings
        network = _NO_NETWORK
        if settings.source is not AddressSource.NETWORK:
            network = await self._settled_network()
        failed = frozenset(
            it.interface
            for _, it in network.addresses
            if it.has_failed and isinstance(it.interface, IPv6Interface)
        )
        computer = choose_computer(wish, network, previous, failed)
        accounts = self._accounts(computer)
        if not settings.alters_network:
            await self._check_addresses(computer)
        files = observe_files(self._runtime, computer, self._roots)
        actions: list[Action] = []
        if self._alters_users:
            actions += plan_accounts(
                computer,
                wish.software_user,
                self._config.software_root,
                accounts,
            )
        owners = self._owners(wish, computer, accounts)
        actions += plan_directories(computer, self._roots, files, owners)
        if settings.alters_network:
            actions += plan_network(computer, self._placement(computer), network)
        actions += plan_resources(computer, files)
        return Formatted(computer, tuple(actions))

    def _wish(self) -> Wish:
        return make_wish(self._config, self._runtime, self._platform)

    @property
    def _alters_users(self) -> bool:
        return self._settings.alters_users and self._platform.uid == ROOT

    def _accounts(self, computer: FormattedComputer) -> Accounts:
        """The local accounts, and those of a directory service as they are."""
        if not self._alters_users:
            return _NO_ACCOUNTS
        accounts = observe_accounts(self._runtime)
        users = dict(accounts.users)
        for it in computer.partitions:
            known = self._platform.find_user(it.user_name)
            if known is not None and it.user_name not in users:
                users[it.user_name] = User(
                    it.user_name, known.uid, known.gid, it.path, frozenset(it.groups)
                )
        return evolve(accounts, users=users)

    def _owners(
        self, wish: Wish, computer: FormattedComputer, accounts: Accounts
    ) -> Owners | None:
        if self._platform.uid != ROOT:
            return None
        software_user = wish.software_user
        uids = {}
        for name in (*(it.user_name for it in computer.partitions), software_user):
            if name in accounts.users:
                uids[name] = accounts.users[name].uid
                continue
            found = self._platform.find_user(name)
            if found is not None and found.uid != ROOT:
                uids[name] = found.uid
            elif not self._alters_users:
                raise FormatRefused(
                    f"started by root, format needs the user {name}, who does not "
                    "exist: set alter_user = true, make the users, or run the agent "
                    "as an ordinary user"
                )
        return Owners(software_user, uids)

    def _placement(self, computer: FormattedComputer) -> Placement:
        settings = self._settings
        own = str(self._platform.uid)
        is_root = self._platform.uid == ROOT
        return Placement(
            settings.interface_name,
            settings.ipv6_interface or settings.interface_name,
            tuple(it.user_name if is_root else own for it in computer.partitions),
        )

    async def _settled_network(self) -> ObservedNetwork:
        """The network once no neighbour is asked about an address any more."""
        clock = self._runtime.clock
        deadline = clock.seconds() + QUESTION_SECONDS_MAX
        while True:
            network = await observe_network(self._runtime)
            tentative = network.tentative
            if not tentative or not self._settings.alters_network:
                return network
            if clock.seconds() > deadline:
                self._runtime.log.warn(  # noqa: G010 - Twisted's name
                    "neighbours are still asked about {addresses}",
                    addresses=", ".join(tentative),
                )
                return network
            await deferLater(clock, QUESTION_POLL_SECONDS)

    async def _check_addresses(self, computer: FormattedComputer) -> None:
        addresses = {
            str(it.ip)
            for partition in computer.partitions
            for it in partition.addresses
            if isinstance(it, IPv6Interface)
        }
        for address in sorted(addresses):
            endpoint = self._runtime.network.server_endpoint(TcpAddress(address, 0))
            try:
                port = await endpoint.listen(Factory())
            except CannotListenError as error:
                raise FormatRefused(
                    f"{address} is not an address of this computer: add it to an "
                    "interface, or change [slapformat] ipv6_network or alter_network"
                ) from error
            await _maybe(port.stopListening())

    def _check_left_over(self) -> None:
        base = self._settings.partition_base_name
        if self._tree.status("") is None:
            return
        for name in self._tree.list():
            number = name.removeprefix(base)
            if name == number or not number.isdecimal():
                continue
            if int(number) < self._settings.partition_amount:
                continue
            if set(self._tree.list(name)) - {RESOURCE_FILE}:
                raise FormatRefused(
                    f"{name} is in use, and partition_amount is "
                    f"{self._settings.partition_amount}: destroy its instance first"
                )

    async def _write_out(self, wish: Wish) -> None:
        # Owners too must survive a power loss.
        for root in (*self._roots, *wish.storages):
            failure = await write_out(self._runtime, root)
            if failure is not None:
                raise FormatRefused(failure)


async def _maybe(stopping: object) -> None:
    if stopping is not None:
        await stopping  # type: ignore[misc] # what zope declares as an object
