"""Core. What a mutant is."""

from __future__ import annotations

from attrs import frozen


@frozen
class Change:
    """In a file, a text that stands there once, and what stands there instead."""

    path: str
    before: str
    after: str


@frozen
class Mutant:
    """Production code without one safeguard.

    ``reason`` says what the safeguard is for. ``trials`` are those that should find it
    (``labsim.mutants.trials``), and ``seed`` one of the first of them that does. A
    mutant that no trial finds yet says why in ``excuse``.
    """

    name: str
    changes: tuple[Change, ...]
    reason: str
    trials: tuple[str, ...]
    seed: int = 0
    excuse: str = ""
