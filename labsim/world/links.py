"""The links between hosts: how long a packet travels, and whether it arrives.

Each ordered pair of hosts is a way. What shapes ways are rules, each said by somebody
for hosts or whole regions, those that come later included; several that shape one way
are all in force, and each is taken back alone.

Every way draws from streams of its own, one for each purpose: what happens on one way,
or is asked of it besides, moves no draw of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from random import Random

from attrs import field, fields, frozen
from attrs.validators import ge, gt, instance_of, lt, optional

from labsim.world.entropy import stream

LOCAL_SECONDS = 0.00005
"""Between two programs of one host."""

LATENCY_SECONDS = (0.0005, 0.040)
"""From a rack to another continent's shore; each pair of hosts has its own."""

LATENCY_WITHIN_SECONDS = (0.0001, 0.001)
"""Between hosts of one region: a few switches."""

LATENCY_BETWEEN_SECONDS = (0.005, 0.150)
"""Between two regions: from the next town to the other side of the world."""

JITTER = 0.2
"""The most that a packet takes longer than the latency of its link, as a fraction."""

QUEUE_BYTES = 256 * 1024
"""What a router keeps for a link of some megabytes a second: a tenth of a second."""


class Cut(Enum):
    """How a link is severed."""

    SILENT = "silent"
    """Packets vanish: a dead cable, a firewall that drops."""

    REFUSED = "refused"
    """Packets are answered by a reset: a firewall that rejects."""


_fraction = field(default=0.0, validator=[ge(0), lt(1)])


@frozen
class Shape:
    """What a rule does to packets. The default does nothing.

    ``loss``, ``duplication`` and ``reordering`` are of packets. One that is reordered
    comes up to ``reordering_seconds`` late, those behind it overtake it. Bytes over
    ``bytes_per_second`` wait in a queue, and vanish when it is full. What meets a hold
    arrives when the hold ends; what meets a cut never does.
    """

    latency_seconds: float | None = field(default=None, validator=optional(ge(0)))
    latency_factor: float = field(default=1.0, validator=gt(0))
    jitter: float | None = field(default=None, validator=optional(ge(0)))
    loss: float = _fraction
    duplication: float = _fraction
    reordering: float = _fraction
    reordering_seconds: float = field(default=0.05, validator=ge(0))
    bytes_per_second: float | None = field(default=None, validator=optional(gt(0)))
    queue_bytes: int = field(default=QUEUE_BYTES, validator=gt(0))
    cut: Cut | None = field(default=None, validator=optional(instance_of(Cut)))
    is_held: bool = False

    @property
    def has_chances(self) -> bool:
        """Whether anything of a packet's fate is drawn."""
        return bool(self.loss or self.duplication or self.reordering)

    def __str__(self) -> str:
        """What differs from a link as it was drawn."""
        said = [
            f"{name.name}={_plain(getattr(self, name.name))}"
            for name in fields(Shape)
            if getattr(self, name.name) != name.default
        ]
        return " ".join(said) or "as drawn"


def _plain(value: object) -> object:
    return value.value if isinstance(value, Cut) else value


def _set(names: Iterable[str]) -> frozenset[str]:
    return frozenset(names)


