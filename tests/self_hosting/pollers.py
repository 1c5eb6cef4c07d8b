"""Polls the document of a computer all the time, or requests a service anew.

``python pollers.py poll COMPUTER_ID`` asks as an agent does, by one client that stays,
and writes a line of JSON for each answer. ``python pollers.py request TITLE URL``
requests a service with another release and the parameters that it has.

It runs in a cloud of play, where no test code can be imported.
"""

from __future__ import annotations

import json
import os
import sys

from runtime.identity_directory import paths_below
from runtime.ports import Runtime
from slap.errors import NotReady, SlapError
from slap.model import InstanceRequest
from slap.replicas import Replicas
from slapcluster.asking import ask
from slapcluster.master import Master
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


async def request_again(master: Master, title: str, release_url: str) -> None:
    tree = await master.tree(title)
    root = tree.instances[0]
    wanted = InstanceRequest(
        title=title,
        software_release_url=release_url,
        software_type=root.software_type,
        parameters=root.parameters,
    )
    try:
        await master.request_instance(wanted)
    except NotReady:
        # It is written down; whoever waits looks at the tree.
        return


def main() -> None:
    environment = os.environ  # noqa: TID251 - a composition root
    urls = tuple(environment["SLAPCLUSTER_MASTER"].split())
    identity = environment["SLAPCLUSTER_IDENTITY"]
    verb, *rest = sys.argv[1:]

    async def run(runtime: Runtime) -> None:
        if verb == "request":
            await ask(runtime, urls, lambda it: request_again(it, *rest), identity)
            return
        trust = trust_masters(runtime, paths_below(identity))
        client = SlapClient(runtime, Replicas(urls), trust=trust)
        await poll_for_ever(runtime, client, *rest)

    launch(run)


if __name__ == "__main__":
    main()
