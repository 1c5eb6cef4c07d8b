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

_DOCUMENT = (
    "{place, user, way, network, master_url, replica_urls, identity, regions}; "
    "identity is null where there are no regions"
)

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

_regions_option = click.option(
    "--regions",
    "region_count",
    type=click.Choice(["1", "3"]),
    default="1",
    show_default=True,
    help="3: three computers in networks of their own, which bootstrap makes a cloud "
    "that hosts its own master; 1: a mini-master and one computer.",
)

COMMANDS_TO_TYPE = (
    "status",
    "supply {url} local --wait",
    "request greeter {url} --parameters greeting=Hello --parameters children=2 --wait",
    "service info greeter",
    "computer info local",
)
"""What somebody new types first, in this order."""


COMMANDS_OF_REGIONS = (
    "status",
    "supply {url} {computer_id} --wait",
    "request greeter {url} --parameters greeting=Hello --wait",
    "replica list",
)
"""The same, in a cloud of three regions."""


@click.group()
def play() -> None:
    """Run a whole cloud here: of one computer, or of three regions.

    It has its own network, processes and user, sees neither this checkout nor other
    networks, and leaves nothing behind.
    """


@play.command(epilog=f"JSON: {_DOCUMENT}.")
@_checkout_option
@_namespaces_option
@_store_option
@_regions_option
@pass_session
def start(
    session: Session,
    *,
    checkout_path: Path,
    is_apart: bool,
    store: str,
    region_count: str,
) -> None:
    """Start a cloud and leave it running."""
    _check_regions(region_count, is_apart=is_apart, store=store)

    async def main(runtime: Runtime) -> Record:
        from slapcluster.play import bootstrapping, cloud  # noqa: PLC0415 - as above
        from slapcluster.play.settings import StoreKind  # noqa: PLC0415

        if await _has_regions(runtime, region_count):
            return await bootstrapping.open_hosted(
                runtime, _checkout(checkout_path), print_note
            )
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
@click.option(
    "--region",
    metavar="NAME",
    help="On the computer of this region, as its user. [default: as the operator]",
)
@click.argument("argv", nargs=-1, type=click.UNPROCESSED)
def execute(checkout_path: Path, region: str | None, argv: tuple[str, ...]) -> None:
    """Run a command inside the cloud, as its user; without one, a shell."""
    from slapcluster.play import confinement, namespaces  # noqa: PLC0415

    record = _running(checkout_path)
    if region is None:
        account, first_pid = record.account, namespaces.first_pid(record)
    else:
        account = record.account_of(_known_region(record, region))
        first_pid = namespaces.first_pid_of(record, region)
    if first_pid is None:
        what = f"The computer of {region}" if region else "The cloud"
        raise CommandFailed(f"{what} does not run.")
    terminal = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - a composition root
        if name in {"TERM", "COLORTERM", "NO_COLOR"}
    }
    environment = {**confinement.environment_of(record, account), **terminal}
    command = confinement.entering(
        record, first_pid, environment, argv or ("/bin/sh", "-i"), account
    )
    # This process becomes the command: signals and the terminal reach it as usual.
    os.chdir("/")
    os.execvpe(command[0], command, {"PATH": confinement.SYSTEM_PATH})  # noqa: S606 - what a person typed


@play.command("power", epilog="JSON: {region, is_on}.")
@_checkout_option
@click.argument("region", metavar="REGION")
@click.argument("wanted", metavar="on|off", type=click.Choice(["on", "off"]))
@pass_session
def power_of(
    session: Session, *, checkout_path: Path, region: str, wanted: str
) -> None:
    """Take the power of the computer of REGION, or give it back.

    Off is SIGKILL of all that runs on it, and its network is gone in the same instant.
    """
    record = _running(checkout_path)
    _known_region(record, region)

    async def main(runtime: Runtime) -> None:
        from slapcluster.play import three_regions  # noqa: PLC0415 - loads Twisted

        if wanted == "on":
            three_regions.give_power(record, region)
            await three_regions.until_on(runtime, record, region)
        else:
            three_regions.take_power(record, region)
            await three_regions.until_off(runtime, record, region)

    session.launch(main)
    session.answer({"region": region, "is_on": wanted == "on"})
    session.add_text(f"The computer of {region} is {wanted}.")


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
@_regions_option
@click.option(
    "--full",
    "is_full",
    is_flag=True,
    help="With 3 regions: all of them lose power at once, too, start cold, and take up"
    " another release.",
)
@pass_session
def demo(
    session: Session,
    *,
    checkout_path: Path,
    is_apart: bool,
    store: str,
    region_count: str,
    is_full: bool,
) -> None:
    """Show in minutes what a cloud does; leave nothing behind."""
    _check_regions(region_count, is_apart=is_apart, store=store)
    if is_full and region_count == "1":
        raise CommandFailed("--full is about three regions: add --regions 3.")

    async def main(runtime: Runtime) -> Any:
        from slapcluster.play.demo import show, show_regions  # noqa: PLC0415
        from slapcluster.play.settings import StoreKind  # noqa: PLC0415

        begun = runtime.clock.seconds()
        checkout = _checkout(checkout_path)
        if await _has_regions(runtime, region_count):
            seen = await show_regions(runtime, checkout, print_note, is_full=is_full)
        else:
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


