"""Shell. Uninstalls all computers of a cloud, then the home of its bootstrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from runtime.holdings import ROOTS
from runtime.ports import FileKind, Runtime
from slapcluster.bootstrap.errands import Errand, Ran, run_errands
from slapcluster.bootstrap.home import COPY, LOGBOOK, MINI_MASTER, OPERATOR, ROOT
from slapcluster.bootstrap.wanted_cloud import WantedCloud
from slapcluster.outcomes import CommandFailed, ExitCode
from slapgrid.neighbours.lock import hold_directory

UNINSTALL_SECONDS_MAX = 900.0
"""Of one computer: programs get minutes to end, and releases have many files."""

ROOT_MARK = f"{ROOT}/{ROOTS}"

Show = Callable[[str], None]


@frozen
class OfComputer:
    """What was, or would be, removed there; ``failure`` is why it was not."""

    title: str
    removals: tuple[Mapping[str, Any], ...] = ()
    left: tuple[str, ...] = ()
    failure: str = ""


@frozen
class OfCloud:
    """``home`` are the paths of the home; ``is_home_kept`` while a computer failed."""

    computers: tuple[OfComputer, ...]
    home: tuple[str, ...] = field(default=())
    home_left: tuple[str, ...] = field(default=())
    is_home_kept: bool = False


@frozen
class Wish:
    """How far it goes: nothing is removed unless ``is_done``."""

    home: Path
    is_done: bool
    has_root: bool


async def uninstall_cloud(
    runtime: Runtime, wanted: WantedCloud, wish: Wish, show: Show
) -> OfCloud:
    """Uninstall all computers at once, then the home, if none failed."""
    tree = runtime.file_tree(str(wish.home.absolute()))
    names = () if tree.status("") is None else tree.list()
    is_marked = LOGBOOK in names or (
        ROOT in names and tree.status(ROOT_MARK) is not None
    )
    hold = hold_directory(tree.root) if is_marked else None
    if is_marked and hold is None:
        raise CommandFailed(
            f"A bootstrap works in {tree.root} just now: stop it first.",
            ExitCode.ANOTHER_RUNS,
        )
    try:
        computers = await _computers(runtime, wanted, wish, show)
        has_failed = any(it.failure for it in computers)
        going = _of_home(names, has_root=wish.has_root) if is_marked else ()
        if wish.is_done and not has_failed:
            for name in going:
                found = tree.status(name)
                if found is not None and found.kind is FileKind.DIRECTORY:
                    await tree.remove_tree(name)
                else:
                    tree.remove(name)
            if is_marked and not tree.list():
                Path(tree.root).rmdir()  # noqa: ASYNC240 - it is empty
    finally:
        if hold is not None:
            hold.release()
    return OfCloud(
        computers,
        tuple(tree.path(it) for it in going),
        tuple(tree.path(it) for it in names if it not in going),
        is_home_kept=has_failed,
    )


def _of_home(names: tuple[str, ...], *, has_root: bool) -> tuple[str, ...]:
    """Return what goes; the logbook, which marks the home, goes last."""
    copies = (it for it in names if it.startswith(COPY))
    known = (MINI_MASTER, OPERATOR, *copies, *((ROOT,) if has_root else ()), LOGBOOK)
    return tuple(it for it in known if it in names)


async def _computers(
    runtime: Runtime, wanted: WantedCloud, wish: Wish, show: Show
) -> tuple[OfComputer, ...]:
    words = ("uninstall", "--yes") if wish.is_done else ("uninstall",)
    errands = tuple(
        Errand(it, words, UNINSTALL_SECONDS_MAX)
        for it in wanted.computers
        if it.command
    )
    ran = await run_errands(runtime, errands, show)
    return tuple(
        _of_computer(it.title, ran[it.title])
        if it.command
        else OfComputer(
            it.title,
            left=(
                f"no command is known: type slapcluster {' '.join(it.words(*words))}",
            ),
        )
        for it in wanted.computers
    )


def _of_computer(title: str, ran: Ran) -> OfComputer:
    if ran.answer is None:
        return OfComputer(title, failure=ran.failure)
    removals, left = ran.answer.get("removals"), ran.answer.get("left")
    if not isinstance(removals, list) or not isinstance(left, list):
        return OfComputer(title, failure="another version answers, it seems")
    return OfComputer(title, tuple(removals), tuple(left))
