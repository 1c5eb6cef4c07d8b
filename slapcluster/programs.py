"""Shell. The programs of this computer, told what a person wants of them."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from runtime.ports import Runtime
from slapcluster.agents import read_settings
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Launch
from slapgrid.layout import LOCK_FILE, SUPERVISORD_SOCKET, SUPERVISORD_SOCKET_OF_OLD
from slapgrid.neighbours.lock import find_owner
from slapgrid.service import build_supervision
from slapgrid.supervision.commanding import Told, tell_programs
from slapgrid.supervision.logs import LogEnd, read_log_ends
from slapgrid.supervision.port import SupervisionError
from slapgrid.supervision.verbs import Verb


@frozen
class Telling:
    """What came of it; ``agent`` is the process of an agent that may differ."""

    programs: tuple[Told, ...]
    agent: int | None
    recheck_seconds: float


def tell(
    launch: Launch, config_path: Path, verb: Verb, words: tuple[str, ...]
) -> Telling:
    """Tell programs of supervisord to start or stop, and wait until they did."""
    config = read_settings(config_path)

    async def main(runtime: Runtime) -> tuple[Told, ...]:
        tree = runtime.file_tree(config.instance_root)
        sockets = (SUPERVISORD_SOCKET, SUPERVISORD_SOCKET_OF_OLD)
        if all(tree.status(each) is None for each in sockets):
            raise CommandFailed(
                "supervisord does not run: `slapgrid run` or a pass of "
                "`slapgrid instance` starts it."
            )
        supervision = build_supervision(config, runtime)
        try:
            return await tell_programs(
                supervision, verb, words, config.format.partition_ids
            )
        except SupervisionError as error:
            raise CommandFailed(f"{error}.") from error

    told = launch(main)
    agent = find_owner(f"{config.instance_root}/{LOCK_FILE}")
    return Telling(told, agent, config.recheck_seconds)


def read_ends(
    launch: Launch, config_path: Path, words: tuple[str, ...], line_count: int
) -> tuple[LogEnd, ...]:
    """The ends of the logs of programs."""
    config = read_settings(config_path)

    async def main(runtime: Runtime) -> tuple[LogEnd, ...]:
        tree = runtime.file_tree(config.instance_root)
        return tuple(
            end
            for word in words
            for end in read_log_ends(
                tree, word, config.format.partition_ids, line_count
            )
        )

    return launch(main)