def _check_regions(region_count: str, *, is_apart: bool, store: str) -> None:
    if region_count != "1" and not (is_apart and store == "file"):
        raise CommandFailed(
            "Three regions have namespaces, and keep their state in NEO: leave "
            "--no-namespaces and --store away, or say --regions 1."
        )


async def _has_regions(runtime: Runtime, region_count: str) -> bool:
    """Tell whether three regions are asked for, and possible on this machine."""
    from slapcluster.play.choosing import allows_regions  # noqa: PLC0415 - as above

    if region_count == "1":
        return False
    is_allowed = await allows_regions(runtime)
    if not is_allowed:
        print_note(
            "This machine refuses networks of their own to three computers: one "
            "computer is shown, with a mini-master."
        )
    return is_allowed


def _checkout(path: Path) -> Checkout:
    from slapcluster.play.checkouts import Checkout  # noqa: PLC0415 - loads Twisted

    return Checkout(path, dict(os.environ))  # noqa: TID251 - a composition root


def _running(path: Path) -> Record:
    from slapcluster.play import namespaces  # noqa: PLC0415

    record = _checkout(path).record()
    if record is None or not namespaces.is_alive(record):
        raise CommandFailed("No cloud runs here. `make play` starts one.")
    return record


def _known_region(record: Record, region: str) -> str:
    if region not in record.computers:
        known = ", ".join(record.computers) or "none: it has one computer"
        raise CommandFailed(f"{region} is no region of this cloud; it has {known}.")
    return region


def _document(record: Record) -> dict[str, object]:
    return {
        "place": record.place,
        "user": record.identity.uid,
        "way": str(record.way),
        "network": record.network,
        "master_url": next(iter(record.replica_urls), record.master_url),
        "replica_urls": list(record.replica_urls),
        "identity": record.operator_identity if record.replica_urls else None,
        "regions": list(record.computers),
    }


def _print_commands(record: Record) -> None:
    if record.computers:
        _print_commands_of_regions(record)
        return
    url = f"{record.master_url}release/software/hello/software.cfg"
    click.echo(f"A cloud runs in {record.place}. Five commands to type:\n")
    for command in COMMANDS_TO_TYPE:
        click.echo(f"  bin/slapcluster play exec slapcluster {command.format(url=url)}")
    click.echo(
        "\n`bin/slapcluster play exec` gives a shell inside; `make stop` ends it."
    )


def _print_commands_of_regions(record: Record) -> None:
    from slapcluster.play.computers import HELLO_URL, title_of  # noqa: PLC0415

    if not record.replica_urls:
        click.echo(
            f"A cloud in {record.place} does not host itself yet: its bootstrap runs, "
            "or was killed. `make stop` ends it."
        )
        return
    region = next(iter(record.computers))
    titles = ", ".join(title_of(it) for it in record.computers)
    click.echo(f"A cloud that hosts itself runs in {record.place}, on {titles}.")
    click.echo(f"Its master answers at {' '.join(record.replica_urls)},")
    click.echo(f"to the operator, whose identity is {record.operator_identity}.")
    click.echo("Inside both are known to commands. Five to type:\n")
    for command in COMMANDS_OF_REGIONS:
        words = command.format(url=HELLO_URL, computer_id=_computer_id(record, region))
        click.echo(f"  bin/slapcluster play exec slapcluster {words}")
    click.echo(f"  bin/slapcluster play power {region} off    # and on again")
    click.echo(
        "\n`bin/slapcluster play exec` gives a shell inside, with `--region "
        f"{region}` on a computer; `make stop` ends it."
    )


def _computer_id(record: Record, region: str) -> str:
    from slapcluster.play.computers import computer_id_of  # noqa: PLC0415

    content = Path(record.bootstrap_home, "logbook.json").read_bytes()
    return computer_id_of(content, region)
