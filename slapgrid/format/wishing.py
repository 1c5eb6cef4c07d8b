"""What is asked of a format: settings, an operator's definition, the agent's own."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.ports import Runtime
from slap.marshalling import Value
from slapgrid.config import Config
from slapgrid.format.choosing import FormatRefused, Wish
from slapgrid.format.definition_files import DefinedComputer, read_definition
from slapgrid.format.observing import find_storages, read_path
from slapgrid.format.settings import AddressSource
from slapgrid.identity import ROOT
from slapgrid.platform import Platform
from slapgrid.settings import ConfigError


def make_wish(config: Config, runtime: Runtime, platform: Platform) -> Wish:
    """What is asked for; ``FormatRefused`` when that contradicts itself."""
    settings = config.format
    if settings.may_alter_users and platform.uid != ROOT:
        raise FormatRefused(
            "only root makes users: run format as root, or set alter_user = false"
        )
    defined = _read_definition(settings.input_definition_file, runtime)
    software_user = settings.software_user
    if defined is not None and defined.software_user:
        software_user = defined.software_user
    is_stock = settings.source is not AddressSource.NETWORK
    return Wish(
        config.computer_id,
        config.instance_root,
        settings,
        software_user,
        _user_names(config, platform, defined),
        (software_user,) if is_stock or settings.alters_users else (),
        find_storages(runtime, settings.storage_home),
        defined,
        _describe(config, platform, software_user),
    )


def _read_definition(path: str, runtime: Runtime) -> DefinedComputer | None:
    if not path:
        return None
    content = read_path(runtime, path)
    if content is None:
        raise FormatRefused(f"input_definition_file {path} does not exist")
    try:
        return read_definition(content.decode(errors="replace"))
    except ConfigError as error:
        raise FormatRefused(f"{path}: {error}") from error


def _user_names(
    config: Config, platform: Platform, defined: DefinedComputer | None
) -> tuple[str, ...]:
    base, count = config.format.user_base_name, config.format.partition_amount
    names = [f"{base}{index}" for index in range(count)]
    if platform.uid != ROOT:
        account = platform.find_account(platform.uid, platform.gid)
        own = str(platform.uid) if account is None else account.user_name
        names = [own] * count
    given = [it.user_name for it in defined.partitions[:count]] if defined else []
    names[: len(given)] = [it or name for it, name in zip(given, names, strict=False)]
    return tuple(names)


def _describe(
    config: Config, platform: Platform, software_user: str
) -> Mapping[str, Value]:
    settings = config.format
    return {
        "instance_root": config.instance_root,
        "instance_storage_home": settings.storage_home or None,
        "interface": {
            "ipv4_local_network": str(settings.ipv4_local_network),
            "ipv6_interface": settings.ipv6_interface or settings.interface_name,
            "ipv6_prefixshift": settings.ipv6_prefixshift,
            "name": settings.interface_name,
        },
        "ipv6_interface": settings.ipv6_interface or None,
        "os_type": platform.os_type,
        "partition_has_ipv6_range": settings.has_ranges,
        "public_ipv4_address": settings.public_ipv4_address or None,
        "python_version": platform.python_version,
        "slapos_version": platform.agent_version,
        "software_root": config.software_root,
        "software_user": software_user,
        "tap_gateway_interface": settings.tap_gateway_interface,
        "tap_ipv6": settings.has_tap_networks,
    }
