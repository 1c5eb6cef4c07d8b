"""Polls the document of a computer all the time.

``python pollers.py COMPUTER_ID`` asks as an agent does, by one client that stays, and
writes a line of JSON for each answer.

It runs in a cloud of play, where no test code can be imported.
"""

from __future__ import annotations

import json
import os
import sys

from runtime.identity_directory import paths_below
from runtime.ports import Runtime
from slap.errors import SlapError
from slap.replicas import Replicas
from slapcluster.pausing import pause
from slapcluster.running import launch
from slapgrid.slap_client import SlapClient
from slapgrid.trusting import trust_masters

PAUSE_SECONDS = 0.5


async def poll_for_ever(runtime: Runtime, client: SlapClient, computer_id: str) -> None:
    clock = runtime.clock
    while True:
        begun, refusal, is_stale = clock.seconds(), None, False
        try:
            answer = await client.poll(computer_id)
            is_stale = answer.stale_seconds is not None
        except SlapError as error:
            refusal = error.sentence
        said = {
            "seconds": round(clock.seconds() - begun, 3),
            "is_stale": is_stale,
            "refusal": refusal,
        }
        print(json.dumps(said), flush=True)  # noqa: T201 - the answer
        await pause(clock, PAUSE_SECONDS)


def main() -> None:
    environment = os.environ  # noqa: TID251 - a composition root
    urls = tuple(environment["SLAPCLUSTER_MASTER"].split())
    identity = environment["SLAPCLUSTER_IDENTITY"]
    (computer_id,) = sys.argv[1:]

    async def run(runtime: Runtime) -> None:
        trust = trust_masters(runtime, paths_below(identity))
        client = SlapClient(runtime, Replicas(urls), trust=trust)
        await poll_for_ever(runtime, client, computer_id)

    launch(run)


if __name__ == "__main__":
    main()
