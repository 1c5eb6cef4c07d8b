"""Shell. ``play``: a cloud on this machine, apart from it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from slapcluster.outcomes import CommandFailed
from slapcluster.play.places import RECORD_PATH
from slapcluster.printing import print_note
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from runtime.ports import Runtime
    from slapcluster.play.checkouts import Checkout
    from slapcluster.play.places import Record

T = TypeVar("T")

_checkout_option = click.option(
    "--checkout",
    "checkout_path",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    default=".",
    show_default="here",
    help=f"Holds dist/release and {RECORD_PATH}; the cloud does not see it.",
)

_namespaces_option = click.option(
    "--namespaces/--no-namespaces",
    "is_apart",
    default=True,
    show_default=True,
    help="Without: as on a machine that refuses them, on ::1 and distinct ports.",
)

_store_option = click.option(
    "--store",
    "store",
    type=click.Choice(["file", "neo"]),
    default="file",
    show_default=True,
    help="What the mini-master keeps its state in: a file, or a neo_cluster of three "
    "regions.",
)

COMMANDS_TO_TYPE = (
    "status",
    "supply {url} local --wait",
    "request greeter {url} --parameters greeting=Hello --parameters children=2 --wait",
    "service info greeter",
    "computer info local",
)
"""What somebody new types first, in this order."""


@click.group()
def play() -> None:
    """Run a whole cloud here: a mini-master, an agent and ten partitions.

    It has its own network, processes and user, sees neither this checkout nor other
    networks, and leaves nothing behind.
    """


@play.command(epilog="JSON: {place, user, way, network, master_url}.")
@_checkout_option
@_namespaces_option
@_store_option
@pass_session
def start(session: Session, *, checkout_path: Path, is_apart: bool, store: str) -> None:
    """Start a cloud and leave it running."""

    async def main(runtime: Runtime) -> Record:
        from slapcluster.play import cloud  # noqa: PLC0415 - loads Twisted
        from slapcluster.play.settings import StoreKind  # noqa: PLC0415

        return await cloud.open_cloud(
            runtime,
            _checkout(checkout_path),
            print_note,
            is_bound=False,
            is_apart=is_apart,
            store=StoreKind(store),
        )

    record = session.launch(main)
    session.answer(_document(record))
    if not session.is_json:
        _print_commands(record)


@play.command(epilog="JSON: {place}; null when there was none.")
@_checkout_option
@pass_session
def stop(session: Session, checkout_path: Path) -> None:
    """End the cloud and remove all of it; may be repeated."""

    async def main(runtime: Runtime) -> Record | None:
        from slapcluster.play import cloud  # noqa: PLC0415 - loads Twisted

        return await cloud.end_cloud(runtime, _checkout(checkout_path))

    record = session.launch(main)
    session.answer({"place": record.place if record else None})
    if not session.is_json:
        click.echo(f"{record.place} is gone." if record else "No cloud runs here.")


@play.command(
    "exec",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Example: slapcluster play exec slapcluster status",
)
@_checkout_option
@click.argument("argv", nargs=-1, type=click.UNPROCESSED)
def execute(checkout_path: Path, argv: tuple[str, ...]) -> None:
    """Run a command inside the cloud, as its user; without one, a shell."""
    from slapcluster.play import confinement, namespaces  # noqa: PLC0415

    record = _running(checkout_path)
    first_pid = namespaces.first_pid(record)
    if first_pid is None:
        raise CommandFailed("The cloud has just ended. `make play` starts one.")
    terminal = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - a composition root
        if name in {"TERM", "COLORTERM", "NO_COLOR"}
    }
    environment = {**confinement.environment_of(record), **terminal}
    command = confinement.entering(
        record, first_pid, environment, argv or ("/bin/sh", "-i")
    )
    # This process becomes the command: signals and the terminal reach it as usual.
    os.chdir("/")
    os.execvpe(command[0], command, {"PATH": confinement.SYSTEM_PATH})  # noqa: S606 - what a person typed


@play.command(epilog="JSON: as play start; null when none runs.")
@_checkout_option
@pass_session
def status(session: Session, checkout_path: Path) -> None:
    """Tell whether a cloud runs here, and where."""
    from slapcluster.play import namespaces  # noqa: PLC0415

    record = _checkout(checkout_path).record()
    if record is None or not namespaces.is_alive(record):
        session.answer(None)
        if not session.is_json:
            click.echo("No cloud runs here. `make play` starts one.")
        return
    session.answer(_document(record))
    if not session.is_json:
        _print_commands(record)


@play.command(epilog="JSON: [{step, seconds, seen}].")
@_checkout_option
@_namespaces_option
@_store_option
@pass_session
def demo(session: Session, *, checkout_path: Path, is_apart: bool, store: str) -> None:
    """Show in minutes what a cloud does; leave nothing behind."""

    async def main(runtime: Runtime) -> Any:
        from slapcluster.play.demo import show  # noqa: PLC0415 - loads Twisted
        from slapcluster.play.settings import StoreKind  # noqa: PLC0415

        begun = runtime.clock.seconds()
        checkout = _checkout(checkout_path)
        seen = await show(
            runtime,
            checkout,
            print_note,
            is_apart=is_apart,
            store=StoreKind(store),
        )
        return seen, runtime.clock.seconds() - begun

    seen, total_seconds = session.launch(main)
    session.answer(
        [
            {"step": it.title, "seconds": round(it.seconds, 1), "seen": it.sentence}
            for it in seen
        ],
        Table(
            ("step", "seconds", "seen"),
            (
                *(line(it.title, f"{it.seconds:.1f}", it.sentence) for it in seen),
                line("all, with removal", f"{total_seconds:.1f}", "nothing left"),
            ),
        ),
    )


def _checkout(path: Path) -> Checkout:
    from slapcluster.play.checkouts import Checkout  # noqa: PLC0415 - loads Twisted

    return Checkout(path, dict(os.environ))  # noqa: TID251 - a composition root


def _running(path: Path) -> Record:
    from slapcluster.play import namespaces  # noqa: PLC0415

    record = _checkout(path).record()
    if record is None or not namespaces.is_alive(record):
        raise CommandFailed("No cloud runs here. `make play` starts one.")
    return record


def _document(record: Record) -> dict[str, object]:
    return {
        "place": record.place,
        "user": record.identity.uid,
        "way": str(record.way),
        "network": record.network,
        "master_url": record.master_url,
    }


def _print_commands(record: Record) -> None:
    url = f"{record.master_url}release/software/hello/software.cfg"
    click.echo(f"A cloud runs in {record.place}. Five commands to type:\n")
    for command in COMMANDS_TO_TYPE:
        click.echo(f"  bin/slapcluster play exec slapcluster {command.format(url=url)}")
    click.echo(
        "\n`bin/slapcluster play exec` gives a shell inside; `make stop` ends it."
    )
