"""Shell. What can find a mutant: a scenario of the laboratory, or a life of a part.

Each trial is played from a seed, and tells who found what, or nothing. Its modules are
imported only when it is played, since a mutant changes what they import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType

from attrs import frozen

LIVES: Mapping[str, str] = MappingProxyType(
    {
        "agent": "labsim.lives.agent",
        "bootstrap": "labsim.lives.bootstrap",
        "commits": "labsim.lives.commits",
        "files": "labsim.lives.files",
        "forwarding": "labsim.lives.forwarding",
        "freshness": "labsim.lives.freshness",
        "links": "labsim.lives.links",
        "neo": "labsim.lives.neo",
        "replicas": "labsim.lives.replicas",
        "rivals": "labsim.lives.rivals",
        "stories": "labsim.lives.stories",
        "trees": "labsim.lives.trees",
        "upgrade": "labsim.lives.upgrade",
        "usage": "labsim.lives.usage",
    }
)
"""Modules with a function ``find_problem(seed)``, by the name of the trial. Every other
name is that of a scenario."""


@frozen
class Finding:
    """Who said no, and why."""

    checker: str
    sentence: str


def play_trial(trial: str, seed: int) -> Finding | None:
    """Play a trial; ``None`` when it holds."""
    if trial not in LIVES:
        return _play_scenario(trial, seed)
    find_problem: Callable[[int], str] = import_module(LIVES[trial]).find_problem
    sentence = find_problem(seed)
    return Finding(f"life of {trial}", sentence) if sentence else None


def command_of(trial: str, seed: int) -> str:
    """What plays the trial without a mutant."""
    if trial in LIVES:
        return f"python -m labsim.mutants.playing '' {trial} {seed}"
    return f"labsim run {trial} --seed {seed}"


def _play_scenario(name: str, seed: int) -> Finding | None:
    cli, running = import_module("labsim.cli"), import_module("labsim.run")
    played = running.play(running.draw_plan(cli.load_scenario(name), seed))
    if not played.violations:
        return None
    first = played.violations[0]
    return Finding(first.checker, first.sentence)
