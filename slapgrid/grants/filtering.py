"""Keeping the firewall as instances and operator ask, by ``nft``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

from attrs import frozen

from runtime.ports import FileKind, IFileTree, Program, Runtime
from slap import calls
from slap.errors import SlapError
from slap.model import Computer, NetworkAddress, Partition, RequestedState
from slapgrid.config import Config
from slapgrid.convergence.plans import wanted_stamp
from slapgrid.environment import clean_environment
from slapgrid.grants.asking import ASKED_BYTES_MAX, BadGrant
from slapgrid.grants.firewall import (
    Guard,
    Whitelist,
    decode_whitelist,
    guarded_addresses,
    plan_guard,
    render_ruleset,
)
from slapgrid.instance.reading import read_if_there
from slapgrid.layout import RULESET_FILE, TREE_ADDRESSES_FILE, WHITELIST_FILE
from slapgrid.platform import Platform
from slapgrid.slap_client import SlapClient

T = TypeVar("T")

#: Somebody may have flushed the rules: they are set again so often.
REFRESH_SECONDS = 300.0
#: After nft refused, or was not there.
RETRY_SECONDS = 30.0
#: A table of thousands of rules takes nft some tenths.
NFT_SECONDS_MAX = 60.0
#: The addresses of the trees of all partitions.
TREES_BYTES_MAX = 16 * 1024 * 1024
NO_RULES = render_ruleset({}, {})


@frozen
class _TreeAddresses:
    stamp: str
    addresses: tuple[str, ...]


class Filtering:
    """The rules of one computer; ``refusals`` says whose are not in force, and why."""

    def __init__(
        self, config: Config, runtime: Runtime, platform: Platform, client: SlapClient
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._platform = platform
        self._client = client
        self._tree = runtime.file_tree(config.instance_root)
        self._trees: dict[str, _TreeAddresses] | None = None
        self._set_text: str | None = None
        self._set_at = 0.0
        self._failure: str | None = None
        self.refusals: Mapping[str, str] = {}

    async def apply(self, desired: Computer) -> None:
        """Set the rules that the partitions of this document ask for."""
        settings = self._config.grants
        if not settings.has_whitelists and not settings.guards_routes:
            if self._tree.status("") is not None:
                await self._set(NO_RULES)
            return
        refusals: dict[str, str] = {}
        whitelists: dict[str, Whitelist] = {}
        guards: dict[str, Guard] = {}
        for partition in desired.partitions:
            if (
                partition.instance is None
                or partition.requested_state is RequestedState.DESTROYED
            ):
                continue
            partition_id = partition.key.partition_id
            if settings.has_whitelists:
                whitelist, refusal = self._whitelist(partition_id)
                _note(partition_id, whitelist, whitelists, refusal, refusals)
            if settings.guards_routes:
                guard, refusal = await self._guard(partition)
                _note(partition_id, guard, guards, refusal, refusals)
        failure = await self._set(render_ruleset(whitelists, guards))
        if failure is not None:
            for partition_id in {*whitelists, *guards}:
                refusals.setdefault(partition_id, failure)
        self.refusals = refusals

    async def restore(self) -> None:
        """Without a master, after a boot: the rules that were set last."""
        if self._set_text is None and self._tree.status("") is not None:
            saved = read_if_there(self._tree, RULESET_FILE)
            if saved is not None:
                await self._set(saved.decode(errors="replace"))

    def _whitelist(self, partition_id: str) -> tuple[Whitelist | None, str | None]:
        """What one may reach: nothing while its list cannot be read."""
        owner = self._tree.status(partition_id)
        if owner is None or owner.kind is not FileKind.DIRECTORY:
            return None, None
        files = self._tree.subtree(partition_id)
        try:
            content = read_asked(files, WHITELIST_FILE)
            if content is None:
                return None, None
            return Whitelist(owner.uid, decode_whitelist(content)), None
        except BadGrant as error:
            return Whitelist(owner.uid), str(error)

    async def _guard(self, partition: Partition) -> tuple[Guard | None, str | None]:
        addresses = guarded_addresses(partition)
        if not addresses:
            return None, None
        assert partition.instance is not None, "only an instance has a tree"
        authorized = self._config.grants.authorized_sources
        found = await self._tree_addresses(partition)
        try:
            return (
                plan_guard(
                    addresses, found, authorized, partition.instance.allocation_filter
                ),
                None,
            )
        except BadGrant as error:
            return plan_guard(addresses, found, authorized, {}), str(error)

    async def _tree_addresses(self, partition: Partition) -> tuple[str, ...]:
        """The addresses of its tree, asked again when the instance is processed."""
        trees = self._recall()
        partition_id, stamp = partition.key.partition_id, wanted_stamp(partition)
        known = trees.get(partition_id)
        if known is None or known.stamp != stamp:
            try:
                found = await self._client.perform(
                    calls.get_tree_addresses(partition.key)
                )
            except SlapError as error:
                self._runtime.log.warn(  # noqa: G010 - Twisted's name
                    "the tree of {name} is not known: {error}",
                    name=partition_id,
                    error=error,
                )
                return () if known is None else known.addresses
            assert isinstance(found, tuple), "decoded by the method's table"
            texts = [
                each.address if isinstance(each, NetworkAddress) else str(each)
                for each in found
            ]
            known = trees[partition_id] = _TreeAddresses(stamp, tuple(sorted(texts)))
            self._save(trees)
        return known.addresses

    def _recall(self) -> dict[str, _TreeAddresses]:
        if self._trees is None:
            saved = read_if_there(self._tree, TREE_ADDRESSES_FILE, TREES_BYTES_MAX)
            try:
                self._trees = {
                    str(name): _TreeAddresses(str(stamp), tuple(map(str, addresses)))
                    for name, (stamp, addresses) in json.loads(saved or b"{}").items()
                }
            except (ValueError, TypeError, AttributeError):
                self._trees = {}
        return self._trees

    def _save(self, trees: Mapping[str, _TreeAddresses]) -> None:
        document = {
            name: [each.stamp, list(each.addresses)]
            for name, each in sorted(trees.items())
        }
        self._write(TREE_ADDRESSES_FILE, json.dumps(document))

    def _write(self, path: str, text: str) -> str | None:
        try:
            self._tree.make_directory(path.rpartition("/")[0], 0o700)
            self._tree.write(path, text.encode(), 0o600)
        except OSError as error:
            return f"{path} cannot be written: {error}"
        return None

    async def _set(self, text: str) -> str | None:
        now = self._runtime.clock.seconds()
        rest = REFRESH_SECONDS if self._failure is None else RETRY_SECONDS
        if text == self._set_text and now < self._set_at + rest:
            return self._failure
        if text == NO_RULES and self._tree.status(RULESET_FILE) is None:
            return None
        self._failure = await self._run_nft(text)
        self._set_text, self._set_at = text, now
        return self._failure

    async def _run_nft(self, text: str) -> str | None:
        if self._platform.uid != 0:
            return "the firewall needs an agent that root runs"
        failure = self._write(RULESET_FILE, text)
        if failure is not None:
            return failure
        ended = await self._runtime.processes.run(
            Program(
                ("nft", "-f", self._tree.path(RULESET_FILE)),
                directory=self._tree.root,
                environment=clean_environment(self._tree.root),
                timeout_seconds=NFT_SECONDS_MAX,
            )
        )
        if ended.is_success:
            if text == NO_RULES:
                self._tree.remove(RULESET_FILE)
            return None
        output = ended.output.decode(errors="replace").strip()
        return f"the firewall is not set, as nft (package nftables) says: {output}"


def _note(
    partition_id: str,
    rule: T | None,
    rules: dict[str, T],
    refusal: str | None,
    refusals: dict[str, str],
) -> None:
    if rule is not None:
        rules[partition_id] = rule
    if refusal is not None:
        refusals[partition_id] = refusal


def read_asked(files: IFileTree, name: str) -> bytes | None:
    """What an instance asks by a file; ``None`` when it asks nothing."""
    try:
        return files.read(name, ASKED_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadGrant(f"{name} cannot be read: {error.strerror}") from error
