"""Shell. Asks replicas of the master whether they are ready, all at once."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus

from twisted.internet.defer import Deferred, gatherResults

from runtime.http_client import ConnectionFailed, HttpClient
from runtime.identity_directory import paths_below
from runtime.ports import Runtime
from runtime.tls import BadCredentials
from slapcluster.hosting.outlook import Readiness, ReplicaAnswer
from slapgrid.trusting import trust_masters

ANSWER_SECONDS_MAX = 4.0
"""A replica that is there says within two whether its store is."""

REASON_BYTES_MAX = 4096


async def ask_readiness(
    runtime: Runtime, urls: Collection[str], identity_directory: str
) -> dict[str, ReplicaAnswer]:
    """Return what each says; those that ask who we are need an identity."""
    trust = None
    if identity_directory:
        trust = trust_masters(runtime, paths_below(identity_directory))
    client = HttpClient(runtime, trust)

    async def ask(url: str) -> ReplicaAnswer:
        if url.startswith("https://") and trust is None:
            return ReplicaAnswer(Readiness.UNKNOWN, "asking it takes --identity")
        try:
            reply = await client.send(
                "GET",
                f"{url}/readyz",
                timeout_seconds=ANSWER_SECONDS_MAX,
                body_bytes_max=REASON_BYTES_MAX,
            )
        except (ConnectionFailed, BadCredentials) as error:
            return ReplicaAnswer(Readiness.AWAY, str(error))
        said = reply.body.decode(errors="replace").strip()
        if reply.status == HTTPStatus.OK:
            return ReplicaAnswer(Readiness.READY)
        return ReplicaAnswer(Readiness.NOT_READY, said)

    try:
        asking = [Deferred.fromCoroutine(ask(it)) for it in urls]
        answers = await gatherResults(asking, consumeErrors=True)
    finally:
        await client.close()
    return dict(zip(urls, answers, strict=True))
