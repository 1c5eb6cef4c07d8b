"""Shell. A store: served as a program, copied to a file and put back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from master_cluster.errors import Misconfigured, Unusable
from master_cluster.store import backup
from master_cluster.store.content import Content, Watch, verify
from master_cluster.store.zeo_client import parse_address
from master_cluster.store.zeo_server import StorageService
from replication.transfer import NotCopied
from slapcluster import neo_copies
from slapcluster.outcomes import CommandFailed
from slapcluster.running import serve
from slapcluster.session import Session
from slapcluster.tables import Table, line


@frozen
class Restored:
    """What a store holds after it was restored, and what it held before.

    ``lost`` is ``None`` when there was nothing, or nothing that could be read.
    """

    content: Content
    lost: Content | None
    is_done: bool


def run_storage_server(path: str, listen: str, *, is_debug: bool) -> None:
    """Serve a file until it is told to stop."""
    try:
        address = parse_address(listen)
        serve(lambda it: StorageService(path, address, it), is_debug=is_debug)
    except Misconfigured as error:
        raise CommandFailed(f"{error}.") from error


def back_up(
    session: Session, store_uri: str, target: Path, *, is_forced: bool
) -> Content:
    if _is_neo(store_uri):
        return _watched(
            session,
            f"copying {_neo_name(store_uri)}",
            lambda it: neo_copies.back_up(store_uri, target, it, is_forced=is_forced),
        )
    path = _path_of(store_uri)
    return _watched(
        session,
        f"copying {path.name}",
        lambda watch: backup.back_up(path, target, watch, is_forced=is_forced),
    )


def verify_backup(session: Session, path: Path) -> Content:
    return _watched(session, f"reading {path.name}", lambda it: verify(path, it))


def restore(
    session: Session, copy: Path, store_uri: str, *, is_forced: bool, is_dry: bool
) -> Restored:
    """Put a backup back, or say what that would do.

    What a neo_cluster has is not replaced, forced or not.
    """
    if _is_neo(store_uri):
        content = _watched(
            session,
            f"restoring {_neo_name(store_uri)}",
            lambda it: neo_copies.restore(copy, store_uri, it, is_dry=is_dry),
        )
        return Restored(content, None, is_done=not is_dry)
    path = _path_of(store_uri)
    lost = _present(session, path)
    if is_dry:
        return Restored(verify_backup(session, copy), lost, is_done=False)
    content = _watched(
        session,
        f"restoring {path.name}",
        lambda watch: backup.restore(copy, path, watch, is_forced=is_forced),
    )
    return Restored(content, lost, is_done=True)


FIGURES = (
    ("computers", "computer_count"),
    ("partitions", "partition_count"),
    ("instances", "instance_count"),
    ("trees", "tree_count"),
    ("history", "history"),
    ("objects", "object_count"),
    ("transactions", "transaction_count"),
    ("bytes", "byte_count"),
    ("last transaction", "last_transaction"),
    ("digest", "digest"),
)


def content_table(content: Content) -> Table:
    return Table(
        ("what", "figure"),
        tuple(line(name, getattr(content, field)) for name, field in FIGURES),
    )


def restored_table(restored: Restored) -> Table:
    is_or_would = "is" if restored.is_done else "would be"
    return Table(
        ("what", f"{is_or_would} there", f"{is_or_would} lost"),
        tuple(
            line(
                name,
                getattr(restored.content, field),
                getattr(restored.lost, field) if restored.lost else None,
            )
            for name, field in FIGURES
        ),
    )


def _present(session: Session, path: Path) -> Content | None:
    try:
        return verify_backup(session, path) if path.exists() else None
    except CommandFailed:
        return None


def _is_neo(store_uri: str) -> bool:
    return store_uri.startswith("neo:")


def _neo_name(store_uri: str) -> str:
    return store_uri.partition("@")[0]


def _path_of(store_uri: str) -> Path:
    scheme, _, path = store_uri.partition(":")
    if scheme == "zeo":
        raise CommandFailed(
            f"{store_uri} is served by another program: name the file that it serves,"
            " as file:PATH."
        )
    if scheme != "file" or not path:
        raise CommandFailed(f"{store_uri!r}: write file:PATH or neo:NAME@HOST:PORT.")
    return Path(path)


def _watched(
    session: Session, subject: str, work: Callable[[Watch], Content]
) -> Content:
    """Do what takes long beside a bar."""
    # What is broken is said in one sentence; ZODB would write a traceback before it.
    logging.getLogger("ZODB").addHandler(logging.NullHandler())
    progress = session.progress(subject)
    try:
        return work(lambda done, total: progress.show(f"{100 * done // total} %"))
    except (Misconfigured, Unusable, NotCopied) as error:
        raise CommandFailed(f"{error}.") from error
    finally:
        progress.close()
