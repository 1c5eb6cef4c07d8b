"""Shell. A promise that finds the copier missing asks for the pass that begins it."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve

from replication.answers import Answer
from runtime.ports import IFileTree, Runtime
from slap.errors import SlapError
from slapcluster.hosting.bang_marks import (
    MARK_BYTES_MAX,
    BangMark,
    may_bang,
    parse_mark,
    render_mark,
)
from slapcluster.hosting.configuring import Asked
from slapcluster.hosting.connections import Connection
from slapcluster.hosting.holders import lacks_cells
from slapcluster.hosting.layout import (
    COPIER,
    COPIER_BANG_FILE,
    NEO_HOME,
    SERVICE_DIRECTORY,
)
from slapcluster.hosting.planning import InForce
from slapcluster.outcomes import CommandFailed
from slapcluster.regions.databases import look_into
from slapgrid.instance.reading import list_directory, read_if_there

CALL_SECONDS_MAX = 3.0
"""For each replica: agents allow a promise 20 s in all, and NEO was asked."""

ASKED = "a pass of the agent was asked for"


def complain_of_copier(
    runtime: Runtime, tree: IFileTree, asked: Asked, in_force: InForce, answer: Answer
) -> str:
    """Bang if the region lacks its cells and has no copier; return what to say of it.

    A copier is planned by a pass, and a disk that is lost between two brings none.
    """
    names = list_directory(tree, SERVICE_DIRECTORY)
    if any(it.startswith(f"{COPIER}-") for it in names):
        return ""
    try:
        database = look_into(Path(tree.root, NEO_HOME))
    except CommandFailed:
        # Locked just now: the next look tells.
        return ""
    if not lacks_cells(asked.wanted, in_force.published, database, answer):
        return ""
    return _bang(runtime, tree, asked, in_force)


def _bang(runtime: Runtime, tree: IFileTree, asked: Asked, in_force: InForce) -> str:
    now = runtime.calendar.now()
    mark = parse_mark(read_if_there(tree, COPIER_BANG_FILE, MARK_BYTES_MAX))
    if mark is not None and not may_bang(mark, now):
        return ASKED if mark.is_heard else "no master heard that a pass is wanted"
    message = f"the storage node of {asked.wanted.name} has no cells"
    mark = BangMark(now, message, is_heard=False)
    try:
        # First: without it each look would be a bang.
        tree.write(COPIER_BANG_FILE, render_mark(mark), 0o640)
        _master(asked, in_force).bang(message, CALL_SECONDS_MAX)
        tree.write(COPIER_BANG_FILE, render_mark(evolve(mark, is_heard=True)), 0o640)
    except SlapError as error:
        return f"no master heard that a pass is wanted: {error.sentence}"
    except OSError as error:
        return f"no pass is asked for: {error}"
    return ASKED


def _master(asked: Asked, in_force: InForce) -> Connection:
    """Return whoever may hear it now.

    Where the last pass was asked from may be gone, as a mini-master is after it handed
    over: replicas are asked first, that of this region after the others.
    """
    others = [it for name, it in in_force.published.items() if name != in_force.name]
    replicas = (it.replica_url for it in (*others, in_force.own))
    urls = filter(None, (*replicas, asked.connection.server_urls))
    return evolve(asked.connection, server_urls=" ".join(urls))
