"""Shell. The doctor: examines all computers of a cloud, and has them visit each other.

Nothing is left: who is examined writes a probe and removes it, who is visited listens
until all visitors came, for ``RECEIVE_SECONDS_MAX`` at most.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from typing import Any

import cattrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList

from runtime.ports import Runtime
from slapcluster.bootstrap.errands import Errand, Ran, run_errand, run_errands
from slapcluster.bootstrap.wanted_cloud import WantedCloud, WantedComputer
from slapcluster.doctor.encounters import (
    HERE,
    NONCE_DIGITS,
    Outcome,
    Visited,
    choose_visited,
    choose_visits,
    count_visits,
)
from slapcluster.doctor.examination import NotUnderstood, read_examination
from slapcluster.doctor.judging import (
    Finding,
    Heard,
    Verdict,
    judge_computers,
    judge_outcomes,
)
from slapcluster.doctor.meeting import LISTENING, Received, receive_visits

EXAMINE_SECONDS_MAX = 90.0
"""A slow login, a Python program on a loaded machine, and a disk that stalls."""

RECEIVE_SECONDS_MAX = 60.0
"""Until the slowest of the others listens too, and all visitors have come."""

READY_SECONDS_MAX = 30.0
"""For who is visited to listen; visitors do not wait longer for one."""

Show = Callable[[str], None]


async def consult(runtime: Runtime, wanted: WantedCloud, show: Show) -> list[Finding]:
    """Return all that is found."""
    heard = await _examine_all(runtime, wanted, show)
    answering = [title for title, it in heard.items() if it.examination is not None]
    outcomes, failures = await _meet(runtime, wanted, answering, show)
    found = judge_computers(wanted, heard)
    return [*found, *judge_outcomes(wanted, heard, outcomes), *failures]


async def _examine_all(
    runtime: Runtime, wanted: WantedCloud, show: Show
) -> dict[str, Heard]:
    errands = tuple(
        Errand(it, ("examine",), EXAMINE_SECONDS_MAX)
        for it in wanted.computers
        if it.command
    )
    show(f"examines {len(errands)} computers")
    ran = await run_errands(runtime, errands, show)
    return {title: _heard(it) for title, it in ran.items()}


def _heard(ran: Ran) -> Heard:
    if ran.answer is None:
        return Heard(ran.begun_at, ran.ended_at, failure=ran.failure)
    try:
        examination = read_examination(ran.answer.get("examination"))
    except NotUnderstood as error:
        return Heard(ran.begun_at, ran.ended_at, failure=str(error))
    return Heard(ran.begun_at, ran.ended_at, examination)


async def _meet(
    runtime: Runtime, wanted: WantedCloud, answering: list[str], show: Show
) -> tuple[dict[str, tuple[Outcome, ...]], list[Finding]]:
    """Have computers visit each other; return what came of it, and what went wrong."""
    computers = {it.title: it for it in wanted.computers}
    nonce = f"{runtime.entropy.getrandbits(4 * NONCE_DIGITS):0{NONCE_DIGITS}x}"
    visited = choose_visited(wanted, answering)
    visits = choose_visits(wanted, visited, answering)
    here = Visited(HERE, wanted.host, (wanted.port,))
    receptions = [
        _Reception(runtime, None, here, nonce, count_visits(visits, HERE)),
        *(
            _Reception(
                runtime, computers[it.title], it, nonce, count_visits(visits, it.title)
            )
            for it in visited
        ),
    ]
    try:
        show(f"{len(receptions)} listen")
        await DeferredList([it.ready for it in receptions])
        show(f"{len(visits)} visit them")
        errands = tuple(
            Errand(
                computers[title],
                ("examine", "visit", "--nonce", nonce, *(it.word() for it in each)),
                EXAMINE_SECONDS_MAX,
            )
            for title, each in visits.items()
        )
        ran = await run_errands(runtime, errands, show)
    finally:
        for each in receptions:
            await each.end()
    outcomes = {}
    failures = [
        Finding(HERE, "mini-master", Verdict.FAILURE, _no_listening(wanted, reason))
        for reason in receptions[0].failures.values()
        # Else the mini-master itself is there, and visitors tell whether it is reached.
        if reason != os.strerror(errno.EADDRINUSE)
    ]
    for title, it in ran.items():
        try:
            outcomes[title] = _read_outcomes(it)
        except NotUnderstood as error:
            failures.append(Finding(title, "way", Verdict.FAILURE, str(error)))
    return outcomes, failures


def _no_listening(wanted: WantedCloud, reason: str) -> str:
    return (
        f"nothing can listen at {wanted.host}, {wanted.port}: {reason}; bootstrap on"
        " the computer that has this address, or change mini-master.listen"
    )


def _read_outcomes(ran: Ran) -> tuple[Outcome, ...]:
    if ran.answer is None:
        raise NotUnderstood(ran.failure)
    try:
        return cattrs.Converter().structure(
            ran.answer.get("visits"), tuple[Outcome, ...]
        )
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        said = "; ".join(cattrs.transform_error(error))
        raise NotUnderstood(f"another version answers, it seems: {said}") from error


class _Reception:
    """Somebody who listens, here or by a command; ``ready`` once that is so."""

    def __init__(
        self,
        runtime: Runtime,
        computer: WantedComputer | None,
        visited: Visited,
        nonce: str,
        count: int,
    ) -> None:
        self.ready: Deferred[None] = Deferred()
        self.failures: Mapping[int, str] = {}
        self._heard = b""
        if computer is None:
            receiving: Any = receive_visits(
                runtime,
                visited,
                nonce,
                lambda _: self._be_ready(),
                count=count,
                seconds=RECEIVE_SECONDS_MAX,
            )
        else:
            words = (
                *("examine", "receive", visited.host),
                *("--ports", ",".join(str(it) for it in visited.ports)),
                *("--nonce", nonce, "--count", str(count)),
                *("--seconds", f"{RECEIVE_SECONDS_MAX:g}"),
            )
            errand = Errand(computer, words, RECEIVE_SECONDS_MAX + EXAMINE_SECONDS_MAX)
            receiving = run_errand(runtime, errand, self._hear)
        self._running = Deferred.fromCoroutine(receiving)
        self._running.addBoth(self._finish)
        self.ready.addTimeout(READY_SECONDS_MAX, runtime.clock)
        self.ready.addErrback(lambda _: None)

    async def end(self) -> None:
        """Have it end, if it still listens: visitors that did not come will not."""
        self._running.cancel()
        await self._running

    def _hear(self, output: bytes) -> None:
        self._heard += output
        if LISTENING.encode() in self._heard:
            self._be_ready()

    def _be_ready(self) -> None:
        if not self.ready.called:
            self.ready.callback(None)

    def _finish(self, result: Any) -> None:
        """Take its end, whichever: what it could not do is what visitors tell."""
        self._be_ready()
        if isinstance(result, Received):
            self.failures = result.failures
        if isinstance(getattr(result, "value", None), CancelledError):
            return
        if hasattr(result, "raiseException"):
            result.raiseException()
