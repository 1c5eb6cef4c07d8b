"""Core. Which replica of the master to ask next.

The first replica of the list is preferred: it is in the caller's own region. The caller
moves on at the first failure, because any replica will do, and tries the
preferred one again after a delay, because a distant one is slower. Whoever performs a
call asks each replica at most once before saying that the master is away.
"""

from __future__ import annotations

from attrs import evolve, field, frozen

RETURN_DELAY_SECONDS = 60.0
"""A replica restarts in seconds, and a try in vain costs a caller up to its timeout."""


@frozen
class Replicas:
    """The addresses of the replicas, and which of them serves the caller now.

    Calls may overlap, so an outcome names the replica that it is about.
    """

    urls: tuple[str, ...] = field()
    position: int = 0
    return_at: float = 0.0

    @urls.validator
    def _check_urls(self, _: object, urls: tuple[str, ...]) -> None:
        if not urls or len(set(urls)) < len(urls):
            raise ValueError("replicas need distinct addresses, at least one")


@frozen
class Answered:
    """A replica answered, be it with a refusal."""

    url: str


@frozen
class Failed:
    """A replica did not answer, or said that it cannot."""

    url: str


def choose(replicas: Replicas, now: float) -> str:
    """Return the address to ask at ``now``."""
    if now >= replicas.return_at:
        return replicas.urls[0]
    return replicas.urls[replicas.position]


def absorb(replicas: Replicas, outcome: Answered | Failed, now: float) -> Replicas:
    """Return what is known after an outcome; an unlisted address changes nothing."""
    if outcome.url not in replicas.urls:
        return replicas
    index = replicas.urls.index(outcome.url)
    if isinstance(outcome, Answered):
        return Replicas(replicas.urls) if index == 0 else replicas
    if index == 0:
        replicas = evolve(replicas, return_at=now + RETURN_DELAY_SECONDS)
    if index != replicas.position:
        return replicas
    return evolve(replicas, position=(index + 1) % len(replicas.urls))
