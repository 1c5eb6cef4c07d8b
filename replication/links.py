"""Core. Links between regions: what each exports to the others, and how NEO finds it.

A program of NEO binds a local address and announces where its region lets others in.
Elections and lists of nodes know announced addresses only; who connects translates one
to its own end of the link. Inside a region nothing goes through stunnel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from stunnel_conf.links import Endpoint, Export, Links, Peer, Span
from stunnel_conf.ports import entry_name


@frozen
class LinkedRegion:
    """A region as the others see it.

    ``address`` is where its stunnel lets them in, to each of its programs at the one of
    ``ports``; ``certificates`` are what they pin. ``known_as`` has the programs that
    announce something else: what they were known as before the region was elsewhere.
    """

    name: str
    address: str
    certificates: tuple[str, ...]
    ports: Mapping[str, int]
    known_as: Mapping[str, Endpoint] = field(factory=dict)

    def announced(self, program: str) -> Endpoint:
        """Return what a program of it announces."""
        own = Endpoint(self.address, self.ports[program])
        return self.known_as.get(program, own)


def links_of(
    own: LinkedRegion,
    bound: Mapping[str, Endpoint],
    others: Iterable[LinkedRegion],
    certificate: str,
    entries: Span,
) -> Links:
    """Return the links of a region: each of its programs to all, and all of theirs.

    ``bound`` is where its own programs listen. ``BadLinks`` for what cannot be.
    """
    peers = tuple(
        Peer(it.name, it.address, it.certificates, dict(it.ports)) for it in others
    )
    names = frozenset(it.name for it in peers)
    exports = tuple(
        Export(program, port, bound[program], names)
        for program, port in own.ports.items()
    )
    return Links(own.name, own.address, certificate, entries, exports, peers)


def translations(
    own: LinkedRegion,
    bound: Mapping[str, Endpoint],
    others: Iterable[LinkedRegion],
    entries: Mapping[str, Endpoint],
) -> dict[str, str]:
    """Return where a region reaches each announced address, both in NEO's form.

    ``entries`` are those of its links, by ``entry_name``.
    """
    reached = {own.announced(program): bound[program] for program in own.ports}
    for other in others:
        for program in other.ports:
            entry = entries[entry_name(other.name, program)]
            reached[other.announced(program)] = entry
    return {str(announced): str(entry) for announced, entry in reached.items()}
