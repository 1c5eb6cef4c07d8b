"""Core. All mutants."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from labsim.mutants import (
    agent,
    bootstrap,
    durability,
    forwarding,
    freshness,
    links,
    master,
    quorum,
    replicas,
    upgrade,
    usage,
)
from labsim.mutants.mutant import Mutant

GROUPS: Mapping[str, tuple[Mutant, ...]] = MappingProxyType(
    {
        "What has to be on a disk": durability.MUTANTS,
        "Masters": master.MUTANTS,
        "Other masters": forwarding.MUTANTS,
        "Freshness": freshness.MUTANTS,
        "Replicas": replicas.MUTANTS,
        "Links": links.MUTANTS,
        "A cloud that comes to host itself": bootstrap.MUTANTS,
        "A master that takes up another release": upgrade.MUTANTS,
        "Agents": agent.MUTANTS,
        "Usage": usage.MUTANTS,
        "The rule of regions": quorum.MUTANTS,
    }
)
MUTANTS: tuple[Mutant, ...] = tuple(it for group in GROUPS.values() for it in group)


def named_mutant(name: str) -> Mutant:
    (found,) = (it for it in MUTANTS if it.name == name)
    return found
