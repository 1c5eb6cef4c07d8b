"""Core. Which computers try whether they reach each other, and by what they know it.

One that is *visited* listens for a bounded time; a *visitor* of each other region
connects, and each proves to the other that it knows the nonce of this encounter: else a
proxy on the way, or another program at that port, would pass for the computer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from itertools import chain

from attrs import frozen

from slapcluster.bootstrap.wanted_cloud import WantedCloud
from slapcluster.hosting.places import FIRST_PORT, OUTSIDE_OFFSETS
from stunnel_conf.links import PORT_MAX, BadLinks, read_host

NONCE_DIGITS = 32
"""As many as nobody guesses while the encounter lasts."""

VISIT_COUNT_MAX = 1_000
"""Of one run of `node examine visit`: its command line has a bound."""

HERE = "this computer"
"""Where the doctor is typed, and where the mini-master will be."""


class BadVisit(ValueError):
    """A word that names no place to visit; the sentence says which."""


@frozen
class Visited:
    """A computer that listens at these ports of its address."""

    title: str
    host: str
    ports: tuple[int, ...]


@frozen
class Visit:
    """A visitor's way to one port of another computer."""

    title: str
    host: str
    port: int

    def word(self) -> str:
        """Return it without brackets, which a shell on the way would read."""
        return f"{self.title},{self.host},{self.port}"


@frozen
class Outcome:
    """What came of a visit. ``seconds`` are from the first packet to the proof."""

    title: str
    host: str
    port: int
    seconds: float | None = None
    failure: str = ""
    is_stranger: bool = False
    """Somebody is there, who does not know the nonce."""


def read_visit(word: str) -> Visit:
    title, _, rest = word.partition(",")
    host, _, port = rest.rpartition(",")
    try:
        number = int(port)
        if not 0 < number <= PORT_MAX:
            raise BadVisit(f"{word!r}: a port is 1 to {PORT_MAX}")
        return Visit(title, read_host(host), number)
    except BadLinks as error:
        raise BadVisit(f"{word!r}: {error}") from error
    except ValueError as error:
        raise BadVisit(f"{word!r}: write TITLE,ADDRESS,PORT") from error


def question(nonce: str, place: str) -> bytes:
    """Return the line by which a visitor shows that it knows the nonce."""
    return _proof("visitor", nonce, place)


def answer(nonce: str, place: str) -> bytes:
    """Return the line by which the visited shows the same."""
    return _proof("visited", nonce, place)


def _proof(side: str, nonce: str, place: str) -> bytes:
    return hashlib.sha256(f"{side} {place} {nonce}".encode()).hexdigest().encode()


LINE_BYTES = len(question("", ""))


def choose_visited(
    wanted: WantedCloud, answering: Collection[str]
) -> tuple[Visited, ...]:
    """Return who listens where: each that has an address, and answers its command.

    Ports are those that a region has in the first partition: the ones that a firewall
    is told to let through.
    """
    ports = tuple(FIRST_PORT + it for it in OUTSIDE_OFFSETS)
    return tuple(
        Visited(it.title, it.address, ports)
        for it in wanted.computers
        if it.address and it.title in answering
    )


def choose_visits(
    wanted: WantedCloud, visited: Collection[Visited], answering: Collection[str]
) -> dict[str, tuple[Visit, ...]]:
    """Return the visits by visitor.

    The first that answers of each region visits those of the others; everybody visits
    the mini-master to be, which is here.
    """
    regions = {it.title: it.region for it in wanted.computers}
    visits: dict[str, tuple[Visit, ...]] = {}
    seen: set[str] = set()
    for title in (it.title for it in wanted.computers if it.title in answering):
        region = regions[title]
        visits[title] = (Visit(HERE, wanted.host, wanted.port),)
        if region not in seen:
            visits[title] += tuple(
                Visit(it.title, it.host, port)
                for it in visited
                if regions[it.title] != region
                for port in it.ports
            )
        seen.add(region)
    return visits


def count_visits(visits: Mapping[str, tuple[Visit, ...]], title: str) -> int:
    """Return how many visits a computer has, at all of its ports."""
    return sum(it.title == title for it in chain(*visits.values()))
