"""Simulated lives of a neo_cluster: the rule as it is, and with clauses taken out."""

from __future__ import annotations

import pytest

from tests.model.mutants import named_mutant
from tests.simulation.neo_lives import play
from tests.simulation.neo_mutants import FOUND, mutated_rule

SEEDS = range(1, 9)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost(seed: int) -> None:
    verdict = play(seed)

    assert verdict, f"seed {seed}: {verdict.sentence}"
    assert verdict.epoch_count > 2


def test_two_plays_of_a_seed_are_the_same() -> None:
    assert play(1).digest == play(1).digest


@pytest.mark.parametrize(("name", "seed"), FOUND.items())
def test_a_clause_that_goes_is_missed(name: str, seed: int) -> None:
    assert not play(seed, mutated_rule(named_mutant(name)))
