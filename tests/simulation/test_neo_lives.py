"""Simulated lives of a neo_cluster: the rule as it is, and with clauses taken out."""

from __future__ import annotations

import pytest

from labsim.lives.neo import play
from labsim.lives.neo_faults import TUNNELLED_FAULTS
from labsim.lives.neo_life import Life
from labsim.mutants.changing import run, texts_of
from labsim.mutants.mutant import Mutant
from labsim.mutants.quorum import LIVES, MUTANTS, RULE
from replication import quorum

SEEDS = range(1, 9)
TUNNELLED_SEEDS = range(1, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_acknowledged_is_lost(seed: int) -> None:
    verdict = play(seed)

    assert verdict, f"seed {seed}: {verdict.sentence}"
    assert verdict.epoch_count > 2


@pytest.mark.parametrize("seed", TUNNELLED_SEEDS)
def test_nothing_acknowledged_is_lost_through_stunnels(seed: int) -> None:
    verdict = play(seed, is_tunnelled=True)

    assert verdict, f"seed {seed}, tunnelled: {verdict.sentence}"
    assert verdict.epoch_count > 2
    assert verdict.commit_count > 20


def test_regions_of_a_tunnelled_life_meet_in_stunnels_alone() -> None:
    life = Life(TUNNELLED_SEEDS[0], quorum, TUNNELLED_FAULTS, is_tunnelled=True)
    met: set[tuple[str, ...]] = set()

    def follow(line: str) -> None:
        _, _, kind, *words = line.split()
        if kind == "packet":
            met.add(tuple(words[1].split(">")))

    life.world.follow(follow)
    life.run()

    region_of = {it.name: it.region for it in life.world.hosts}
    between = {it for it in met if len({region_of[name] for name in it}) > 1}
    assert between
    assert all(name.startswith("stunnel-") for pair in between for name in pair)


def test_two_plays_of_a_seed_are_the_same() -> None:
    assert play(1).digest == play(1).digest


@pytest.mark.parametrize(
    "mutant", [it for it in MUTANTS if it.trials == LIVES], ids=lambda it: it.name
)
def test_a_clause_that_goes_is_missed(mutant: Mutant) -> None:
    rule = run(RULE, texts_of(mutant.changes)[RULE])

    assert not play(mutant.seed, rule)
