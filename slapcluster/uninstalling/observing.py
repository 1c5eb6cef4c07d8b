"""Shell. Looks at what a computer has of us."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from runtime.ports import FileKind, IFileTree, Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.service_unit import UNIT_DIRECTORY, UNIT_NAME
from slapcluster.uninstalling.planning import (
    ASIDE_SUFFIX,
    LOG_DIRECTORY,
    MARK,
    OWN_PATHS,
    Present,
    is_own_log,
    plan_network_removal,
)
from slapgrid.config import Config, read_config
from slapgrid.format.choosing import FormatRefused
from slapgrid.format.observing import find_storages, observe_accounts, observe_network
from slapgrid.format.recording import Record
from slapgrid.format.settings import AddressSource
from slapgrid.layout import (
    LOCK_FILE,
    RESOURCE_FILE,
    RULESET_FILE,
    SUPERVISORD_CONF,
)
from slapgrid.neighbours.lock import find_owner
from slapgrid.settings import ConfigError


@frozen
class Found:
    """The settings that say where everything is, and what is there.

    ``path`` is where the settings are now, which may be aside.
    """

    path: Path
    config: Config
    present: Present


async def observe(runtime: Runtime, settings: Path) -> Found | None:
    """Look at the computer of these settings; ``None`` when there are none."""
    aside = settings.with_name(settings.name + ASIDE_SUFFIX)
    path = aside if aside.is_file() else settings
    if path is aside and settings.is_file():  # noqa: ASYNC240
        raise CommandFailed(
            f"{settings} was made while the computer was uninstalled: it is another"
            f" one's. Move it away, repeat this for {aside}, and put it back."
        )
    if not path.is_file():
        return None
    try:
        config = read_config(path.read_text("utf-8"))
    except ConfigError as error:
        raise CommandFailed(f"{path}: {error}.") from error
    return Found(path, config, await _look(runtime, path, aside, config))


async def _look(runtime: Runtime, path: Path, aside: Path, config: Config) -> Present:
    instances = runtime.file_tree(config.instance_root)
    names = _names(instances)
    identity = config.identity_directory
    certificates = config.instance.certificate_directory
    return Present(
        settings=str(path),
        instance_root=config.instance_root,
        software_root=config.software_root,
        is_aside=path == aside,
        unit=_unit(runtime, path, aside),
        agent=find_owner(f"{config.instance_root}/{LOCK_FILE}"),
        has_mark=_is_directory(instances, MARK),
        has_rules=_is_there(instances, RULESET_FILE),
        has_supervision=_is_there(instances, SUPERVISORD_CONF),
        instance_names=names,
        partitions=tuple(
            it
            for it in names
            if _is_directory(instances, it)
            and (
                it in config.format.partition_ids
                or _is_there(instances, f"{it}/{RESOURCE_FILE}")
            )
        ),
        owned=(
            *_logs(instances),
            *(it for it in OWN_PATHS if _is_there(instances, it)),
        ),
        software_names=_names(runtime.file_tree(config.software_root)),
        storages=_storages(runtime, config),
        network=await _network(runtime, config),
        users=_users(runtime, config),
        certificate_directory=certificates,
        certificates=_certificates(runtime, config),
        identity_directory=identity,
        identity_names=_names(runtime.file_tree(identity)) if identity else (),
        shared_part_directories=config.software.shared_part_directories,
        places=tuple(
            it
            for it in (
                config.instance_root,
                config.software_root,
                certificates,
                identity,
            )
            if it and runtime.file_tree(it).status("") is not None
        ),
    )


def _unit(runtime: Runtime, path: Path, aside: Path) -> str:
    """Return the unit that keeps this very agent running."""
    tree = runtime.file_tree(UNIT_DIRECTORY)
    settings = str(path).removesuffix(ASIDE_SUFFIX) if path == aside else str(path)
    try:
        text = tree.read(UNIT_NAME).decode(errors="replace")
    except OSError:
        return ""
    condition = f"ConditionPathExists={settings}"
    return tree.path(UNIT_NAME) if condition in text.splitlines() else ""


def _logs(tree: IFileTree) -> tuple[str, ...]:
    if not _is_directory(tree, LOG_DIRECTORY):
        return ()
    paths = (f"{LOG_DIRECTORY}/{it}" for it in tree.list(LOG_DIRECTORY))
    return tuple(filter(is_own_log, paths))


def _storages(runtime: Runtime, config: Config) -> tuple[str, ...]:
    try:
        homes = find_storages(runtime, config.format.storage_home)
    except FormatRefused:
        return ()
    return tuple(
        f"{home}/{name}"
        for home in homes
        for name in config.format.partition_ids
        if _is_directory(runtime.file_tree(home), name)
    )


async def _network(runtime: Runtime, config: Config) -> tuple[str, ...]:
    if config.format.source is not AddressSource.INTERFACE:
        return ()
    try:
        previous = Record(config, runtime).read()
        network = await observe_network(runtime)
    except FormatRefused as error:
        raise CommandFailed(f"{error}.") from error
    return plan_network_removal(config.format, previous, network)


def _users(runtime: Runtime, config: Config) -> tuple[str, ...]:
    """Return accounts that live in a partition, or where releases are built."""
    if not config.format.alters_users:
        return ()
    homes = {f"{config.instance_root}/{it}" for it in config.format.partition_ids}
    homes.add(config.software_root)
    users = observe_accounts(runtime).users.values()
    return tuple(sorted(it.name for it in users if it.home in homes))


def _certificates(runtime: Runtime, config: Config) -> tuple[str, ...]:
    repository = config.instance.certificate_directory
    if not repository:
        return ()
    tree = runtime.file_tree(repository)
    return tuple(
        tree.path(name)
        for partition_id in config.format.partition_ids
        for name in (f"{partition_id}.crt", f"{partition_id}.key")
        if _is_there(tree, name)
    )


def _names(tree: IFileTree) -> tuple[str, ...]:
    return () if tree.status("") is None else tree.list()


def _is_there(tree: IFileTree, path: str) -> bool:
    try:
        return tree.status(path) is not None
    except NotADirectoryError:
        return False


def _is_directory(tree: IFileTree, path: str) -> bool:
    try:
        found = tree.status(path)
    except NotADirectoryError:
        return False
    return found is not None and found.kind is FileKind.DIRECTORY
