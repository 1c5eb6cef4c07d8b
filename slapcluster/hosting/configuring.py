"""Shell. Brings a region into force: key, links, files.

Each pass of the agent does this. Whatever is killed, the next pass goes on: files are
replaced whole, and what is in force is written last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, frozen

from replication.answers import Answer
from replication.neo.neoctl import ask
from runtime.ports import IFileTree, Runtime
from slap.errors import SlapError
from slapcluster.hosting.connections import Connection
from slapcluster.hosting.holders import lacks_cells
from slapcluster.hosting.identities import keep_identity
from slapcluster.hosting.keys import KEY_DAYS, KeyStep, decide_key_step
from slapcluster.hosting.layout import (
    ASKED_FILE,
    DIRECTORIES,
    IN_FORCE_FILE,
    LINKS_FILE,
    LINKS_HOME,
    NEO_HOME,
    NEXT_PIN,
    OWN_PIN,
    PEER_PREFIX,
    PROMISE_DIRECTORY,
    PROMISES,
    ROOT_PROMISE,
    SERVICE_DIRECTORY,
    SETTLED_FILE,
)
from slapcluster.hosting.numbering import Misasked, check_numbers, known_numbers
from slapcluster.hosting.places import ADMIN_NODE, Place
from slapcluster.hosting.planning import (
    InForce,
    choose_names,
    has_cells,
    merge,
    missing_of,
    own_region,
    parse_in_force,
    plan_copier,
    plan_creator,
    plan_dropper,
    plan_links,
    plan_programs,
    plan_promises,
    plan_prover,
    plan_replica,
    render_in_force,
    store_uri,
)
from slapcluster.hosting.restarting import obstacle_to_restart
from slapcluster.hosting.rolling import Roll, decide_roll, read_legs, read_number
from slapcluster.hosting.wanted import (
    PublishedRegion,
    WantedRegion,
    WantedRoot,
    read_region,
)
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.regions.databases import look_into
from slapgrid.neighbours.lock import hold_directory
from stunnel_conf.applying import Applied, Applier, NotTaken
from stunnel_conf.links import BadLinks
from stunnel_conf.pins import Pin, read_own, sign_itself
from stunnel_conf.process import StunnelProcess
from stunnel_conf.writing import encode_links

HELD = "It goes on with what it has"
"""How the error of a region begins whose leg has come and that is needed."""


@frozen
class _Found:
    """What a pass finds: what is in force, which leg was proved, what NEO says."""

    in_force: InForce | None
    settled: str
    answer: Answer | None = None


def configure_root(
    runtime: Runtime,
    place: Place,
    wanted: WantedRoot,
    connection: Mapping[str, str],
) -> Roll:
    """Have the root promise that its regions are there; return what each one runs."""
    tree = runtime.file_tree(place.home)
    tree.make_directory(PROMISE_DIRECTORY, 0o750)
    _replace_all(tree, PROMISE_DIRECTORY, plan_promises(place, (ROOT_PROMISE,)))
    try:
        reports = Connection(**connection).requested()
    except SlapError as error:
        raise CommandFailed(
            f"The master does not say what was requested: {error.sentence}"
        ) from error
    try:
        check_numbers(wanted.numbers, known_numbers(reports))
        known = read_legs(reports)
    except (Misasked, ValueError) as error:
        raise CommandFailed(f"{error}.") from error
    return decide_roll(place.release_url, wanted.numbers, known)


async def configure(
    runtime: Runtime, place: Place, wanted: WantedRegion, asked: bytes
) -> PublishedRegion:
    """Have a region run what is wanted of it, and return what it publishes.

    ``asked`` is what ``wanted`` was read from, for those who look between passes.
    """
    tree = runtime.file_tree(place.home)
    for directory in DIRECTORIES:
        tree.make_directory(directory, 0o750)
    links_home = f"{place.home}/{LINKS_HOME}"
    hold = hold_directory(links_home)
    if hold is None:
        raise CommandFailed(
            f"Another run changes {links_home} just now.", ExitCode.ANOTHER_RUNS
        )
    try:
        found = await _find(runtime, tree)
        obstacle = obstacle_to_restart(
            found.in_force, wanted, place.release_url, found.settled, found.answer
        )
        if obstacle:
            # Before anything is written: its programs go on as they were.
            raise CommandFailed(f"{HELD}: {obstacle}.")
        _write(tree, ASKED_FILE, asked, 0o600)
        return await _configure(runtime, tree, place, wanted, found)
    finally:
        hold.release()


async def _configure(
    runtime: Runtime, tree: IFileTree, place: Place, wanted: WantedRegion, found: _Found
) -> PublishedRegion:
    before = found.in_force
    certificates = _keep_keys(runtime, tree, wanted.name)
    is_created = before is not None and before.own.is_created
    standing = keep_identity(
        runtime, place, wanted.name, wanted.root.authority.get(wanted.name, "")
    )
    own = evolve(
        own_region(
            wanted,
            place,
            certificates,
            is_created=is_created,
            known_as=choose_names(wanted, place, before),
        ),
        certificate_request=standing.certificate_request,
        replica_url=place.replica_url if standing.is_certified else "",
        release_url=place.release_url,
        settled=found.settled,
    )
    published = merge(wanted, own, before)
    if has_cells(found.answer):
        own = evolve(own, is_created=True)
        published[wanted.name] = own
    missing = missing_of(wanted, published)
    in_force = InForce(wanted.name, wanted.number, published, missing)
    if not missing:
        applied = await _apply(runtime, tree, place, wanted.name, published)
        programs = plan_programs(place, wanted, published, applied.entries)
        programs |= plan_creator(place, wanted, published)
        programs |= plan_prover(place, wanted, own.settled)
        database = look_into(Path(place.home, NEO_HOME))
        if wanted.cells.drops:
            programs |= plan_dropper(place)
        if lacks_cells(wanted, published, database, found.answer):
            programs |= plan_copier(place)
        uri = store_uri(place, wanted, published, applied.entries)
        if standing.is_certified and not wanted.cells.waits:
            # Others do not all know it: it would call whom it cannot reach dead.
            programs |= plan_replica(place, wanted.name, uri)
        _replace_all(tree, SERVICE_DIRECTORY, programs)
        in_force = evolve(
            in_force,
            admin_node=str(place.bound(ADMIN_NODE)),
            store_uri=uri,
            release_url=place.release_url,
            leg=wanted.leg,
        )
    _replace_all(tree, PROMISE_DIRECTORY, plan_promises(place, PROMISES))
    _write(tree, IN_FORCE_FILE, render_in_force(in_force), 0o640)
    return own


def read_in_force(tree: IFileTree) -> InForce | None:
    """Return what was in force; what is damaged is found out anew."""
    if tree.status(IN_FORCE_FILE) is None:
        return None
    try:
        return parse_in_force(tree.read(IN_FORCE_FILE))
    except (ValueError, KeyError, TypeError):
        return None


def read_settled(tree: IFileTree) -> str:
    """Return the leg that was proved last, ``""`` when none was."""
    if tree.status(SETTLED_FILE) is None:
        return ""
    return read_number(tree.read(SETTLED_FILE).decode(errors="replace").strip())


@frozen
class Asked:
    """What the last pass was asked, and where whoever asked is."""

    wanted: WantedRegion
    connection: Connection


def read_asked(tree: IFileTree) -> Asked:
    """Return what the profile told last; ``Misasked`` if that is of another release."""
    document = json.loads(tree.read(ASKED_FILE))
    parameters = document["parameters"]
    return Asked(read_region(parameters), Connection(**document["connection"]))


def _keep_keys(runtime: Runtime, tree: IFileTree, name: str) -> tuple[str, ...]:
    """Make the keys that are due; return the certificates that others pin."""
    now = runtime.calendar.now()
    own_file, next_file = f"{LINKS_HOME}/{OWN_PIN}", f"{LINKS_HOME}/{NEXT_PIN}"
    own, following = (read_key(tree, it, name) for it in (own_file, next_file))
    step = decide_key_step(own, following, now)
    if step in {KeyStep.MAKE, KeyStep.MAKE_NEXT}:
        made = runtime.keys.new_private_key()
        text = made + sign_itself(name, made, now, KEY_DAYS)
        file = own_file if step is KeyStep.MAKE else next_file
        tree.write(file, text.encode(), 0o600)
    elif step is KeyStep.USE_NEXT:
        tree.write(own_file, tree.read(next_file), 0o600)
        tree.remove(next_file)
    found = (read_key(tree, it, name) for it in (own_file, next_file))
    # Killed between the two last steps, both files are the same.
    return tuple(dict.fromkeys(it.pem for it in found if it))


def read_key(tree: IFileTree, file: str, name: str) -> Pin | None:
    """Return the certificate beside a key, if there is one."""
    if tree.status(file) is None:
        return None
    try:
        return read_own(name, tree.read(file).decode())
    except (BadLinks, UnicodeDecodeError) as error:
        raise CommandFailed(f"{tree.root}/{file}: {error}; remove it.") from error


async def _find(runtime: Runtime, tree: IFileTree) -> _Found:
    before, settled = read_in_force(tree), read_settled(tree)
    if before is None or not before.admin_node:
        return _Found(before, settled)
    (answer, *_) = await ask(runtime, (before.admin_node,))
    return _Found(before, settled, answer)


async def _apply(
    runtime: Runtime,
    tree: IFileTree,
    place: Place,
    name: str,
    published: Mapping[str, PublishedRegion],
) -> Applied:
    links = tree.subtree(LINKS_HOME)
    applier = Applier(runtime, links.root, StunnelProcess(links.root))
    try:
        planned = plan_links(place, name, published)
        # A person may say `link apply` of this file: so all that it names is beside it.
        _replace_all(links, "", planned.files, prefix=PEER_PREFIX, mode=0o640)
        _write(tree, LINKS_FILE, encode_links(planned.links).encode(), 0o640)
        return await applier.apply(planned.links, lambda it: links.read(it).decode())
    except (BadLinks, NotTaken) as error:
        raise CommandFailed(f"{place.home}/{LINKS_FILE}: {error}.") from error


def _replace_all(
    tree: IFileTree,
    directory: str,
    files: Mapping[str, str],
    *,
    prefix: str = "",
    mode: int = 0o700,
) -> None:
    """Have a directory hold these files, and no others that begin with ``prefix``."""
    below = tree.subtree(directory) if directory else tree
    for name, content in files.items():
        _write(below, name, content.encode(), mode)
    for name in below.list():
        if name.startswith(prefix) and name not in files:
            below.remove(name)


def _write(tree: IFileTree, path: str, content: bytes, mode: int) -> None:
    if tree.status(path) is None or tree.read(path) != content:
        tree.write(path, content, mode)
