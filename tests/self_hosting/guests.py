"""Asks for guests of a service all the time, or says which of their numbers are there.

``python guests.py ask RELEASE_URL`` changes one shared instance after the other, and
begins anew behind the last one: each has the number of its round as a parameter. A line
of JSON says what became of each. ``python guests.py look`` prints the numbers by title.

It runs in a cloud of play, where no test code can be imported.
"""

from __future__ import annotations

import json
import os
import sys

from runtime.ports import Runtime
from slap.errors import NotFound
from slapcluster.asking import ask
from slapcluster.master import Master
from slapcluster.play.caller import request_guest
from slapcluster.running import launch

TITLES = tuple(f"guest-{it}" for it in range(20))
PAUSE_SECONDS = 0.3


async def change_for_ever(master: Master, release_url: str) -> None:
    number = 0
    while True:
        for title in TITLES:
            refusal = await request_guest(master, title, release_url, str(number))
            said = {"title": title, "number": number, "refusal": refusal}
            print(json.dumps(said), flush=True)  # noqa: T201 - the answer
            await master.pause(PAUSE_SECONDS)
        number += 1


async def look(master: Master) -> None:
    found = {}
    for title in TITLES:
        try:
            tree = await master.tree(title)
        except NotFound:
            continue
        found[title] = int(tree.instances[0].parameters["greeting"])
    print(json.dumps(found))  # noqa: T201 - the answer


def main() -> None:
    environment = os.environ  # noqa: TID251 - a composition root
    urls = tuple(environment["SLAPCLUSTER_MASTER"].split())
    verb, *rest = sys.argv[1:]

    async def act(master: Master) -> None:
        if verb == "ask":
            await change_for_ever(master, *rest)
        else:
            await look(master)

    async def run(runtime: Runtime) -> None:
        await ask(runtime, urls, act, environment["SLAPCLUSTER_IDENTITY"])

    launch(run)


if __name__ == "__main__":
    main()
