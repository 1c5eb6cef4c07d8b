"""Shell. Has somebody request all the time, and keeps what was granted."""

from __future__ import annotations

import json

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from runtime.ports import Exit, Runtime
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause
from slapcluster.play.calls import Answered
from slapcluster.play.cloud import Say, run_inside
from slapcluster.play.lines import Lines
from slapcluster.play.places import Record

POLL_SECONDS = 0.1


@define(eq=False)
class Caller:
    """A process of the operator that runs ``slapcluster.play.caller``."""

    runtime: Runtime
    record: Record
    say: Say
    answers: list[Answered] = field(factory=list)
    _running: Deferred[Exit | None] | None = None
    _lines: Lines = field(factory=Lines, init=False)

    def begin(self, release_url: str) -> None:
        """Have it request shared instances of a release, until ``end``."""
        argv = ("python", "-I", "-m", "slapcluster.play.caller", release_url)
        self._running = Deferred.fromCoroutine(
            run_inside(self.runtime, self.record, argv, None, on_output=self._hear)
        )
        self._running.addErrback(self._failed)

    def end(self) -> None:
        if self._running is not None:
            self._running.cancel()

    def granted_since(self, instant: float) -> list[Answered]:
        return [it for it in self.answers if it.is_granted and it.instant > instant]

    async def until_granted(self, count: int, instant: float) -> None:
        """Wait until so many were granted after an instant."""
        while len(self.granted_since(instant)) < count:
            if self._running is None or self._running.called:
                raise CommandFailed("Whoever requests all the time has ended.")
            await pause(self.runtime.clock, POLL_SECONDS)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.say(f"whoever requests: {failure.getErrorMessage()}")

    def _hear(self, output: bytes) -> None:
        now = self.runtime.clock.seconds()
        for line in self._lines.take(output):
            try:
                said = json.loads(line)
            except ValueError:
                self.say(f"whoever requests: {line}")
                continue
            self.answers.append(Answered(said["title"], now, said["refusal"] is None))
