"""A world: hosts, links and time, all drawn from one seed.

Nothing happens but by ``run_until``, ``run_for`` and ``result``, one call of the clock
after the other. Two runs of one seed make the same trace; ``digest`` tells.
"""

from __future__ import annotations

import gc
import hashlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any, NoReturn, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from labsim.world.clock import (
    STEPS_PER_INSTANT_MAX,
    EndlessInstant,
    WorldClock,
)
from labsim.world.entropy import stream
from labsim.world.host import Host
from labsim.world.links import Cut, Links, Rule, Shape
from labsim.world.network import Network
from labsim.world.observer import Observer

T = TypeVar("T")
Names = str | Iterable[str]
"""One or several hosts or regions."""

EVIDENCE_LINES = 40
"""What a failure shows of the end of the trace and of the log."""

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
        self.network = Network(self.clock, Links(seed), self.record)
        self._hosts: dict[str, Host] = {}
        self._regions: dict[str, list[str]] = {}
        self._digest = hashlib.sha256()
        self._listeners: list[Callable[[str], None]] = []
        self._trace: deque[str] = deque(maxlen=EVIDENCE_LINES)
        self._log: deque[str] = deque(maxlen=EVIDENCE_LINES)
        self._unhandled: list[Failure] = []
        self._steps_at_instant = 0

    @property
    def hosts(self) -> tuple[Host, ...]:
        return tuple(self._hosts.values())

    def host(self, name: str, region: str = "") -> Host:
        """The host of that name; it comes to be when it is first named.

        Hosts and regions have different names: what shapes links takes either.
        """
        host = self._hosts.get(name)
        if host is None:
            if name in self._regions or region in self._hosts or name == region:
                raise ValueError(f"{name!r} of {region!r}: a host or region has it")
            if region:
                self._regions.setdefault(region, []).append(name)
            number = len(self._hosts) + 1
            host = self._hosts[name] = Host(self, name, number, region)
        elif region not in {"", host.region}:
            raise ValueError(f"{name!r} is in {host.region!r}, not in {region!r}")
        return host

    def hosts_of(self, names: Names) -> tuple[Host, ...]:
        """The hosts that are named, one by one or by their regions, each once."""
        found = [
            member
            for name in _several(names)
            for member in self._regions.get(name, [name])
        ]
        return tuple(self._hosts[name] for name in dict.fromkeys(found))

    def entropy(self, *key: object) -> Random:
        return stream(self.seed, *key)

    def sever(
        self,
        source: Names,
        target: Names | None = None,
        cut: Cut = Cut.SILENT,
        *,
        is_one_way: bool = False,
        by: str = "",
    ) -> None:
        """Cut the links between hosts or regions, or only the ways from ``source``.

        Without ``target`` they are cut off from everything else.
        """
        self.shape(source, target, Shape(cut=cut), is_one_way=is_one_way, by=by)

    def heal(self, source: Names, target: Names | None = None) -> None:
        """Undo every cut that was said of these two."""
        self._unshape_between(source, target, lambda shape: shape.cut is not None)

    def hold(
        self,
        source: Names,
        target: Names | None = None,
        *,
        is_one_way: bool = False,
        by: str = "",
    ) -> None:
        """Keep what travels between hosts or regions, to be delivered at the end."""
        self.shape(source, target, Shape(is_held=True), is_one_way=is_one_way, by=by)

    def release(self, source: Names, target: Names | None = None) -> None:
        """Undo every hold that was said of these two."""
        self._unshape_between(source, target, lambda shape: shape.is_held)

    def shape(
        self,
        source: Names,
        target: Names | None,
        shape: Shape,
        *,
        is_one_way: bool = False,
        by: str = "",
    ) -> None:
        """Have links behave so besides what else was said of them.

        Each ``by`` takes back its own with ``unshape``.
        """
        ends = _several(source)
        others = None if target is None else _several(target)
        rule = Rule(by, ends, others, is_one_way, shape)
        way = " one way" if is_one_way else ""
        self.record(",".join(ends), "link", f"{_shown(others)} {shape}{way} {by}")
        self.network.links.add_rule(rule)

    def unshape(self, by: str) -> None:
        """Take back all that one has said of links."""
        self.record("", "link", f"as before {by}")
        self.network.links.remove_rules(lambda rule: rule.by == by)

    def record(self, host: str, kind: str, text: str) -> None:
        """Write a line of the trace: what is the same in each run of a seed."""
        line = f"{self.clock.seconds():.9f} {host} {kind} {text}"
        self._digest.update(line.encode() + b"\n")
        self._trace.append(line)
        for listener in self._listeners:
            listener(line)

    def log(self, host: str, text: str) -> None:
        """Write a line of the log: shown with a failure, no part of the trace."""
        self._log.append(f"{self.clock.seconds():.9f} {host} {text}")

    def follow(self, listener: Callable[[str], None]) -> None:
        """Have it called with each line of the trace from now on."""
        self._listeners.append(listener)

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
            try:
                self.clock.run(end, self._unhandled)
            except EndlessInstant:
                self._fail("calls follow each other and no time passes")
            self._raise_unhandled()
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
            while any(True for _ in self._leftovers()):
                due = self.clock.next_due()
                if due is None or due > limit:
                    self._fail(f"left behind: {list(self._leftovers())}")
                self._step()
            gc.collect()  # an unhandled failure is logged when its Deferred goes
            self._raise_unhandled()

    def _leftovers(self) -> Iterator[object]:
        """One by one: it is looked often whether there is any."""
        yield from self.network.open_ends()
        living = tuple(host for host in self.hosts if host.is_up)
        for host in living:
            yield from host.running_programs
        yield from self.clock.pending({host.runtime.clock for host in living})

    def _unshape_between(
        self, source: Names, target: Names | None, is_meant: Callable[[Shape], bool]
    ) -> None:
        ends = _several(source)
        others = None if target is None else _several(target)
        self.record(",".join(ends), "link", f"{_shown(others)} healed")
        self.network.links.remove_rules(
            lambda rule: is_meant(rule.shape) and rule.is_between(ends, others)
        )

    def _step(self) -> None:
        before = self.clock.now
        self.clock.make_next()
        if self.clock.now > before:
            self._steps_at_instant = 0
        self._steps_at_instant += 1
        if self._steps_at_instant > STEPS_PER_INSTANT_MAX:
            self._fail("calls follow each other and no time passes")
        self._raise_unhandled()

    def _raise_unhandled(self) -> None:
        if self._unhandled:
            failures = tuple(self._unhandled)
            self._unhandled.clear()
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


def _several(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _shown(names: tuple[str, ...] | None) -> str:
    return "everything else" if names is None else ",".join(names)
