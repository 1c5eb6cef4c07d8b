"""Agents and persons of one region, who never stop asking: run alone.

    python -m tests.replicas.callers FILE

``FILE`` is JSON: the addresses of replicas (``urls``; the others are told by those),
the own ``region``, the directory of identities (``home``), the ``computers`` that are
polled for and how long each poll may wait (``wait_seconds``, or null), the ``titles``
that are asked for again and again, each time with the next number as a parameter. Each
line that it says is a JSON object: who asked what, when, when it was answered (seconds
of the monotonic clock of this computer), the outcome, and the number in the answer.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from attrs import asdict, frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from runtime.identity_directory import paths_below
from runtime.ports import Runtime
from slap.calls import define_computer, request_instance
from slap.errors import MasterAway, SlapError
from slap.model import Computer, InstanceRequest
from slap.polling import Polled
from slap.replicas import Replicas
from slapcluster.running import launch
from slapgrid.service import AWAY_SPREAD
from slapgrid.slap_client import SlapClient
from slapgrid.trusting import trust_masters
from tests.builders import a_computer_definition

PAUSE_SECONDS = 0.5
"""Between an answer and the next question."""

SOFTWARE_RELEASE_URL = "http://example.org/software.cfg"
NUMBER = "n"
"""The parameter that grows."""

PERSON = "PERS-1"


@frozen
class Asked:
    """One line. ``number`` is what the answer knows of, ``-1`` without one."""

    process: int
    who: str
    kind: str
    asked: float
    answered: float
    outcome: str
    number: int

    @property
    def is_answered(self) -> bool:
        return self.outcome in {"fresh", "stale", "acknowledged"}


@frozen
class Task:
    """What the file says; ``away_seconds`` pass after a poll that nobody answered."""

    urls: tuple[str, ...]
    home: str
    computers: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    region: str = ""
    wait_seconds: int | None = None
    first: int = 0
    away_seconds: float = PAUSE_SECONDS


class Callers:
    """All of them."""

    def __init__(self, runtime: Runtime, task: Task) -> None:
        self._runtime = runtime
        self._task = task

    async def ask_for_ever(self) -> None:
        polling = [self._poll_for_ever(it) for it in self._task.computers]
        requesting = [self._request_for_ever(it) for it in self._task.titles]
        loops = [Deferred.fromCoroutine(it) for it in (*polling, *requesting)]
        await gatherResults(loops)

    async def _poll_for_ever(self, computer_id: str) -> None:
        client = self._client(computer_id)
        await self._define(client, computer_id)
        known: Computer | None = None
        while True:
            asked = self._now()
            try:
                answer = await client.poll(computer_id, self._task.wait_seconds)
            except MasterAway:
                outcome = "away"
            except SlapError as error:
                outcome = f"refused: {error}"
            else:
                outcome = "fresh" if answer.stale_seconds is None else "stale"
                if isinstance(answer, Polled):
                    known = answer.computer
            self._say(computer_id, "poll", asked, outcome, number_of(known))
            await self._pause(is_away=outcome == "away")

    async def _request_for_ever(self, title: str) -> None:
        client = self._client(PERSON)
        place = {"computer_guid": computer_of(title)}
        number = self._task.first
        while True:
            asked = self._now()
            wanted = InstanceRequest(
                title,
                SOFTWARE_RELEASE_URL,
                parameters={NUMBER: str(number)},
                allocation_filter=place,
            )
            try:
                await client.perform(request_instance(wanted))
            except MasterAway:
                outcome = "away"
            except SlapError as error:
                outcome = f"refused: {error}"
            else:
                outcome = "acknowledged"
            self._say(title, "change", asked, outcome, number)
            number += outcome == "acknowledged"
            await self._pause()

    async def _define(self, client: SlapClient, computer_id: str) -> None:
        """Tell of the computer, as it does itself when it begins."""
        definition = a_computer_definition(1, computer_id=computer_id)
        while True:
            try:
                await client.perform(define_computer(definition))
            except SlapError as error:
                sys.stderr.write(f"{computer_id}: {error}\n")
                await self._pause()
            else:
                return

    def _client(self, who: str) -> SlapClient:
        home = paths_below(f"{self._task.home}/identity-{who}")
        trust = trust_masters(self._runtime, home)
        replicas = Replicas(self._task.urls)
        region = self._task.region
        return SlapClient(self._runtime, replicas, trust=trust, region=region)

    def _say(
        self, who: str, kind: str, asked: float, outcome: str, number: int
    ) -> None:
        line = Asked(os.getpid(), who, kind, asked, self._now(), outcome, number)
        sys.stdout.write(json.dumps(asdict(line)) + "\n")
        sys.stdout.flush()

    def _now(self) -> float:
        return self._runtime.clock.seconds()

    async def _pause(self, *, is_away: bool = False) -> None:
        seconds = PAUSE_SECONDS
        if is_away:
            drawn = self._runtime.entropy.uniform(AWAY_SPREAD, 1.0)
            seconds = self._task.away_seconds * drawn
        await deferLater(self._runtime.clock, seconds)


def computer_of(title: str) -> str:
    """On which computer an instance is to be, so that its polls show the number."""
    return f"COMP-{title.removeprefix('tree-')}"


def number_of(computer: Computer | None) -> int:
    """The largest number in a document; ``-1`` without any."""
    partitions = computer.partitions if computer is not None else ()
    instances = (it.instance for it in partitions if it.instance is not None)
    return max((int(it.parameters.get(NUMBER, -1)) for it in instances), default=-1)


def read_task(text: str) -> Task:
    told: dict[str, Any] = json.loads(text)
    lists = {
        key: tuple(value) for key, value in told.items() if isinstance(value, list)
    }
    return Task(**(told | lists))


def main() -> None:
    task = read_task(Path(sys.argv[1]).read_text())
    # Each agent has a connection of its own.
    _, descriptors_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors_max, descriptors_max))

    async def call(runtime: Runtime) -> None:
        await Callers(runtime, task).ask_for_ever()

    launch(call)


if __name__ == "__main__":
    main()
