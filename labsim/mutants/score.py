"""Core. What became of a mutant."""

from __future__ import annotations

from attrs import frozen


@frozen
class Attempt:
    """One seed of one trial; ``checker`` is ``None`` when nothing was found."""

    commit: str
    mutant: str
    trial: str
    seed: int
    checker: str | None
    sentence: str | None
    cpu_seconds: float


@frozen
class Score:
    """What became of a mutant: the attempts up to the one that found it, if any did."""

    mutant: str
    attempts: tuple[Attempt, ...]
    is_found: bool

    @property
    def finding(self) -> Attempt | None:
        return self.attempts[-1] if self.is_found else None

    @property
    def cpu_seconds(self) -> float:
        return round(sum(it.cpu_seconds for it in self.attempts), 1)
