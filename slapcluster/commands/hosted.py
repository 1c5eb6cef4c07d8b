"""Shell. ``hosted``: what the instance profiles of master-cluster call."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from slapcluster.hosting.layout import PROMISES, ROOT_PROMISE
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.session import Session, pass_session

if TYPE_CHECKING:
    # Loads Twisted, and the shell loads this module at every TAB.
    from runtime.ports import Runtime
    from slapcluster.hosting.judging import Judgement
    from slapcluster.hosting.rolling import Roll
    from slapcluster.hosting.wanted import PublishedRegion

INPUT_BYTES_MAX = 1024 * 1024
"""Parameters of nine regions with their certificates are a tenth of it."""


_PARTITION = click.Path(file_okay=False, exists=True, resolve_path=True)


@click.group()
def hosted() -> None:
    """The master as a software release: for the profiles of its instances."""


@hosted.command(
    epilog="JSON: {names, storage, neo-cluster, neo-partitions, authority}:"
    " what the root asks its regions for, {each} in what they differ, and {held} what"
    " another release waits for; of a region they are empty, and {published} is what"
    " others need to know."
)
@click.option(
    "--home",
    required=True,
    type=_PARTITION,
    help="The directory of the partition.",
)
@click.option(
    "--bin",
    "bin_directory",
    required=True,
    type=click.Path(file_okay=False, exists=True),
    help="Where the scripts of the release are.",
)
@click.option("--stunnel", required=True, help="The path of the program stunnel.")
@click.option(
    "--release",
    "release_directory",
    required=True,
    type=click.Path(file_okay=False),
    help="Where the release keeps what it was built from, for its replica to serve.",
)
@pass_session
def configure(
    session: Session,
    *,
    home: str,
    bin_directory: str,
    stunnel: str,
    release_directory: str,
) -> None:
    """Bring an instance into force, and write what follows from its parameters.

    Standard input is JSON: {software_type, release_url, parameters, connection, ipv4,
    ipv6, first_port}. Done again it changes nothing; killed anywhere it goes on when it
    is done again.
    """
    from slapcluster.hosting import configuring, numbering, places, wanted  # noqa: PLC0415 - as above

    document = _document()
    parameters = _texts(document.get("parameters"))
    try:
        place = places.read_place(
            document,
            home,
            python=sys.executable,
            bin_directory=bin_directory,
            stunnel=stunnel,
            release_directory=release_directory,
        )
        if document.get("software_type") != "region":
            asked_root = wanted.read_root(parameters)
        else:
            asked = wanted.read_region(parameters)
    except numbering.Misasked as error:
        raise CommandFailed(f"{error}.") from error
    connection = _texts(document.get("connection"))
    if document.get("software_type") != "region":

        async def configure_root(runtime: Runtime) -> Roll:
            return configuring.configure_root(runtime, place, asked_root, connection)

        roll = session.launch(configure_root)
        session.answer(wanted.describe_root(asked_root, roll))
        return

    async def main(runtime: Runtime) -> PublishedRegion:
        return await configuring.configure(runtime, place, asked, told)

    told = json.dumps({"parameters": parameters, "connection": connection}).encode()
    published = wanted.render_published(session.launch(main))
    session.answer({**wanted.NO_REGIONS, "published": published})


@hosted.command()
@click.argument(
    "home", type=click.Path(file_okay=False, exists=True, resolve_path=True)
)
@pass_session
def create(session: Session, *, home: str) -> None:
    """Have the cells of NEO made when all is there for it; runs until it is stopped.

    Once there are cells the instance is processed again, and this is not run any more.
    """
    from slapcluster.hosting.creating import have_cells_made  # noqa: PLC0415 - as above

    async def main(runtime: Runtime) -> None:
        await have_cells_made(runtime, home)

    session.launch(main)


@hosted.command()
@click.argument(
    "home", type=click.Path(file_okay=False, exists=True, resolve_path=True)
)
@click.argument("leg")
@pass_session
def prove(session: Session, *, home: str, leg: str) -> None:
    """Have it known that the region runs well in its LEG; runs until it is stopped.

    That is when all of its promises are kept. Then the instance is processed again,
    and the next region may follow.
    """
    from slapcluster.hosting.proving import have_leg_proved  # noqa: PLC0415 - as above

    async def main(runtime: Runtime) -> None:
        await have_leg_proved(runtime, home, leg)

    session.launch(main)


@hosted.command("copy")
@click.argument("home", type=_PARTITION)
@pass_session
def have_copied(session: Session, *, home: str) -> None:
    """Have everything copied to the storage node of a region that has no cells.

    It has them instead of the one that the region had, and this runs until it is
    stopped; once all is done the instance is processed again.
    """
    from slapcluster.hosting.copying import have_all_copied  # noqa: PLC0415 - as above

    async def main(runtime: Runtime) -> None:
        await have_all_copied(runtime, home)

    session.launch(main)


@hosted.command("drop")
@click.argument("home", type=_PARTITION)
@pass_session
def have_dropped(session: Session, *, home: str) -> None:
    """Have no cells left on storage nodes of regions that leave.

    It runs until it is stopped, so that whoever comes back has them dropped again.
    """
    from slapcluster.hosting.copying import have_all_dropped  # noqa: PLC0415 - as above

    async def main(runtime: Runtime) -> None:
        await have_all_dropped(runtime, home)

    session.launch(main)


@hosted.command(epilog="Exit codes: 0 kept, 1 broken; JSON: {is_kept, sentence}.")
@click.argument("name", type=click.Choice((*PROMISES, ROOT_PROMISE)))
@click.argument("home", type=click.Path(file_okay=False, resolve_path=True))
@pass_session
def check(session: Session, *, name: str, home: str) -> int:
    """Say whether the promise NAME of the region in the partition HOME is kept."""
    from slapcluster.hosting import promising  # noqa: PLC0415 - as above

    async def main(runtime: Runtime) -> Judgement:
        return await promising.check(runtime, name, home)

    judgement = session.launch(main)
    document = {"is_kept": judgement.is_kept, "sentence": judgement.sentence}
    session.answer(document)
    session.add_text(judgement.sentence)
    return ExitCode.DONE if judgement.is_kept else ExitCode.FAILED


@hosted.command(epilog="JSON: {store_uri}.")
@click.argument("home", type=_PARTITION)
@pass_session
def store(session: Session, *, home: str) -> None:
    """Write the URI of the store of the region in the partition HOME.

    For `slapcluster storage backup` on its computer, where alone it leads somewhere.
    """
    from slapcluster.hosting.configuring import read_in_force  # noqa: PLC0415 - as above

    async def main(runtime: Runtime) -> str:
        in_force = read_in_force(runtime.file_tree(home))
        if in_force is None:
            raise CommandFailed(f"{home} is no partition with a region.")
        if not in_force.store_uri:
            raise CommandFailed(
                f"The region in {home} has no store yet: "
                f"{', '.join(in_force.missing)} has not published."
            )
        return in_force.store_uri

    store_uri = session.launch(main)
    session.answer({"store_uri": store_uri})
    if not session.is_json:
        click.echo(store_uri)


@hosted.command(epilog="JSON: the connection parameters, all of them texts.")
@pass_session
def publication(session: Session) -> None:
    """Write what an instance publishes.

    Standard input is JSON: {configured, regions}, the answer of `configure` and what
    the regions published.
    """
    from slapcluster.hosting.wanted import summarise  # noqa: PLC0415 - as above

    document = _document()
    own = _object(document.get("configured")).get("published")
    if own is not None:
        session.answer(_texts(own))
        return
    regions = _object(document.get("regions"))
    session.answer(summarise({name: _texts(it) for name, it in regions.items()}))


def _document() -> Mapping[str, Any]:
    """Return the object of JSON that standard input is."""
    content = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
    if len(content) > INPUT_BYTES_MAX:
        raise CommandFailed(f"Standard input has more than {INPUT_BYTES_MAX} bytes.")
    try:
        document = json.loads(content)
    except ValueError as error:
        raise CommandFailed(f"Standard input is no JSON: {error}.") from error
    return _object(document)


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise CommandFailed("Standard input has no object of JSON where one is due.")
    return value


def _texts(value: object) -> dict[str, str]:
    """Return parameters; those of JSON that are no texts are written as JSON."""
    return {
        str(key): it if isinstance(it, str) else json.dumps(it)
        for key, it in _object(value).items()
    }
