"""The end of what programs wrote, from their files: supervisord need not answer."""

from __future__ import annotations

from collections.abc import Collection

from attrs import frozen

from runtime.ports import IFileTree
from slapgrid.layout import program_log
from slapgrid.supervision.conf import program_name


@frozen
class LogEnd:
    """The last lines of a program; ``failure`` says why there are none."""

    partition_id: str
    program: str
    path: str
    text: str = ""
    failure: str | None = None


def read_log_ends(
    tree: IFileTree, word: str, partition_ids: Collection[str], line_count: int
) -> tuple[LogEnd, ...]:
    """The logs that ``PARTITION`` or ``PARTITION:PROGRAM`` names."""
    partition_id, _, named = word.partition(":")
    if partition_id not in partition_ids:
        reason = "no such partition: `slapgrid status` lists them"
        return (LogEnd(partition_id, named, "", failure=reason),)
    program = program_name(named)
    if "/" in program:
        return (LogEnd(partition_id, named, "", failure="no name of a program"),)
    if program in {"", "*"}:
        programs = _programs(tree, partition_id)
        if not programs:
            reason = "none of its programs has written anything"
            return (LogEnd(partition_id, "", "", failure=reason),)
    else:
        programs = (program,)
    return tuple(_read(tree, partition_id, each, line_count) for each in programs)


def _programs(tree: IFileTree, partition_id: str) -> tuple[str, ...]:
    begin, end = program_log(partition_id, "*").split("*")
    try:
        names = tree.list(partition_id)
    except FileNotFoundError:
        return ()
    return tuple(
        name.removeprefix(begin).removesuffix(end)
        for name in names
        if name.startswith(begin) and name.endswith(end)
    )


def _read(tree: IFileTree, partition_id: str, program: str, line_count: int) -> LogEnd:
    path = f"{partition_id}/{program_log(partition_id, program)}"
    shown = tree.path(path)
    try:
        lines = tree.read(path).splitlines()
        if len(lines) < line_count:
            # supervisord began a new file just before.
            lines = _read_earlier(tree, path) + lines
    except OSError as error:
        reason = error.strerror or str(error)
        return LogEnd(partition_id, program, shown, failure=f"{shown}: {reason}")
    text = b"\n".join(lines[-line_count:]).decode(errors="replace")
    return LogEnd(partition_id, program, shown, text)


def _read_earlier(tree: IFileTree, path: str) -> list[bytes]:
    try:
        return tree.read(f"{path}.1").splitlines()
    except FileNotFoundError:
        return []
