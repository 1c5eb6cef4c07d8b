"""How a computer stands, from its own files and its supervisord alone.

Nothing is started or changed, and neither a master nor an agent needs to run.
"""

from __future__ import annotations

from runtime.holdings import CalendarEntry
from runtime.identity_directory import IdentityDirectory
from runtime.ports import IFileTree, Runtime
from slapgrid.config import Config
from slapgrid.convergence.retrying import (
    BACKOFFS,
    Effort,
    RetryMemory,
    decode_memory,
)
from slapgrid.convergence.views import LocalPartition
from slapgrid.instance.partitions import Partitions
from slapgrid.layout import (
    LOCK_FILE,
    RELEASE_LINK,
    RETRY_MEMORY,
    SUPERVISORD_SOCKET,
    error_log,
)
from slapgrid.neighbours.lock import find_owner
from slapgrid.neighbours.stock_agent import StockAgent
from slapgrid.pass_log import read_pass_log
from slapgrid.platform import Platform
from slapgrid.software.releases import Releases
from slapgrid.software.unsupplied import find_unsupplied
from slapgrid.standing import (
    PartitionStanding,
    ReleaseStanding,
    Retry,
    Standing,
)
from slapgrid.supervision.port import (
    GroupStatus,
    ISupervision,
    SupervisionError,
    groups_by_partition,
)
from slapgrid.warm.servers import WarmServers

#: The group of the program that reports programs which end.
WATCHDOG = "watchdog"
#: The end of an error log that a person reads first.
ERROR_CHARACTERS_MAX = 2000


async def observe_standing(
    config: Config, runtime: Runtime, platform: Platform, supervision: ISupervision
) -> Standing:
    """Look at everything once. ``supervision`` must not start what is down."""
    tree = runtime.file_tree(config.instance_root)
    groups: tuple[GroupStatus, ...] = ()
    reason = ""
    if tree.status(SUPERVISORD_SOCKET) is None:
        reason = "supervisord does not run"
    else:
        try:
            groups = await supervision.observe()
        except SupervisionError as error:
            reason = str(error)
    watchdogs = [
        str(program.program_state)
        for group in groups
        if group.partition_id == WATCHDOG
        for program in group.programs
    ]
    return Standing(
        config.computer_id,
        config.master_urls,
        find_owner(f"{config.instance_root}/{LOCK_FILE}"),
        StockAgent(config.neighbours, runtime.file_tree).find(),
        reason,
        watchdogs[0] if watchdogs else "",
        _observe_partitions(config, runtime, platform, tree, groups),
        _observe_releases(config, runtime, platform),
        _retries(_read_memory(tree)),
        read_pass_log(tree),
        config.identity_directory,
        _observe_certificates(config, runtime),
        runtime.calendar.now(),
    )


def _observe_certificates(
    config: Config, runtime: Runtime
) -> tuple[CalendarEntry, ...]:
    if not config.identity_directory:
        return ()
    tree = runtime.file_tree(config.identity_directory)
    return IdentityDirectory(tree).calendar(runtime.calendar.now())


def _observe_partitions(
    config: Config,
    runtime: Runtime,
    platform: Platform,
    tree: IFileTree,
    groups: tuple[GroupStatus, ...],
) -> tuple[PartitionStanding, ...]:
    releases = Releases(config, runtime, platform)
    warm = WarmServers(config, runtime, platform)
    partitions = Partitions(config, runtime, platform, releases, warm)
    by_partition = groups_by_partition(groups, config.format.partition_ids)
    now = runtime.calendar.now()
    return tuple(
        _stand(tree, partitions.observe(name, by_partition[name], now))
        for name in config.format.partition_ids
    )


def _stand(tree: IFileTree, local: LocalPartition) -> PartitionStanding:
    name = local.partition_id
    return PartitionStanding(
        name,
        _release_of(tree, name) if local.is_formatted else "",
        is_formatted=local.is_formatted,
        is_processed=local.timestamp is not None,
        processed_at=local.processed_at,
        programs=local.programs or (),
        promises=local.promises,
        error=_read_end(tree, f"{name}/{error_log(name)}"),
    )


def _release_of(tree: IFileTree, partition_id: str) -> str:
    try:
        target = tree.target(f"{partition_id}/{RELEASE_LINK}")
    except OSError:
        return ""
    return target.rpartition("/")[2]


def _observe_releases(
    config: Config, runtime: Runtime, platform: Platform
) -> tuple[ReleaseStanding, ...]:
    tree = runtime.file_tree(config.software_root)
    found = find_unsupplied(tree, frozenset())
    urls = tuple(each.software_release_url for each in found)
    local = Releases(config, runtime, platform).observe(urls)
    return tuple(
        ReleaseStanding(
            each.software_release_url,
            each.directory,
            is_completed=local[each.software_release_url].is_completed,
        )
        for each in found
    )


def _read_memory(tree: IFileTree) -> RetryMemory:
    try:
        return decode_memory(tree.read(RETRY_MEMORY))
    except (OSError, ValueError):
        return RetryMemory()


def _retries(memory: RetryMemory) -> tuple[Retry, ...]:
    retries = []
    for key, attempt in memory.attempts.items():
        effort, _, name = key.partition(" ")
        delay = BACKOFFS[Effort(effort)].delay_seconds(attempt.failure_count)
        retries.append(
            Retry(
                Effort(effort),
                name,
                attempt.failure_count,
                attempt.tried_at,
                attempt.tried_at + delay,
                attempt.message,
            )
        )
    return tuple(retries)


def _read_end(tree: IFileTree, path: str) -> str:
    try:
        return tree.read(path).decode(errors="replace")[-ERROR_CHARACTERS_MAX:]
    except OSError:
        return ""
