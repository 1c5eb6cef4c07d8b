"""Preparing a computer: roots, partitions, their resources. Needs no root.

Idempotent: what is as wanted is not touched. Started by root, each partition belongs to
the user ``<user_base_name><number>`` and the software root to ``software_user``. These
users must exist: instances and builds never run as root.
"""

from __future__ import annotations

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory

from runtime.ports import FileKind, Runtime, TcpAddress
from slapgrid.config import Config
from slapgrid.format.addresses import render_resource
from slapgrid.identity import ROOT
from slapgrid.layout import PARTITION_MODE, RESOURCE_FILE
from slapgrid.platform import Platform
from slapgrid.supervision.conf import Account
from slapgrid.writing_out import write_out


class FormatRefused(Exception):
    """The computer cannot be prepared as configured; the sentence says what to do."""


class Formatting:
    """The directories of one computer."""

    def __init__(self, config: Config, runtime: Runtime, platform: Platform) -> None:
        self._config = config
        self._runtime = runtime
        self._platform = platform
        self._tree = runtime.file_tree(config.instance_root)
        self._software_tree = runtime.file_tree(config.software_root)

    async def apply(self) -> int:
        """Make everything as configured; the number of partitions that changed."""
        owners = [
            self._owner(f"{self._config.format.user_base_name}{index}")
            for index in range(self._config.format.partition_amount)
        ]
        builder = self._owner(self._config.format.software_user)
        await self._check_addresses()
        self._tree.make_directory("")
        self._software_tree.make_directory("")
        self._give_software_root(builder)
        self._check_left_over()
        changed_count = sum(
            self._apply_partition(index, owner) for index, owner in enumerate(owners)
        )
        if changed_count:
            # Owners too must survive a power loss.
            for tree in (self._tree, self._software_tree):
                failure = await write_out(self._runtime, tree.root)
                if failure is not None:
                    raise FormatRefused(failure)
        return changed_count

    def _owner(self, name: str) -> Account | None:
        """To whom to give a directory; ``None`` when it is the agent's user."""
        if self._platform.uid != ROOT:
            return None
        found = self._platform.find_user(name)
        if found is None or found.uid == ROOT:
            raise FormatRefused(
                f"started by root, format needs the user {name}, who does not exist: "
                "make the users, or run the agent as an ordinary user"
            )
        return found

    def _give_software_root(self, builder: Account | None) -> None:
        if builder is not None:
            self._software_tree.change("", uid=builder.uid, gid=builder.gid)

    async def _check_addresses(self) -> None:
        addresses = {
            self._config.format.partition_address(index)
            for index in range(self._config.format.partition_amount)
        }
        for address in sorted(addresses):
            endpoint = self._runtime.network.server_endpoint(TcpAddress(address, 0))
            try:
                port = await endpoint.listen(Factory())
            except CannotListenError as error:
                raise FormatRefused(
                    f"{address} is not an address of this computer: add it to an "
                    "interface, or change [slapformat] ipv6_network"
                ) from error
            await _maybe(port.stopListening())

    def _check_left_over(self) -> None:
        base = self._config.format.partition_base_name
        for name in self._tree.list():
            number = name.removeprefix(base)
            if name == number or not number.isdecimal():
                continue
            if int(number) < self._config.format.partition_amount:
                continue
            if set(self._tree.list(name)) - {RESOURCE_FILE}:
                raise FormatRefused(
                    f"{name} is in use, and partition_amount is "
                    f"{self._config.format.partition_amount}: "
                    "destroy its instance first"
                )

    def _apply_partition(self, index: int, owner: Account | None) -> bool:
        partition_id = self._config.format.partition_ids[index]
        uid = self._platform.uid if owner is None else owner.uid
        gid = self._platform.gid if owner is None else owner.gid
        before = self._tree.status(partition_id)
        is_changed = (
            before is None
            or before.kind is not FileKind.DIRECTORY
            or (before.mode, before.uid) != (PARTITION_MODE, uid)
        )
        if is_changed:
            self._tree.make_directory(partition_id, PARTITION_MODE)
            if owner is not None:
                self._tree.change(partition_id, uid=uid, gid=gid)
        account = owner or self._platform.find_account(uid, gid)
        user_name = str(uid) if account is None else account.user_name
        resource = render_resource(self._config, index, user_name)
        path = f"{partition_id}/{RESOURCE_FILE}"
        if self._read(path) == resource:
            return is_changed
        self._tree.write(path, resource)
        return True

    def _read(self, path: str) -> bytes | None:
        try:
            return self._tree.read(path)
        except FileNotFoundError:
            return None


async def _maybe(stopping: object) -> None:
    if stopping is not None:
        await stopping  # type: ignore[misc] # what zope declares as an object
