"""A world: hosts, links and time, all drawn from one seed.

Nothing happens but by ``run_until``, ``run_for`` and ``result``, one call of the clock
after the other. Two runs of one seed make the same trace; ``digest`` tells.
"""

from __future__ import annotations

import gc
import hashlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from labsim.world.clock import LifeClock, WorldClock
from labsim.world.entropy import stream
from labsim.world.host import Host
from labsim.world.links import Cut, Links
from labsim.world.network import Network
from labsim.world.observer import Observer

T = TypeVar("T")

EVIDENCE_LINES = 40
"""What a failure shows of the end of the trace and of the log."""

STEPS_PER_INSTANT_MAX = 100_000
"""More calls without any time between them are a loop."""

CLOSING_SECONDS = 1_000.0
"""How long connections and timers have to end once all services have stopped."""


class WorldStuck(AssertionError):
    """What was waited for did not happen; the text says what did."""


class World:
    """Everything that exists in one simulation.

    ``has_permuted_ties`` draws the order of calls that are due at the same instant.
    """

    def __init__(self, seed: int, *, has_permuted_ties: bool = False) -> None:
        self.seed = seed
        ties = stream(seed, "ties") if has_permuted_ties else None
        self.clock = WorldClock(ties)
        self.network = Network(LifeClock(self.clock), Links(seed), self.record)
        self._hosts: dict[str, Host] = {}
        self._digest = hashlib.sha256()
        self._trace: deque[str] = deque(maxlen=EVIDENCE_LINES)
        self._log: deque[str] = deque(maxlen=EVIDENCE_LINES)
        self._unhandled: list[Failure] = []
        self._steps_at_instant = 0

    @property
    def hosts(self) -> tuple[Host, ...]:
        return tuple(self._hosts.values())

    def host(self, name: str) -> Host:
        """The host of that name; it comes to be when it is first named."""
        if name not in self._hosts:
            self._hosts[name] = Host(self, name, len(self._hosts) + 1)
        return self._hosts[name]

    def entropy(self, *key: object) -> Random:
        return stream(self.seed, *key)

    def sever(
        self,
        source: str,
        target: str,
        cut: Cut = Cut.SILENT,
        *,
        is_one_way: bool = False,
    ) -> None:
        """Cut the link between two hosts, or only the way from ``source``."""
        self._set_cut(source, target, cut, is_one_way=is_one_way)

    def heal(self, source: str, target: str) -> None:
        """Undo every cut between two hosts."""
        self._set_cut(source, target, None, is_one_way=False)

    def record(self, host: str, kind: str, text: str) -> None:
        """Write a line of the trace: what is the same in each run of a seed."""
        line = f"{self.clock.seconds():.9f} {host} {kind} {text}"
        self._digest.update(line.encode() + b"\n")
        self._trace.append(line)

    def log(self, host: str, text: str) -> None:
        """Write a line of the log: shown with a failure, no part of the trace."""
        self._log.append(f"{self.clock.seconds():.9f} {host} {text}")

    def digest(self) -> str:
        """A hash of the trace until now."""
        return self._digest.hexdigest()

    def run_until(
        self, predicate: Callable[[], object], limit_seconds: float = 60.0
    ) -> None:
        """Let things happen until ``predicate`` holds; ``WorldStuck`` if it never does.

        It is asked before each call of the clock.
        """
        limit = self.clock.seconds() + limit_seconds
        with self._watching():
            while not predicate():
                due = self.clock.next_due()
                if due is None:
                    self._fail("nothing is left to happen")
                if due > limit:
                    self._fail(f"it did not happen within {limit_seconds:g} s")
                self._step()

    def run_for(self, seconds: float) -> None:
        """Let all happen that is due within so many seconds."""
        end = self.clock.seconds() + seconds
        with self._watching():
            while (due := self.clock.next_due()) is not None and due <= end:
                self._step()
        self.clock.advance_to(end)

    def result(
        self,
        awaited: Deferred[T] | Coroutine[Any, Any, T],
        limit_seconds: float = 60.0,
    ) -> T:
        """Let things happen until it has a result, and give or raise that."""
        results: list[T | Failure] = []
        if not isinstance(awaited, Deferred):
            awaited = Deferred.fromCoroutine(awaited)
        awaited.addBoth(results.append)
        self.run_until(lambda: results, limit_seconds)
        result = results[0]
        if isinstance(result, Failure):
            result.raiseException()
        return result

    def finish(self) -> None:
        """Stop all services; what they leave behind then is a failure.

        Left may be nothing: no timer, connection, port, program, or failure of a
        Deferred that nobody handles.
        """
        for host in self.hosts:
            if host.is_up:
                self.result(host.stop_services())
        limit = self.clock.seconds() + CLOSING_SECONDS
        with self._watching():
            while leftovers := self._leftovers():
                due = self.clock.next_due()
                if due is None or due > limit:
                    self._fail(f"left behind: {leftovers}")
                self._step()
            gc.collect()  # an unhandled failure is logged when its Deferred goes
            self._raise_unhandled()

    def _leftovers(self) -> list[object]:
        left: list[object] = list(self.network.open_ends())
        for host in self.hosts:
            if host.is_up:
                left += host.runtime.clock.getDelayedCalls()
                left += host.running_programs
        return left

    def _set_cut(
        self, source: str, target: str, cut: Cut | None, *, is_one_way: bool
    ) -> None:
        text = f"{target} {cut.value if cut else 'healed'}"
        self.record(source, "link", text + (" one way" if is_one_way else ""))
        self.network.set_cut(source, target, cut)
        if not is_one_way:
            self.network.set_cut(target, source, cut)

    def _step(self) -> None:
        before = self.clock.seconds()
        self.clock.step()
        if self.clock.seconds() > before:
            self._steps_at_instant = 0
        self._steps_at_instant += 1
        if self._steps_at_instant > STEPS_PER_INSTANT_MAX:
            self._fail("calls follow each other and no time passes")
        self._raise_unhandled()

    def _raise_unhandled(self) -> None:
        if self._unhandled:
            failures, self._unhandled = self._unhandled, []
            self._fail("\n".join(failure.getTraceback() for failure in failures))

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Notice the failures that Twisted only logs."""

        def notice(event: LogEvent) -> None:
            if "log_failure" in event:
                self._unhandled.append(event["log_failure"])

        observer = Observer(notice)
        globalLogPublisher.addObserver(observer)
        try:
            yield
        finally:
            globalLogPublisher.removeObserver(observer)

    def _fail(self, reason: str) -> NoReturn:
        """Say what was going on."""
        up = ", ".join(
            f"{host.name} {'up' if host.is_up else 'down'}" for host in self.hosts
        )
        raise WorldStuck(
            "\n".join(
                (
                    f"at {self.clock.seconds():.3f} s of seed {self.seed}: {reason}",
                    f"hosts: {up}",
                    "the end of the trace:",
                    *self._trace,
                    "the end of the log:",
                    *self._log,
                )
            )
        )
