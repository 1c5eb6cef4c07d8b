"""Shell. Guards a master: who calls, by the certificate of the connection, and what.

Every call passes here twice: its name before anything is done for it, and what it is
about as soon as that is understood. Polls are few words, and pass at once.
"""

# mypy: allow-untyped-calls
# Much of twisted.web is not annotated.

from __future__ import annotations

from functools import lru_cache

from twisted.web.server import Request

from master_cluster.answering.desk import Desk
from master_cluster.authorising import (
    Places,
    Subject,
    asks_where,
    check_call,
    check_page,
    check_poll,
)
from master_cluster.store import descriptions
from master_cluster.store.cloud import Cloud
from master_cluster.web.polling import POLL_METHODS, polled_computer
from runtime.ports import ICalendar, Runtime
from runtime.tls import peer_of
from slap.calls import Call
from slap.errors import BadRequest, Forbidden, NotFound, SlapError
from slap.identities import Identity, identity_of
from slap.methods import METHODS
from slap.model import PartitionKey

IDENTITIES_KEPT = 20_000
"""Twice the computers of a large master."""


class Guard:
    """Lets calls pass that the table of ``authorising`` allows.

    ``path_prefix`` is left out of addresses.
    """

    def __init__(self, runtime: Runtime, path_prefix: str = "") -> None:
        self._calendar: ICalendar = runtime.calendar
        self._prefix = [it.encode("ascii") for it in path_prefix.split("/") if it]

    def identity(self, request: Request) -> Identity | None:
        """Return who calls; ``Forbidden`` for a certificate that is good no more."""
        peer = peer_of(request.channel.transport)
        if peer is None:
            return None
        refusal = peer.refusal(self._calendar.now())
        if refusal is not None:
            raise Forbidden(refusal)
        return _identity_of(peer.uris)

    def refusal(self, request: Request) -> SlapError | None:
        """Say why a request is not for whoever sends it."""
        try:
            self._check(request)
        except SlapError as error:
            return error
        return None

    async def check(self, desk: Desk, request: Request, call: Call) -> None:
        """``Forbidden`` when a call is about what is not of the one who makes it."""
        identity = self.identity(request)
        wanted = asks_where(identity, call)
        places = Places()
        if wanted != Subject():
            places = await desk.read(find_places, wanted)
        check_call(identity, call, places)

    def _check(self, request: Request) -> None:
        segments: list[bytes] = list(request.postpath or ())
        if self._prefix and segments[: len(self._prefix)] == self._prefix:
            segments = segments[len(self._prefix) :]
        name = segments[0].decode("utf-8", "replace") if segments else ""
        if name in METHODS and len(segments) > 1:
            raise NotFound(f"nothing is below {name}")
        try:
            check_page(None, name or "/")
        except Forbidden:
            identity = self.identity(request)
            if segments[0] in POLL_METHODS:
                check_poll(identity, name, _polled(request))
            else:
                check_page(identity, name)


def _polled(request: Request) -> str:
    try:
        return polled_computer(request.method, request.uri)
    except UnicodeDecodeError as error:
        raise BadRequest("the address is not UTF-8") from error


@lru_cache(IDENTITIES_KEPT)
def _identity_of(uris: tuple[str, ...]) -> Identity:
    return identity_of(uris)


def find_places(cloud: Cloud, wanted: Subject) -> Places:
    """Return what ``asks_where`` wants to know."""
    partitions = {guid: _place_of(cloud, guid) for guid in wanted.instances}
    keys = wanted.partitions | {it for it in partitions.values() if it is not None}
    return Places({key: _occupant_of(cloud, key) for key in keys}, partitions)


def _place_of(cloud: Cloud, instance_guid: str) -> PartitionKey | None:
    try:
        return descriptions.place_of(cloud, instance_guid)[0]
    except NotFound:
        return None


def _occupant_of(cloud: Cloud, key: PartitionKey) -> str | None:
    try:
        return cloud.partition(key).occupant_guid
    except NotFound:
        return None
