"""Stories of a neo_cluster: they end well with the rule, and not without a clause."""

from __future__ import annotations

import pytest

from labsim.lives.stories import play
from labsim.lives.story_table import STORIES, Story, draw_story
from labsim.mutants.changing import run, texts_of
from labsim.mutants.quorum import MUTANTS, RULE, changes_of
from labsim.mutants.quorum import STORIES as FOUND_BY_STORIES
from labsim.world.entropy import stream
from tests.simulation.model_mutants import MODEL_MUTANTS, ModelMutant

DRAWN_SEEDS = range(100, 102)


@pytest.mark.parametrize("story", STORIES, ids=lambda it: it.mutant)
def test_a_story_ends_well_with_the_rule_alone(story: Story) -> None:
    rule = run(RULE, texts_of(changes_of(story.mutant))[RULE])

    with_rule, without = play(story), play(story, rule)

    assert with_rule.sentence == ""
    assert without.sentence
    assert without.left_out == (), "without the clause it is played whole"


@pytest.mark.parametrize("mutant", MODEL_MUTANTS, ids=lambda it: it.story.mutant)
def test_a_story_ends_well_with_all_steps_of_the_model(mutant: ModelMutant) -> None:
    assert play(mutant.story).sentence == ""
    assert mutant.load().play(mutant.story).sentence


@pytest.mark.parametrize("seed", DRAWN_SEEDS)
def test_a_drawn_story_ends_well(seed: int) -> None:
    played = play(draw_story(stream(seed, "story")))

    assert played.sentence == ""


def test_each_mutant_has_the_number_of_its_story() -> None:
    found = [it for it in MUTANTS if it.trials == FOUND_BY_STORIES and not it.excuse]

    assert [STORIES[it.seed].mutant for it in found] == [it.name for it in found]
