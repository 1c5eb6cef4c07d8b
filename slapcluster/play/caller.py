"""Shell. Somebody who requests all the time, and writes down what was granted.

``python -m slapcluster.play.caller RELEASE_URL`` asks the masters of its environment,
and writes a line of JSON for each request: its title, and why it was refused, or null.
"""

from __future__ import annotations

import json
import os
import sys

from runtime.ports import Runtime
from slap.errors import NotReady, SlapError
from slap.model import InstanceRequest
from slapcluster.asking import ask
from slapcluster.master import Master
from slapcluster.running import launch

PAUSE_SECONDS = 0.5
"""Between two requests: each has an instance processed on some computer."""

TITLE_PREFIX = "guest-"


async def request_for_ever(master: Master, release_url: str) -> None:
    """Request one shared instance after the other; a refused one again."""
    number = 1
    while True:
        title = f"{TITLE_PREFIX}{number}"
        refusal = await request_guest(master, title, release_url, f"Hello {title}")
        sys.stdout.write(json.dumps({"title": title, "refusal": refusal}) + "\n")
        sys.stdout.flush()
        number += refusal is None
        await master.pause(PAUSE_SECONDS)


async def request_guest(
    master: Master, title: str, release_url: str, greeting: str
) -> str | None:
    """Request a shared instance; return why it was refused, ``None`` if it was not."""
    wanted = InstanceRequest(
        title=title,
        software_release_url=release_url,
        parameters={"greeting": greeting},
        is_shared=True,
    )
    try:
        await master.request_instance(wanted)
    except NotReady:
        # It is written down, and its agent has not made it yet.
        return None
    except SlapError as error:
        return error.sentence
    return None


def main() -> None:
    environment = os.environ  # noqa: TID251 - a composition root
    urls = tuple(environment["SLAPCLUSTER_MASTER"].split())
    identity = environment["SLAPCLUSTER_IDENTITY"]

    async def call(master: Master) -> None:
        await request_for_ever(master, sys.argv[1])

    async def run(runtime: Runtime) -> None:
        await ask(runtime, urls, call, identity)

    launch(run)


if __name__ == "__main__":
    main()
