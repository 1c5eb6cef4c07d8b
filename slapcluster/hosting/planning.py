"""Core. What a region runs in its partition: files, links and command lines.

Before all regions have published there is nothing to run: a list of neo_masters that
lacks one elects among too few. Once there was a whole list it stays in force until
another whole one comes, so a region that is away for a while takes nothing down.

A program is started anew when its file has another name. What needs that stands in the
command line, and so in the name; certificates do not, and stunnel reads them anew.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping

from attrs import evolve, frozen

from replication.answers import PENDING, STORAGE, Answer
from replication.links import LinkedRegion, links_of, translations
from replication.programs import DATABASE, VERDICT_FILE
from replication.regions import ProgramKind
from slapcluster.hosting.layout import (
    COPIER,
    DOCUMENTS_HOME,
    IDENTITY_HOME,
    NEO_HOME,
    OWN_PIN,
    PEER_PREFIX,
    PUSHED_HOME,
)
from slapcluster.hosting.places import (
    ADMIN_NODE,
    LINKED,
    NEO_MASTER,
    REPLICA,
    STORAGE_NODE,
    Place,
)
from slapcluster.hosting.wanted import (
    PublishedRegion,
    StorageWish,
    WantedRegion,
    read_published,
    render_published,
)
from stunnel_conf.links import Endpoint, Links

_PROGRAMS: Mapping[ProgramKind, str] = {
    ProgramKind.NEO_MASTER: NEO_MASTER,
    ProgramKind.STORAGE_NODE: STORAGE_NODE,
    ProgramKind.ADMIN_NODE: ADMIN_NODE,
}
"""The scripts of the release, and the names of their ports."""

NAME_STEP = 1000
"""To a port that no partition has: nobody listens there, it is a name."""

_DIGITS = 8
"""Two command lines that meet in 32 bits cost a restart that does not happen."""


@frozen
class InForce:
    """What a region runs, as ``IN_FORCE_FILE`` keeps it.

    ``published`` has this region too; ``admin_node`` and ``store_uri``, which is what
    its replica opens, are ``""`` while nothing runs. ``release_url`` and ``leg`` are
    those of its programs.
    """

    name: str
    number: int
    published: Mapping[str, PublishedRegion]
    missing: tuple[str, ...] = ()
    admin_node: str = ""
    store_uri: str = ""
    release_url: str = ""
    leg: str = ""

    @property
    def own(self) -> PublishedRegion:
        return self.published[self.name]


def render_in_force(in_force: InForce) -> bytes:
    document = {
        "name": in_force.name,
        "number": in_force.number,
        "missing": list(in_force.missing),
        "admin_node": in_force.admin_node,
        "store_uri": in_force.store_uri,
        "release_url": in_force.release_url,
        "leg": in_force.leg,
        "published": {
            name: render_published(it) for name, it in in_force.published.items()
        },
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def parse_in_force(content: bytes) -> InForce:
    """Read it; ``ValueError`` and its like for what was not written by us."""
    document = json.loads(content)
    return InForce(
        document["name"],
        document["number"],
        {name: read_published(name, it) for name, it in document["published"].items()},
        tuple(document["missing"]),
        document["admin_node"],
        document["store_uri"],
        document.get("release_url", ""),
        document.get("leg", ""),
    )


def own_region(
    wanted: WantedRegion,
    place: Place,
    certificates: tuple[str, ...],
    *,
    is_created: bool,
    known_as: Mapping[str, Endpoint] | None = None,
) -> PublishedRegion:
    """Return what this region publishes."""
    ports = {program: place.outside(program).port for program in (*LINKED, REPLICA)}
    linked = LinkedRegion(wanted.name, place.ipv6, certificates, ports, known_as or {})
    return PublishedRegion(linked, is_created)


def choose_names(
    wanted: WantedRegion, place: Place, before: InForce | None
) -> dict[str, Endpoint]:
    """Return what programs announce that is not where others come in to them.

    NEO knows a region by what it announced first: others have that in their command
    lines, and would all be started anew at once if it were something else. So a region
    that is placed elsewhere goes on under the name of before. What another region is
    known as is left to that one.
    """
    known = wanted.before
    if before is not None and before.admin_node:
        known = before.own
    taken = {it.linked.announced(p) for it in wanted.others.values() for p in LINKED}
    names = {}
    for program in LINKED:
        own = place.outside(program)
        name = known.linked.announced(program) if known else own
        while known is None and name in taken:
            name = Endpoint(name.host, name.port + NAME_STEP)
        if name != own:
            names[program] = name
    return names


def merge(
    wanted: WantedRegion, own: PublishedRegion, before: InForce | None
) -> dict[str, PublishedRegion]:
    """Return each region as it was heard of last, of those that are wanted."""
    known = dict(before.published) if before else {}
    known.update(wanted.others)
    known[wanted.name] = own
    return {it: known[it] for it in wanted.root.names if it in known}


def missing_of(
    wanted: WantedRegion, published: Mapping[str, PublishedRegion]
) -> tuple[str, ...]:
    """Return the regions that have not published yet."""
    return tuple(it for it in wanted.root.names if it not in published)


@frozen
class PlannedLinks:
    """Links to bring into force, and the files of certificates that they name."""

    links: Links
    files: Mapping[str, str]
    others: tuple[LinkedRegion, ...]


def plan_links(
    place: Place, name: str, published: Mapping[str, PublishedRegion]
) -> PlannedLinks:
    """Return the links of a region to all others; ``BadLinks`` for what cannot be."""
    files: dict[str, str] = {}
    others = []
    for other, it in published.items():
        if other == name:
            continue
        names = []
        for count, certificate in enumerate(it.linked.certificates, start=1):
            names.append(f"{PEER_PREFIX}{other}-{count}.crt")
            files[names[-1]] = certificate
        others.append(_linked(evolve(it.linked, certificates=tuple(names))))
    own = _linked(published[name].linked)
    bound = {program: place.bound(program) for program in LINKED}
    links = links_of(own, bound, others, OWN_PIN, place.entries)
    return PlannedLinks(links, files, tuple(others))


def _linked(region: LinkedRegion) -> LinkedRegion:
    return evolve(region, ports={it: region.ports[it] for it in LINKED})


def plan_programs(
    place: Place,
    wanted: WantedRegion,
    published: Mapping[str, PublishedRegion],
    entries: Mapping[str, Endpoint],
) -> dict[str, str]:
    """Return the files of ``etc/service``, by name; ``entries`` are of the links."""
    reached = _reached(place, wanted.name, published, entries)
    neo_masters = _neo_masters(published)
    own = {it: published[wanted.name].linked.announced(it) for it in LINKED}
    files = _wrapper("stunnel", (place.stunnel, place.stunnel_conf))
    for kind, program in _PROGRAMS.items():
        announced = str(own.get(program, place.outside(program)))
        known = {**reached, announced: str(place.bound(program))}
        arguments = (
            *("--cluster", wanted.root.neo_cluster),
            *("--masters", " ".join(neo_masters)),
            *("--bind", str(place.bound(program)), "--announce", announced),
            *("--translate", " ".join(f"{a}={b}" for a, b in sorted(known.items()))),
            *_options(kind, place, wanted),
        )
        files |= _wrapper(program, place.script(program, *arguments))
    return files


def _options(kind: ProgramKind, place: Place, wanted: WantedRegion) -> Iterable[str]:
    home = f"{place.home}/{NEO_HOME}"
    if kind is ProgramKind.NEO_MASTER:
        # Without --autostart: cells are made once, see `may_create`.
        yield from ("--partitions", str(wanted.root.partition_count))
        yield from ("--replicas", str(len(wanted.root.numbers) - 1))
        yield from ("--verdict", f"{home}/{VERDICT_FILE}")
    elif kind is ProgramKind.STORAGE_NODE:
        yield from ("--region", str(wanted.number), "--adapter", "SQLite")
        yield from ("--database", f"{home}/{DATABASE}")


def store_uri(
    place: Place,
    wanted: WantedRegion,
    published: Mapping[str, PublishedRegion],
    entries: Mapping[str, Endpoint],
) -> str:
    """Return the store of the replica of this region, which reads from its own."""
    reached = _reached(place, wanted.name, published, entries)
    pairs = ",".join(f"{a}={b}" for a, b in sorted(reached.items()))
    near = published[wanted.name].linked.announced(STORAGE_NODE)
    masters = ",".join(_neo_masters(published))
    name = wanted.root.neo_cluster
    return f"neo:{name}@{masters}?near={near}&translate={pairs}"


def _reached(
    place: Place,
    name: str,
    published: Mapping[str, PublishedRegion],
    entries: Mapping[str, Endpoint],
) -> dict[str, str]:
    bound = {program: place.bound(program) for program in LINKED}
    others = [_linked(it.linked) for it in published.values() if it.linked.name != name]
    return translations(_linked(published[name].linked), bound, others, entries)


def _neo_masters(published: Mapping[str, PublishedRegion]) -> tuple[str, ...]:
    return tuple(str(it.linked.announced(NEO_MASTER)) for it in published.values())


def plan_replica(place: Place, name: str, uri: str) -> dict[str, str]:
    """Return the replica of the master, for all who reach the region.

    It serves the release that it runs from: computers build that from any replica. It
    makes no state: one is moved to it, or restored.
    """
    argv = place.script(
        *("slapcluster", "master", "--listen", str(place.outside(REPLICA))),
        *("--store", uri, "--identity", f"{place.home}/{IDENTITY_HOME}"),
        *("--documents", f"{place.home}/{DOCUMENTS_HOME}", "--receive"),
        *("--announce", place.replica_url, name),
        *("--release", place.release_directory),
        *("--pushed-releases", f"{place.home}/{PUSHED_HOME}"),
    )
    return _wrapper(REPLICA, argv)


def plan_creator(
    place: Place, wanted: WantedRegion, published: Mapping[str, PublishedRegion]
) -> dict[str, str]:
    """Return the program that has cells made, while that may come to pass here."""
    is_created = any(it.is_created for it in published.values())
    wish = wanted.root.storage
    if is_created or not wanted.is_first or wish is not StorageWish.CREATE:
        return {}
    argv = place.script("slapcluster", "hosted", "create", place.home)
    return _wrapper("creator", argv)


def plan_prover(place: Place, wanted: WantedRegion, settled: str) -> dict[str, str]:
    """Return the program that proves a leg, while it is not proved."""
    if wanted.leg == settled:
        return {}
    argv = place.script("slapcluster", "hosted", "prove", place.home, wanted.leg)
    return _wrapper("prover", argv)


def plan_copier(place: Place) -> dict[str, str]:
    """Return the program that has everything copied to the storage node."""
    argv = place.script("slapcluster", "hosted", "copy", place.home)
    return _wrapper(COPIER, argv)


def plan_dropper(place: Place) -> dict[str, str]:
    """Return the program that has no cells left on storage nodes of who leaves."""
    argv = place.script("slapcluster", "hosted", "drop", place.home)
    return _wrapper("dropper", argv)


def plan_promises(place: Place, names: Iterable[str]) -> dict[str, str]:
    """Return the files of ``etc/promise``, by name."""
    return {
        name: _script(place.script("slapcluster", "hosted", "check", name, place.home))
        for name in names
    }


def _wrapper(name: str, command: Iterable[str]) -> dict[str, str]:
    content = _script(command)
    digest = hashlib.sha256(content.encode()).hexdigest()[:_DIGITS]
    return {f"{name}-{digest}": content}


def _script(command: Iterable[str]) -> str:
    return f"#!/bin/sh\nexec {shlex.join(command)}\n"


def say_silence(answer: Answer | None) -> str:
    """Say why an answer tells nothing of what is now; ``""`` when it does."""
    if answer is None or answer.failure:
        return f"the admin node says {answer.failure if answer else 'nothing'}"
    if answer.is_primary_silent:
        return "the neo_master that is primary does not answer"
    return "" if answer.is_running else f"NEO is {answer.cluster_state}"


def has_cells(answer: Answer | None) -> bool:
    """Whether an admin node knows a table: somebody made cells once."""
    return answer is not None and not answer.failure and bool(answer.cells)


def may_create(
    wanted: WantedRegion,
    published: Mapping[str, PublishedRegion],
    answer: Answer | None,
) -> str:
    """Say why cells are not made now; ``""`` when they are.

    Once, by one region, when the request says so and the storage nodes of exactly the
    wanted regions wait with empty databases. Whoever has ever seen cells has published
    it, and the master keeps that when all disks are lost: then a backup is restored.
    """
    return next(_obstacles(wanted, published, answer), "")


def _obstacles(
    wanted: WantedRegion,
    published: Mapping[str, PublishedRegion],
    answer: Answer | None,
) -> Iterator[str]:
    root = wanted.root
    missing = missing_of(wanted, published)
    if missing:
        yield f"{', '.join(missing)} has not published yet"
    created = [name for name, it in published.items() if it.is_created]
    if created:
        yield f"{', '.join(created)} has seen cells: they are never made again"
    if root.storage is not StorageWish.CREATE:
        yield "there are no cells, and the request does not say storage=create"
    if not wanted.is_first:
        yield f"{root.names[0]} has them made"
    if answer is None or answer.failure:
        yield f"the admin node says {answer.failure if answer else 'nothing'}"
        return
    if has_cells(answer):
        yield "there are cells"
    pending = {
        it.address for it in answer.nodes_of(STORAGE) if it.node_state == PENDING
    }
    expected = {
        str(it.linked.announced(STORAGE_NODE)): name for name, it in published.items()
    }
    away = [name for address, name in expected.items() if address not in pending]
    if away:
        yield f"the storage node of {', '.join(away)} is not there yet"
    foreign = sorted(pending - expected.keys())
    if foreign:
        yield f"{', '.join(foreign)} is no storage node of a wanted region"
