"""The links between hosts: how long a packet travels, and whether it arrives."""

from __future__ import annotations

from enum import Enum
from random import Random

from labsim.world.entropy import stream

LOCAL_SECONDS = 0.00005
"""Between two programs of one host."""

LATENCY_SECONDS = (0.0005, 0.040)
"""From a rack to another continent's shore; each pair of hosts has its own."""

JITTER = 0.2
"""The most that a packet takes longer than the latency of its link, as a fraction."""


class Cut(Enum):
    """How a link is severed."""

    SILENT = "silent"
    """Packets vanish: a dead cable, a firewall that drops."""

    REFUSED = "refused"
    """Connections are reset and refused: a firewall that answers."""


class Links:
    """Every ordered pair of hosts."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._latency_seconds: dict[tuple[str, str], float] = {}
        self._jitter: dict[tuple[str, str], Random] = {}
        self._cuts: dict[tuple[str, str], Cut] = {}

    def cut(self, source: str, target: str) -> Cut | None:
        return self._cuts.get((source, target))

    def set_cut(self, source: str, target: str, cut: Cut | None) -> None:
        if cut is None:
            self._cuts.pop((source, target), None)
        else:
            self._cuts[source, target] = cut

    def set_latency(self, one: str, other: str, seconds: float) -> None:
        self._latency_seconds[_pair(one, other)] = seconds

    def travel_seconds(self, source: str, target: str) -> float:
        """Draw how long the next packet takes."""
        if source == target:
            return LOCAL_SECONDS
        pair = _pair(source, target)
        if pair not in self._latency_seconds:
            drawn = stream(self._seed, "latency", *pair)
            self._latency_seconds[pair] = drawn.uniform(*LATENCY_SECONDS)
        if (source, target) not in self._jitter:
            self._jitter[source, target] = stream(self._seed, "jitter", source, target)
        jitter = self._jitter[source, target].uniform(0, JITTER)
        return self._latency_seconds[pair] * (1 + jitter)


def _pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one <= other else (other, one)
