"""Core. What a master counts of itself, and the text that Prometheus reads.

One ``Measures`` belongs to one master; whoever has something to count gets it through
its constructor. Counting happens in the thread of the reactor and costs a dictionary
access. What is a fact already (connections that are open, threads that work) is not
counted: it is asked for when somebody reads, by a function given to ``watch``.

The labels of a measure are names that the program knows, never what a client sent. That
is the caller's duty; ``SERIES_MAX`` bounds the damage where it is forgotten.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from attrs import define, field, frozen

SERIES_MAX = 1_000
"""Of one measure: fifty methods with some statuses each, and room to grow."""

OTHER = "other"
"""The label of what has none of its own."""

SECONDS_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
"""Upper bounds of durations: a poll takes a millisecond, a busy store some seconds."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The text format of Prometheus."""

Labels = tuple[str, ...]


@frozen
class Measure:
    """What a number is called, and what it says."""

    name: str
    sentence: str
    kind: str
    label_names: Labels = ()

    def head(self) -> Iterator[str]:
        yield f"# HELP {self.name} {self.sentence}"
        yield f"# TYPE {self.name} {self.kind}"

    def line(self, labels: Labels, value: float, suffix: str = "") -> str:
        """Return a line of the text format."""
        return _line(self.name + suffix, self.label_names, labels, value)


@define(eq=False)
class Counter:
    """A number that only grows, one for each combination of labels."""

    measure: Measure
    _values: dict[Labels, float] = field(factory=dict, init=False)

    def add(self, *labels: str, amount: float = 1) -> None:
        key = _known(labels, self._values)
        self._values[key] = self._values.get(key, 0) + amount

    def value(self, *labels: str) -> float:
        return self._values.get(labels, 0)

    def lines(self) -> Iterator[str]:
        yield from self.measure.head()
        values = self._values or ({} if self.measure.label_names else {(): 0.0})
        for labels, value in sorted(values.items()):
            yield self.measure.line(labels, value)


@define(eq=False)
class Histogram:
    """How many durations were at most so long, one row for each label."""

    measure: Measure
    bounds: Sequence[float] = SECONDS_BOUNDS
    _counts: dict[Labels, list[int]] = field(factory=dict, init=False)
    _sums: dict[Labels, float] = field(factory=dict, init=False)

    def observe(self, seconds: float, *labels: str) -> None:
        key = _known(labels, self._counts)
        counts = self._counts.setdefault(key, [0] * (len(self.bounds) + 1))
        counts[bisect_left(self.bounds, seconds)] += 1
        self._sums[key] = self._sums.get(key, 0.0) + seconds

    def count(self, *labels: str) -> int:
        return sum(self._counts.get(labels, ()))

    def lines(self) -> Iterator[str]:
        yield from self.measure.head()
        measure = self.measure
        limits = [*(f"{it:g}" for it in self.bounds), "+Inf"]
        for labels, counts in sorted(self._counts.items()):
            for limit, total in zip(limits, accumulate(counts), strict=True):
                yield _line(
                    f"{measure.name}_bucket",
                    (*measure.label_names, "le"),
                    (*labels, limit),
                    total,
                )
            yield measure.line(labels, self._sums[labels], "_sum")
            yield measure.line(labels, sum(counts), "_count")


@define(eq=False)
class Gauge:
    """A number of this moment, or none when it is not known now."""

    measure: Measure
    read: Callable[[], float | None]

    def lines(self) -> Iterator[str]:
        value = self.read()
        if value is not None:
            yield from self.measure.head()
            yield self.measure.line((), value)


def counter(name: str, sentence: str, *label_names: str) -> Counter:
    return Counter(Measure(name, sentence, "counter", label_names))


def histogram(name: str, sentence: str, *label_names: str) -> Histogram:
    return Histogram(Measure(name, sentence, "histogram", label_names))


class Measures:
    """Everything that one master measures."""

    def __init__(self) -> None:
        self.calls = counter(
            "slapcluster_calls_total",
            "Calls answered, by method and HTTP status.",
            "method",
            "status",
        )
        self.call_seconds = histogram(
            "slapcluster_call_seconds",
            "From the last byte of a call to the last byte of its answer; waiting"
            " polls are not in it.",
            "method",
        )
        self.polls = counter(
            "slapcluster_polls_total",
            "Polls of computers: full (200), unchanged (304), woken (after a wait).",
            "outcome",
        )
        self.store_attempts = counter(
            "slapcluster_store_attempts_total",
            "Attempts of the store: done, conflict (runs again), refused (an error of"
            " the call), busy (given up), failed (the disk), doubt (looked for), left"
            " (nobody waits), behind (proves itself).",
            "outcome",
        )
        self.commits = counter(
            "slapcluster_store_commits_total",
            "Decisions committed, those that change nothing among them.",
        )
        self.forwards = counter(
            "slapcluster_forwards_total",
            "Requests sent to other masters: answered, not_ready, refused, overtaken,"
            " away.",
            "outcome",
        )
        self._gauges: dict[str, Gauge] = {}

    def watch(self, name: str, sentence: str, read: Callable[[], float | None]) -> None:
        """Let a number be read whenever somebody asks; ``None`` leaves it out."""
        self._gauges[name] = Gauge(Measure(name, sentence, "gauge"), read)

    def render(self) -> str:
        """Return everything in the text format of Prometheus."""
        everything = (*self._counted(), *self._gauges.values())
        lines = (line for it in everything for line in it.lines())
        return "".join(f"{line}\n" for line in lines)

    def reference(self) -> tuple[Measure, ...]:
        """Return the names of everything, for people."""
        return tuple(it.measure for it in (*self._counted(), *self._gauges.values()))

    def _counted(self) -> tuple[Counter | Histogram, ...]:
        found = (getattr(self, it) for it in vars(self))
        return tuple(it for it in found if isinstance(it, Counter | Histogram))


def _known(
    labels: Labels, known: dict[Labels, float] | dict[Labels, list[int]]
) -> Labels:
    """Return the labels, or those of the rest when there are too many kinds."""
    if labels in known or len(known) < SERIES_MAX:
        return labels
    return (OTHER,) * len(labels)


def _line(name: str, label_names: Labels, labels: Labels, value: float) -> str:
    assert len(label_names) == len(labels), f"{name} has {label_names}, not {labels}"
    if labels:
        pairs = zip(label_names, map(_escaped, labels), strict=True)
        name += "{" + ",".join(f'{key}="{label}"' for key, label in pairs) + "}"
    return f"{name} {int(value) if value == int(value) else value!r}"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
