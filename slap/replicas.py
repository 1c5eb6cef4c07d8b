"""Core. Which replica of the master to ask next, and which ones there are.

Any replica will do, and one of the caller's own region is nearest: it is preferred. The
caller moves on at the first failure, and comes back after a while, because what is
distant is slower. What is away for one caller is away for a thousand: each comes back,
and asks again after a poll that broke, at a moment of its own, which it draws.

A replica that is cut off from its store answers polls as of before (stale). Its caller
takes that and looks further; while nobody knows more, the stale one is asked after one
other at most, so that there is an answer soon.

Whoever performs a call asks each replica at most once before saying that the master is
away.

Replicas tell which ones there are by a header, which has their addresses and regions:
``http://[2001:db8::1]:5000 eu, http://[2001:db8::2]:5000 us``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from attrs import evolve, field, frozen

RETURN_DELAY_SECONDS = 60.0
"""In the mean: a replica restarts in seconds, and a try in vain costs some."""

STALE_DELAY_SECONDS = 10.0
"""In the mean: a store that was lost is there again about so soon."""

AWAY_DELAY_SECONDS = 2.0
"""In the mean: a replica that says that it cannot answer is there, and is the first to
know when it can; one that says nothing may be so for hours."""

SPREAD_SECONDS = 0.8
"""A thousand callers of one replica that died ask another one within this: it answers
more than that in a second."""

REPLICAS_HEADER = "X-Slapcluster-Replicas"

REPLICA_COUNT_MAX = 20
URL_LENGTH_MAX = 200

REGION = re.compile(r"[A-Za-z0-9._-]{1,60}")
_URL = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|[0-9.]+)(?::[0-9]{1,5})?(?:/[!-~]*)?"
)


@frozen
class ListedReplica:
    """A replica as all of them tell of it."""

    url: str = field()
    region: str = field()

    @url.validator
    def _check_url(self, _: object, url: str) -> None:
        if len(url) > URL_LENGTH_MAX or "," in url or not _URL.fullmatch(url):
            raise ValueError(
                f"{url!r} is no address of a replica: write http:// or https://, a"
                " numeric host and a port, such as http://[2001:db8::1]:5000"
            )

    @region.validator
    def _check_region(self, _: object, region: str) -> None:
        if not REGION.fullmatch(region):
            raise ValueError(
                f"{region!r} is no name of a region: it has 1 to 60 letters, digits,"
                " dots, hyphens and underscores"
            )


@frozen
class ReplicasReport:
    """The replicas that are told of, by address."""

    replicas: tuple[ListedReplica, ...] = ()


def encode_replicas(listed: Iterable[ListedReplica]) -> str:
    """Return the header; those that are too many are left out."""
    entries = [f"{it.url} {it.region}" for it in listed]
    return ", ".join(entries[:REPLICA_COUNT_MAX])


def decode_replicas(header: str) -> tuple[ListedReplica, ...]:
    """Read the header; what is odd in it is ignored."""
    return tuple(dict.fromkeys(_decode(header)))[:REPLICA_COUNT_MAX]


def _decode(header: str) -> Iterator[ListedReplica]:
    for entry in header.split(","):
        url, _, region = entry.strip(" \t").partition(" ")
        try:
            yield ListedReplica(url, region.strip(" \t"))
        except ValueError:
            continue


def order_urls(
    configured: Iterable[str], listed: Iterable[ListedReplica], region: str = ""
) -> tuple[str, ...]:
    """Return all addresses, the ones to prefer first.

    Those of the caller's own region are first. Configured ones stay for ever: they are
    how anything is reached when the list is wrong.
    """
    listed = tuple(listed)
    near = [it.url for it in listed if region and it.region == region]
    return tuple(dict.fromkeys((*near, *configured, *(it.url for it in listed))))


def _frozen(instants: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(instants))


@frozen
class Replicas:
    """The addresses of the replicas, the preferred ones first, and who is left alone.

    ``return_at`` has the instants until which those are passed over that did not
    answer; ``stale_url`` is who answered last, as of before. Calls may overlap, so an
    outcome names the replica that it is about.
    """

    urls: tuple[str, ...] = field()
    return_at: Mapping[str, float] = field(factory=dict, converter=_frozen)
    stale_url: str = ""

    @urls.validator
    def _check_urls(self, _: object, urls: tuple[str, ...]) -> None:
        if not urls or len(set(urls)) < len(urls):
            raise ValueError("replicas need distinct addresses, at least one")

    def listing(self, urls: tuple[str, ...]) -> Replicas:
        """Return the same with other addresses; what is known of one stays."""
        kept = {url: at for url, at in self.return_at.items() if url in urls}
        stale_url = self.stale_url if self.stale_url in urls else ""
        return Replicas(urls, kept, stale_url)


@frozen
class Answered:
    """A replica answered, be it with a refusal."""

    url: str


@frozen
class AnsweredAway:
    """A replica said that it cannot answer now; ``drawn`` as below."""

    url: str
    drawn: float = 0.5


@frozen
class Failed:
    """A replica did not answer.

    ``drawn`` is from 0 to 1: when it is asked again, between half and one and a half of
    the usual delay.
    """

    url: str
    drawn: float = 0.5


@frozen
class AnsweredStale:
    """A replica answered as of before; ``drawn`` as above."""

    url: str
    drawn: float = 0.5


Outcome = Answered | AnsweredAway | AnsweredStale | Failed


def choose(replicas: Replicas, now: float) -> str:
    """Return the address to ask at ``now``."""
    return order_asked(replicas, now)[0]


def order_asked(replicas: Replicas, now: float) -> tuple[str, ...]:
    """Return all addresses in the order in which a call at ``now`` asks them."""
    due = [it for it in replicas.urls if replicas.return_at.get(it, now) <= now]
    rest = sorted(
        (it for it in replicas.urls if it not in due),
        key=lambda it: replicas.return_at[it],
    )
    order = (*due[:1], replicas.stale_url, *due[1:], *rest)
    return tuple(dict.fromkeys(it for it in order if it))


def absorb(replicas: Replicas, outcome: Outcome, now: float) -> Replicas:
    """Return what is known after an outcome; an unlisted address changes nothing."""
    url = outcome.url
    if url not in replicas.urls:
        return replicas
    others = {it: at for it, at in replicas.return_at.items() if it != url}
    match outcome:
        case Answered():
            # Who was answered as of now has no use for what was before.
            return evolve(replicas, return_at=others, stale_url="")
        case AnsweredStale(drawn=drawn):
            at = now + STALE_DELAY_SECONDS * (0.5 + drawn)
            return evolve(replicas, return_at={**others, url: at}, stale_url=url)
        case AnsweredAway(drawn=drawn) | Failed(drawn=drawn):
            is_silent = isinstance(outcome, Failed)
            delay = RETURN_DELAY_SECONDS if is_silent else AWAY_DELAY_SECONDS
            at = now + delay * (0.5 + drawn)
            stale_url = "" if replicas.stale_url == url else replicas.stale_url
            return evolve(replicas, return_at={**others, url: at}, stale_url=stale_url)


def spread_seconds(drawn: float) -> float:
    """Return how long to wait after a poll that broke, by a number from 0 to 1."""
    return SPREAD_SECONDS * drawn
