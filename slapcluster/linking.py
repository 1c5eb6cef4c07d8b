"""Shell. Links of a file, for a person."""

from __future__ import annotations

import tomllib
from pathlib import Path

from runtime.ports import Runtime
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.session import Session
from slapgrid.neighbours.lock import hold_directory
from stunnel_conf.applying import Applied, Applier, NotTaken
from stunnel_conf.links import BadLinks, Links, check_name, decode_links
from stunnel_conf.pins import PEM_BYTES_MAX, sign_itself
from stunnel_conf.process import StunnelProcess

LINKS_BYTES_MAX = 1024 * 1024
"""A thousand links are a tenth of it."""


def make_key(
    session: Session, name: str, days: int, *, is_forced: bool
) -> tuple[Path, Path]:
    """Write a key with its certificate, and the certificate alone."""
    try:
        own, public = Path(f"{check_name(name)}.pem"), Path(f"{name}.crt")
    except BadLinks as error:
        raise CommandFailed(f"{error}.") from error
    if own.exists() and not is_forced:
        raise CommandFailed(
            f"{own} is there already, and peers may pin it: --force replaces it."
        )

    async def main(runtime: Runtime) -> None:
        made = runtime.keys.new_private_key()
        certificate = sign_itself(name, made, runtime.calendar.now(), days)
        tree = runtime.file_tree(str(Path.cwd()))
        tree.write(own.name, f"{made}{certificate}".encode(), 0o600)
        tree.write(public.name, certificate.encode())

    session.launch(main)
    return own, public


def read_links(file: Path) -> Links:
    """Return the links of a file; ``CommandFailed`` names what is wrong in it."""
    try:
        return decode_links(tomllib.loads(_text(file, LINKS_BYTES_MAX)))
    except (BadLinks, tomllib.TOMLDecodeError) as error:
        raise CommandFailed(f"{file}: {error}.") from error


def apply_links(session: Session, file: Path, home: Path) -> Applied:
    """Bring the links of a file into force; files that it names are beside it."""
    links = read_links(file)
    place = home.resolve()

    async def main(runtime: Runtime) -> Applied:
        applier = Applier(runtime, str(place), StunnelProcess(str(place)))
        return await applier.apply(
            links, lambda name: _text(file.parent / name, PEM_BYTES_MAX)
        )

    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    hold = hold_directory(str(place))
    if hold is None:
        raise CommandFailed(
            f"Another run changes {home} just now.", ExitCode.ANOTHER_RUNS
        )
    try:
        return session.launch(main)
    except (BadLinks, NotTaken) as error:
        raise CommandFailed(f"{file}: {error}.") from error
    finally:
        hold.release()


def _text(file: Path, bytes_max: int) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(bytes_max + 1)
        if len(content) > bytes_max:
            raise CommandFailed(f"{file} has more than {bytes_max} bytes.")
        return content.decode()
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{file} is no text in UTF-8.") from error
