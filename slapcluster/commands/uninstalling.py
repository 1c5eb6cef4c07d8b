"""Shell. ``uninstall``, of a computer and of a cloud."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slapcluster.bootstrap.cloud_files import read_file
from slapcluster.commands.configured import DEFAULT_CONFIG_PATH, given_config_path
from slapcluster.commands.options import bootstrap_home_option, cloud_file_argument
from slapcluster.documents import document_of
from slapcluster.outcomes import ExitCode
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from runtime.ports import Runtime
    from slapcluster.uninstalling.clouds import OfCloud
    from slapcluster.uninstalling.planning import Plan

_YES = click.option(
    "--yes",
    "is_done",
    is_flag=True,
    help="Do it. Without, it is only said what would be removed.",
)

_NOTHING_DONE = "Nothing was removed: add --yes to do it."

_NODE_EPILOG = """What is not known to be of slapcluster is left, and named. Killed
anywhere, the same command goes on; done again, it does nothing.

Exit codes: 0 done, or said; 1 refused or failed; 10 another agent works.

JSON: {is_done, removals: [{kind, what}], left: [sentence]}."""


@click.command(epilog=_NODE_EPILOG)
@click.option(
    "--cfg",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The slapos.cfg of this computer; may stand before the verb too.",
)
@_YES
@click.pass_context
def node_uninstall(
    ctx: click.Context, *, config_path: Path | None, is_done: bool
) -> None:
    """Remove all that slapcluster has on this computer: instances with what they keep.

    The agent and all programs end; partitions, releases, identity and settings go. The
    master is not asked: what ran here is lost, if it is nowhere else.
    """
    from slapcluster.uninstalling.performing import (  # noqa: PLC0415 - as above
        describe,
        foresee,
        uninstall,
    )

    session = ctx.find_object(Session)
    assert session is not None
    path = config_path or given_config_path(ctx) or Path(DEFAULT_CONFIG_PATH)
    progress = session.progress("this computer")

    async def main(runtime: Runtime) -> Plan:
        if is_done:
            return await uninstall(runtime, path.absolute(), progress.show)
        return await foresee(runtime, path.absolute())

    try:
        plan = session.launch(main)
    finally:
        progress.close()
    session.answer(
        {"is_done": is_done, **describe(plan)},
        Table(
            ("removed" if is_done else "would be removed", "what"),
            tuple(line(it.kind.value, it.what) for it in plan.removals),
        ),
        Table(("left",), tuple(line(it) for it in plan.left), title="Left"),
    )
    if not plan.removals:
        session.add_text(f"There is no {path}: nothing is to be removed.")
    elif not is_done:
        session.add_text(_NOTHING_DONE)


_EPILOG = """The keys of the root stay without --with-root: who has lost the root adds
no region to a cloud that runs, so be sure that no computer of it is elsewhere.

Exit codes: 0 done, or said; 1 a computer failed, and the home stays.

JSON: {is_done, computers: [{title, removals: [{kind, what}], left, failure}], home:
[path], home_left: [path], is_home_kept}."""


@click.command(epilog=_EPILOG)
@cloud_file_argument
@bootstrap_home_option("Where the bootstrap wrote down what it did.")
@click.option("--with-root", is_flag=True, help="The keys of the root too.")
@_YES
@pass_session
def uninstall(
    session: Session, *, cloud_file: Path, home: Path, with_root: bool, is_done: bool
) -> int:
    """Remove a cloud: all of its computers by their commands, then its home.

    Each computer is uninstalled as by `node uninstall`, all of them at once: all
    services end, and what they and the master keep is lost.
    """
    from slapcluster.uninstalling.clouds import Wish, uninstall_cloud  # noqa: PLC0415

    wanted = read_file(cloud_file)
    progress = session.progress(wanted.name)
    wish = Wish(home, is_done=is_done, has_root=with_root)

    async def main(runtime: Runtime) -> OfCloud:
        return await uninstall_cloud(runtime, wanted, wish, progress.show)

    try:
        found = session.launch(main)
    finally:
        progress.close()
    document = document_of(found)
    assert isinstance(document, dict)
    session.answer({"is_done": is_done, **document}, *_tables(found, is_done=is_done))
    if not is_done:
        session.add_text(_NOTHING_DONE)
    if found.is_home_kept:
        session.add_text(f"{home} stays until all computers are done: repeat this.")
    has_failed = any(it.failure for it in found.computers)
    return ExitCode.FAILED if has_failed else ExitCode.DONE


def _tables(found: OfCloud, *, is_done: bool) -> tuple[Table, ...]:
    removed = "removed" if is_done else "would be removed"
    return (
        Table(
            ("computer", removed, "what"),
            (
                *(
                    line(it.title, each["kind"], each["what"])
                    for it in found.computers
                    for each in it.removals
                ),
                *(
                    line("this one", "home", each)
                    for each in found.home
                    if not found.is_home_kept
                ),
            ),
        ),
        Table(
            ("computer", "left"),
            (
                *(line(it.title, each) for it in found.computers for each in it.left),
                *(line("this one", each) for each in found.home_left),
            ),
            title="Left",
        ),
        Table(
            ("computer", "failure"),
            tuple(line(it.title, it.failure) for it in found.computers if it.failure),
            title="Failures",
        ),
    )
