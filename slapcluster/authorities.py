"""Shell. The authority of a cloud, and identity directories, for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from attrs import frozen

from master_cluster.authority.asking import read_request
from master_cluster.authority.building import Authority
from master_cluster.authority.issuing import (
    Region,
    build_root,
    issue_leaf,
    issue_region,
    read_addresses,
)
from master_cluster.authority.region import RegionHome
from runtime.certificates import (
    TEXT_BYTES_MAX,
    BadCertificate,
    Described,
    check_key,
    describe_first,
    first_of,
    render_request,
    split_roots,
)
from runtime.holdings import Holding
from runtime.identity_directory import IdentityDirectory, paths_below
from runtime.ports import Runtime
from runtime.renewing import renew_if_due
from slap.errors import SlapError
from slap.identities import Identity, Role, check_identity_name, identity_of
from slap.replicas import Replicas
from slapcluster.certificate_views import Forecast, forecast
from slapcluster.outcomes import CommandFailed
from slapcluster.session import Session
from slapgrid.renewing import certify_by
from slapgrid.slap_client import SlapClient
from slapgrid.trusting import trust_masters

T = TypeVar("T")

REGION_ROLE = "region"
"""What a root signs; all other roles are those of ``Role``."""


LINK_FILE = "link.pem"
"""What ``certificate`` of a file of links names."""

LINK_PIN = "link.crt"
"""What peers pin."""


@frozen
class Subject:
    """Whom a certificate is for; ``addresses`` are those of a replica."""

    role: str
    name: str
    addresses: tuple[str, ...] = ()


@frozen
class Asked:
    """A key, and where the request for its certificate is, if it is not signed yet."""

    key: Path
    certificate_request: Path | None
    described: Described | None


@frozen
class Signed:
    """A certificate in a file, with what was signed."""

    file: Path
    described: Described


def create_root(session: Session, place: Path) -> Described:
    """Make the root of a cloud, once."""

    def create(runtime: Runtime, directory: IdentityDirectory) -> Described:
        key = directory.make_key(runtime.keys.new_private_key, Holding.ROOT)
        if not directory.roots():
            built = build_root(key, runtime.calendar.now())
            directory.keep_roots(built.certificate)
        return directory.held(runtime.calendar.now(), Holding.ROOT).described

    return _in_directory(session, place, create)


def ask(session: Session, subject: Subject, home: Path) -> Asked:
    """Make a key and the request for its certificate.

    Beside the key of its region a replica or a link is certified at once.
    """

    def make(runtime: Runtime, directory: IdentityDirectory) -> Asked:
        role, name = subject.role, subject.name
        check_identity_name(name)
        read_addresses(subject.addresses)
        holding = Holding.REGION if role == REGION_ROLE else Holding.OWN
        key = directory.make_key(runtime.keys.new_private_key, holding)
        key_file = Path(directory.tree.path(holding.key_name))
        if holding is Holding.OWN and directory.chain(Holding.REGION):
            described = RegionHome(directory.tree).certify_own(
                Identity(Role(role), name), subject.addresses, runtime.calendar.now()
            )
            write_for_links(directory, described)
            return Asked(key_file, None, described)
        file = f"{role}-{name}.csr"
        directory.tree.write(file, render_request(key, name).encode())
        return Asked(key_file, Path(directory.tree.path(file)), None)

    return _in_directory(session, home, make)


def sign(session: Session, place: Path, subject: Subject, file: Path) -> Signed:
    """Sign the request in a file, for whom the caller says, into a file beside it."""
    text = _text(file)

    def write(runtime: Runtime, directory: IdentityDirectory) -> Signed:
        role, now = subject.role, runtime.calendar.now()
        key = read_request(text)
        holding = Holding.ROOT if role == REGION_ROLE else Holding.REGION
        if not directory.key(holding):
            signer = "the root's directory" if role == REGION_ROLE else "a region's"
            raise CommandFailed(
                f"{place} has no {holding.key_name}: a {role} is signed in {signer}."
            )
        held = directory.held(now, holding)
        authority = Authority(held.chain, held.key)
        if role == REGION_ROLE:
            chain = issue_region(authority, subject.name, key, now)
        else:
            identity = Identity(Role(role), subject.name)
            region = Region(authority, held.roots)
            issued = issue_leaf(region, identity, key, now, subject.addresses)
            chain = issued.certificate
        written = file.with_suffix(".crt")
        tree = runtime.file_tree(str(written.parent.resolve()))
        tree.write(written.name, f"{chain}{held.roots}".encode())
        return Signed(written, describe_first(chain))

    return _in_directory(session, place, write)


def sign_regions(
    runtime: Runtime, place: Path, requests: Mapping[str, str]
) -> dict[str, str]:
    """Return certificates of regions, each with the root, signed in its directory."""
    directory = IdentityDirectory(runtime.file_tree(str(place.resolve())))
    with speaking():
        if not directory.key(Holding.ROOT):
            raise CommandFailed(f"{place} has no {Holding.ROOT.key_name}.")
        now = runtime.calendar.now()
        held = directory.held(now, Holding.ROOT)
        authority = Authority(held.chain, held.key)
        return {
            name: issue_region(authority, name, read_request(text), now) + held.roots
            for name, text in requests.items()
        }


def install(session: Session, home: Path, file: Path) -> Signed:
    """Put a signed certificate beside the key that it is of."""
    text = _text(file)

    def keep(runtime: Runtime, directory: IdentityDirectory) -> Signed:
        chain, roots = split_roots(text)
        if not chain:
            raise CommandFailed(f"{file} has no certificate, but of roots at most.")
        holding = _holding_of(directory, chain)
        if roots:
            directory.keep_roots(roots)
        described = directory.keep_chain(chain, runtime.calendar.now(), holding)
        write_for_links(directory, described)
        return Signed(Path(directory.tree.path(holding.chain_name)), described)

    return _in_directory(session, home, keep)


def renew(session: Session, home: Path) -> tuple[Signed, bool]:
    """Have a master renew what is due; say what there is now, and if that is new."""
    root = home.resolve()

    async def main(runtime: Runtime) -> tuple[Signed, bool]:
        renewed = await renew_by(runtime, root, session.master_urls)
        directory = IdentityDirectory(runtime.file_tree(str(root)))
        described = directory.held(runtime.calendar.now()).described
        return Signed(Path(paths_below(str(root)).chain), described), bool(renewed)

    try:
        return session.launch(main)
    except BadCertificate as error:
        raise CommandFailed(f"{_sentence(str(error))}.") from error


async def renew_by(
    runtime: Runtime, home: Path, master_urls: Iterable[str]
) -> Described | None:
    """Have masters renew the certificate of a directory, if that is due.

    What links name of it is written too, also when an earlier life was killed before.
    """
    directory = IdentityDirectory(runtime.file_tree(str(home)))
    client = SlapClient(
        runtime,
        Replicas(tuple(dict.fromkeys(master_urls))),
        trust=trust_masters(runtime, paths_below(str(home))),
    )
    try:
        renewed = await renew_if_due(runtime, directory, certify_by(client))
    finally:
        await client.close()
    write_for_links(directory, directory.held(runtime.calendar.now()).described)
    return renewed


def show(session: Session, home: Path) -> tuple[Forecast, ...]:
    """Return the calendar of the certificates of a directory."""

    def look(runtime: Runtime, directory: IdentityDirectory) -> tuple[Forecast, ...]:
        now = runtime.calendar.now()
        found = forecast(directory.calendar(now), now, str(home))
        if not found:
            raise CommandFailed(
                f"{home} has no key and no certificate: `slapcluster authority create` "
                "makes a root, `authority request` the key of a replica or a region."
            )
        return found

    return _in_directory(session, home, look)


def _holding_of(directory: IdentityDirectory, chain: str) -> Holding:
    for holding in (Holding.OWN, Holding.REGION):
        key = directory.key(holding)
        if key:
            try:
                check_key(key, chain)
            except BadCertificate:
                continue
            return holding
    raise CommandFailed(
        f"No key in {directory.tree.root} is that of {describe_first(chain).name}: its "
        "certificate belongs beside the key that was asked for."
    )


def write_for_links(directory: IdentityDirectory, described: Described) -> None:
    """Write what a file of links names: the key with its certificate, and that alone.

    Peers pin the certificate itself, so those of its issuers are left out.
    """
    is_named = bool(described.uris) and not described.is_authority
    if not is_named or identity_of(described.uris).role is not Role.LINK:
        return
    one = first_of(directory.chain())
    own = f"{directory.key()}{one}".encode()
    for name, content, mode in (
        (LINK_FILE, own, 0o600),
        (LINK_PIN, one.encode(), 0o644),
    ):
        is_there = directory.tree.status(name) is not None
        if not is_there or directory.tree.read(name) != content:
            directory.tree.write(name, content, mode)


def _in_directory(
    session: Session, place: Path, do: Callable[[Runtime, IdentityDirectory], T]
) -> T:
    root = str(place.resolve())

    async def main(runtime: Runtime) -> T:
        tree = runtime.file_tree(root)
        with speaking():
            return do(runtime, IdentityDirectory(tree))

    return session.launch(main)


@contextmanager
def speaking() -> Iterator[None]:
    """Turn what is wrong with certificates into the end of a command."""
    try:
        yield
    except BadCertificate as error:
        raise CommandFailed(f"{_sentence(str(error))}.") from error
    except SlapError as error:
        raise CommandFailed(f"{_sentence(error.sentence)}.") from error


def _sentence(text: str) -> str:
    return text if text.startswith("/") else text[:1].upper() + text[1:]


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(TEXT_BYTES_MAX + 1)
    if len(content) > TEXT_BYTES_MAX:
        raise CommandFailed(f"{file} has more than {TEXT_BYTES_MAX} bytes.")
    return content.decode(errors="replace")
