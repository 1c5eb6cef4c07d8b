"""Shell. What a state is taken from: a backup, or the database of a storage node.

Neither is ever written to: a backup is opened for reading, a database is copied before
it is opened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from master_cluster.errors import Misconfigured, Unusable
from master_cluster.store import backup
from master_cluster.store.content import Content, verify
from master_cluster.store.succeeding import LeftCloud, look_at
from replication.neo.surviving import copy_database, is_database, open_copy
from replication.survivor import NotSurvived
from replication.transfer import NotCopied, write_file
from slapcluster.hosting.outlook import RELEASE_PATH
from slapcluster.outcomes import CommandFailed
from slapcluster.recovery.comparing import (
    SourceKind,
    warn_of_backup,
    warn_of_database,
)

Watch = Callable[[int, int], None]


@frozen
class FoundState:
    """A state at ``path``, verified, and what is known of its cloud."""

    path: Path
    kind: SourceKind
    content: Content
    left: LeftCloud
    warnings: tuple[str, ...]


def find_state(source: Path, directory: Path, watch: Watch) -> FoundState:
    """Verify what is there; that of a database is written into ``directory``."""
    # ZODB would write of what is broken to the terminal.
    logging.getLogger("ZODB").addHandler(logging.NullHandler())
    try:
        if not is_database(source):
            return _of_backup(source, watch)
        return _of_database(source, directory, watch)
    except (Misconfigured, Unusable, NotCopied, NotSurvived) as error:
        told = str(error)
        place = "" if str(source) in told else f"{source}: "
        raise CommandFailed(f"{place}{told}.") from error


def take_state(found: FoundState, target: Path, watch: Watch) -> None:
    """Make the state the file ``target``, which is replaced if it is there."""
    try:
        backup.restore(found.path, target, watch, is_forced=True)
    except (Misconfigured, Unusable) as error:
        raise CommandFailed(f"{error}.") from error


def _of_backup(source: Path, watch: Watch) -> FoundState:
    content = verify(source, watch)
    left = look_at(source, RELEASE_PATH)
    warnings = warn_of_backup(left.last_at)
    return FoundState(source, SourceKind.BACKUP, content, left, warnings)


def _of_database(source: Path, directory: Path, watch: Watch) -> FoundState:
    target = directory / "survivor.fs"
    copy = directory / "survivor.sqlite"
    copy_database(source, copy)
    surviving = open_copy(copy)
    try:
        content = backup.make_copy(
            lambda part: write_file(surviving.storage, part, watch),
            *(target, watch),
            is_forced=True,
        )
        later_count = surviving.storage.later_count
    finally:
        surviving.storage.close()
    left = look_at(target, RELEASE_PATH)
    warnings = warn_of_database(
        left.last_at,
        is_whole=surviving.reach.is_whole,
        later_count=later_count,
        voted_count=surviving.survivor.voted_count,
    )
    return FoundState(target, SourceKind.DATABASE, content, left, warnings)
