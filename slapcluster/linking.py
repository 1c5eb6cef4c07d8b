"""Shell. Links of a file, for a person."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Sequence
from pathlib import Path

from runtime.certificates import Described
from runtime.ports import Runtime
from runtime.renewing import RenewalLoop
from slap.errors import SlapError
from slapcluster.authorities import renew_by
from slapcluster.link_running import LinkRun
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.running import serve
from slapcluster.session import Session
from slapgrid.environment import PATH
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


class FileOfLinks:
    """The links of a file, and their home; what the file names is beside it."""

    def __init__(self, runtime: Runtime, file: Path, home: Path) -> None:
        self._runtime = runtime
        self._file = file
        self._home = str(home)
        self._named: set[Path] = set()

    def files(self) -> tuple[Path, ...]:
        """Return the file, and all that it named when it was applied last."""
        return (self._file, *sorted(self._named))

    async def apply(self) -> Applied:
        """Bring the links into force; ``CommandFailed`` says why they are not.

        The home is there, and nobody else changes it meanwhile.
        """
        links = read_links(self._file)
        self._named.clear()

        def read(name: str) -> str:
            self._named.add(self._file.parent / name)
            return _text(self._file.parent / name, PEM_BYTES_MAX)

        stunnel = StunnelProcess(self._home)
        try:
            return await Applier(self._runtime, self._home, stunnel).apply(links, read)
        except (BadLinks, NotTaken) as error:
            raise CommandFailed(f"{self._file}: {error}.") from error


def apply_links(session: Session, file: Path, home: Path) -> Applied:
    """Bring the links of a file into force, once."""
    read_links(file)
    place = home.resolve()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    hold = hold_directory(str(place))
    if hold is None:
        raise CommandFailed(
            f"Another run changes {home} just now.", ExitCode.ANOTHER_RUNS
        )
    try:
        return session.launch(lambda runtime: FileOfLinks(runtime, file, place).apply())
    finally:
        hold.release()


def run_links(
    session: Session, file: Path, home: Path, identities: Sequence[Path]
) -> None:
    """Keep the links of a file in force until this is told to stop."""
    program = shutil.which("stunnel", path=PATH)
    if program is None:
        raise CommandFailed("There is no stunnel: the package stunnel4 has it.")
    place, chosen = home.resolve(), program

    def build(runtime: Runtime) -> LinkRun:
        return LinkRun(
            runtime,
            FileOfLinks(runtime, file.resolve(), place),
            place,
            StunnelProcess(str(place)),
            program=chosen,
            loops=[
                renewal_of(runtime, directory.resolve(), session.master_urls).run
                for directory in identities
            ],
        )

    serve(build, is_debug=session.is_debug)


def renewal_of(
    runtime: Runtime, directory: Path, master_urls: Sequence[str]
) -> RenewalLoop:
    """Return what has the certificate of a directory renewed, by masters."""

    async def renew() -> Described | None:
        return await renew_by(runtime, directory, master_urls)

    return RenewalLoop(runtime, renew, str(directory), (SlapError,))


def _text(file: Path, bytes_max: int) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(bytes_max + 1)
        if len(content) > bytes_max:
            raise CommandFailed(f"{file} has more than {bytes_max} bytes.")
        return content.decode()
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{file} is no text in UTF-8.") from error