def _optional_set(names: Iterable[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


PLAIN = Shape()
"""What the seed drew, and nothing else."""


@frozen
class Rule:
    """A shape for the ways from ``ends`` to ``others``, and back unless one-way.

    Both are names of hosts or regions. Without ``others`` it is everything else.
    """

    by: str
    ends: frozenset[str] = field(converter=_set)
    others: frozenset[str] | None = field(converter=_optional_set)
    is_one_way: bool
    shape: Shape

    def is_between(self, ends: Iterable[str], others: Iterable[str] | None) -> bool:
        """Whether it was said of these names, in this order or the other."""
        said = (self.ends, self.others)
        pair = (frozenset(ends), None if others is None else frozenset(others))
        return pair in (said, said[::-1])

    def covers(self, source: Iterable[str], target: Iterable[str]) -> bool:
        """Whether it shapes a way between hosts of these names."""
        return self._leads(source, target) or (
            not self.is_one_way and self._leads(target, source)
        )

    def _leads(self, source: Iterable[str], target: Iterable[str]) -> bool:
        if self.ends.isdisjoint(source):
            return False
        if self.others is None:
            return self.ends.isdisjoint(target)
        return not self.others.isdisjoint(target)


class Way:
    """One way between two hosts, as all rules together make it."""

    def __init__(self, links: Links, source: str, target: str) -> None:
        self.source = source
        self.target = target
        self.is_local = source == target
        self.version = 0
        self.cut: Cut | None = None
        self.is_held = False
        self.is_open = True
        """What arrives is taken: nothing cuts or holds it, and somebody is there."""

        self.is_vanishing = False
        """What arrives vanishes without an answer: a cut, or nobody is there."""

        self.is_plain = True
        """Packets are late by latency and jitter, and that is all."""

        self.shape = PLAIN
        self.latency_seconds = LOCAL_SECONDS
        self.jitter_seconds = 0.0
        self.draw_jitter = links.draw("jitter", source, target).random
        self._links = links
        self._streams: dict[str, Random] = {}
        self._is_busy_until = 0.0

    def travel_seconds(self) -> float:
        """Draw how long the next packet takes, the queue apart."""
        seconds = self.latency_seconds + self.jitter_seconds * self.draw_jitter()
        shape = self.shape
        if shape.reordering and self._happens("reordering", shape.reordering):
            seconds += self._draw("lateness") * shape.reordering_seconds
        return seconds

    def queue_seconds(self, now: float, byte_count: int) -> float | None:
        """How long until so many bytes have left the queue; ``None`` if it is full."""
        rate = self.shape.bytes_per_second
        if rate is None:
            return 0.0
        begin = max(now, self._is_busy_until)
        waiting = (begin - now) * rate
        if waiting and waiting + byte_count > self.shape.queue_bytes:
            return None
        self._is_busy_until = begin + byte_count / rate
        return self._is_busy_until - now

    def losses(self, packet_count: int) -> int:
        """Draw how often the unluckiest of some packets is lost before it arrives."""
        loss = self.shape.loss
        if not loss:
            return 0
        drawn = self._draw("loss")
        count, still_lost = 0, loss
        while drawn >= (1 - still_lost) ** packet_count and still_lost > 1e-12:  # noqa: PLR2004 - never
            still_lost *= loss
            count += 1
        return count

    def copies(self) -> int:
        """Draw how often the next packet arrives."""
        if self.shape.loss and self._happens("loss", self.shape.loss):
            return 0
        return 1 + self.is_duplicated()

    def is_duplicated(self) -> bool:
        """Draw whether the next packet comes twice."""
        shape = self.shape
        return shape.duplication > 0 and self._happens("duplication", shape.duplication)

    def _happens(self, purpose: str, probability: float) -> bool:
        return self._draw(purpose) < probability

    def _draw(self, purpose: str) -> float:
        drawn = self._streams.get(purpose)
        if drawn is None:
            drawn = self._links.draw(purpose, self.source, self.target)
            self._streams[purpose] = drawn
        return drawn.random()


class Links:
    """Every ordered pair of hosts. ``is_changed`` is called when rules come or go."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._ways: dict[tuple[str, str], Way] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._drawn_seconds: dict[tuple[str, str], float] = {}
        self._rules: list[Rule] = []
        self._frozen: dict[str, None] = {}
        self._down: dict[str, None] = {}
        self.version = 1
        self.is_changed: Callable[[], None] = lambda: None

    def add_host(self, name: str, region: str) -> None:
        """Tell where a host stands; rules may name its region before."""
        self._names[name] = (name, region)
        self.version += 1

    def way(self, source: str, target: str) -> Way:
        """The way as it is now."""
        way = self._ways.get((source, target))
        if way is None:
            way = self._ways[source, target] = Way(self, source, target)
        if way.version != self.version:
            self.refresh(way)
        return way

    def refresh(self, way: Way) -> None:
        """Make a way what the rules now say."""
        way.version = self.version
        shape = PLAIN if way.is_local else self._shape(way.source, way.target)
        way.shape = shape
        way.cut = shape.cut
        way.is_held = shape.is_held or way.target in self._frozen
        way.is_vanishing = way.cut is Cut.SILENT or way.target in self._down
        way.is_open = not (way.is_vanishing or way.is_held or way.cut)
        if way.is_local:
            return
        way.latency_seconds = shape.latency_factor * (
            self._drawn_latency(way.source, way.target)
            if shape.latency_seconds is None
            else shape.latency_seconds
        )
        jitter = JITTER if shape.jitter is None else shape.jitter
        way.jitter_seconds = jitter * way.latency_seconds
        way.is_plain = not (
            shape.loss
            or shape.duplication
            or shape.reordering
            or shape.bytes_per_second
            or shape.cut
        )

    def add_rule(self, rule: Rule) -> None:
        self._rules.append(rule)
        self._change()

    def remove_rules(self, is_meant: Callable[[Rule], bool]) -> None:
        self._rules = [rule for rule in self._rules if not is_meant(rule)]
        self._change()

    def freeze(self, host: str) -> None:
        """Hold what comes to a host, from itself too."""
        self._frozen[host] = None
        self._change()

    def thaw(self, host: str) -> None:
        self._frozen.pop(host, None)
        self._change()

    def take_away(self, host: str) -> None:
        """Nobody is there any more."""
        self._down[host] = None
        self._change()

    def give_back(self, host: str) -> None:
        self._down.pop(host, None)
        self._change()

    def is_frozen(self, host: str) -> bool:
        return host in self._frozen

    def set_latency(self, one: str, other: str, seconds: float) -> None:
        """Say the latency between two hosts, in place of the drawn one."""
        self._drawn_seconds[_pair(one, other)] = seconds
        self._change()

    def draw(self, purpose: str, source: str, target: str) -> Random:
        """The stream of a purpose on one way."""
        return stream(self._seed, purpose, source, target)

    def _drawn_latency(self, source: str, target: str) -> float:
        pair = _pair(source, target)
        if pair not in self._drawn_seconds:
            self._drawn_seconds[pair] = self._draw_latency(pair)
        return self._drawn_seconds[pair]

    def _draw_latency(self, pair: tuple[str, str]) -> float:
        drawn = stream(self._seed, "latency", *pair)
        one, other = (self._names.get(name, (name, ""))[-1] for name in pair)
        if not one or not other:
            return drawn.uniform(*LATENCY_SECONDS)
        within_seconds = drawn.uniform(*LATENCY_WITHIN_SECONDS)
        if one == other:
            return within_seconds
        between = stream(self._seed, "latency of regions", *_pair(one, other))
        return within_seconds + between.uniform(*LATENCY_BETWEEN_SECONDS)

    def _shape(self, source: str, target: str) -> Shape:
        sources = self._names.get(source, (source,))
        targets = self._names.get(target, (target,))
        shapes = [rule.shape for rule in self._rules if rule.covers(sources, targets)]
        return _together(shapes) if shapes else PLAIN

    def _change(self) -> None:
        self.version += 1
        self.is_changed()


def _together(shapes: list[Shape]) -> Shape:
    """What several shapes do to a packet that all of them meet."""
    if len(shapes) == 1 and not shapes[0].has_chances:
        return shapes[0]  # most ways meet one cut, and all look after each fault
    latencies = [s.latency_seconds for s in shapes if s.latency_seconds is not None]
    jitters = [s.jitter for s in shapes if s.jitter is not None]
    limits = [s for s in shapes if s.bytes_per_second is not None]
    narrowest = min(limits, key=lambda s: s.bytes_per_second or 0, default=PLAIN)
    cuts = [s.cut for s in shapes if s.cut is not None]
    factor = 1.0
    for shape in shapes:
        factor *= shape.latency_factor
    return Shape(
        latency_seconds=latencies[-1] if latencies else None,
        latency_factor=factor,
        jitter=jitters[-1] if jitters else None,
        loss=_any(s.loss for s in shapes),
        duplication=_any(s.duplication for s in shapes),
        reordering=_any(s.reordering for s in shapes),
        reordering_seconds=max(s.reordering_seconds for s in shapes if s.reordering)
        if any(s.reordering for s in shapes)
        else PLAIN.reordering_seconds,
        bytes_per_second=narrowest.bytes_per_second,
        queue_bytes=narrowest.queue_bytes,
        # What vanishes is not answered.
        cut=Cut.SILENT if Cut.SILENT in cuts else cuts[0] if cuts else None,
        is_held=any(s.is_held for s in shapes),
    )


def _any(probabilities: Iterable[float]) -> float:
    """The probability that one of several happens."""
    none = 1.0
    for probability in probabilities:
        none *= 1 - probability
    return 1 - none


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one <= other else (other, one)
