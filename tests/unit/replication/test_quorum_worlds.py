"""Every world of the small scopes under the rule, and under it with a clause less."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from labsim.mutants.changing import TargetGone
from labsim.mutants.mutant import Change
from tests.model.mutants import LOADED, MUTANTS, Mutant, load, named_mutant
from tests.model.scopes import SCOPES, Small
from tests.model.search import explore, read_steps, tell
from tests.model.stories import STORIES, Story
from tests.model.stories import tell as tell_story
from tests.model.walks import play_walk
from tests.source_tree import TOP

FOUND = [mutant for mutant in MUTANTS if mutant.scope]
FOUND_MIN = 20
WALKS = 5
CREATIONS = 60
"""One in twenty is interrupted where it hurts."""
TRANSCRIPTS = TOP / "tests" / "transcript" / "quorum"


@pytest.mark.parametrize(
    "small",
    [it for it in SCOPES.values() if not it.is_deep],
    ids=lambda small: small.name,
)
def test_all_worlds_of_a_scope_hold(small: Small) -> None:
    neo = load()
    scope = small.build()

    search = explore(neo, scope, prefix=read_steps(small.prefix))

    assert search.is_whole
    assert not search.fault, "\n".join(tell(neo, scope, search.trail))


@pytest.mark.parametrize("mutant", FOUND, ids=lambda mutant: mutant.name)
def test_a_clause_that_is_gone_is_missed(mutant: Mutant) -> None:
    neo = load(mutant.changes)
    small = SCOPES[mutant.scope]
    scope = small.build()

    search = explore(neo, scope, prefix=read_steps(small.prefix))

    assert search.fault
    # The search calls alike storage nodes by each other's names.
    assert tell(neo, scope, search.trail)[-1].startswith("    BROKEN: ")


def walk_often(neo: ModuleType, small: Small, times: int = WALKS) -> None:
    for seed in range(times):
        play_walk(neo, small, seed)


@pytest.mark.parametrize(
    "name",
    ["an interrupted creation is not repeated", "who has no table yet does not count"],
)
def test_a_walk_finds_what_never_starts(name: str) -> None:
    neo = load(named_mutant(name).changes)

    with pytest.raises(AssertionError, match="seed"):
        walk_often(neo, SCOPES["creation"], CREATIONS)


def test_after_a_walk_all_copies_are_whole() -> None:
    for small in SCOPES.values():
        if not small.is_deep:
            walk_often(load(), small)


def test_each_mutant_is_found_or_says_why_its_clause_stays() -> None:
    assert [it.name for it in MUTANTS if bool(it.scope) == bool(it.why)] == []
    assert len(FOUND) >= FOUND_MIN


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_changes_is_still_there(mutant: Mutant) -> None:
    load(mutant.changes)


@pytest.mark.parametrize("path", LOADED)
def test_a_mutant_whose_target_is_gone_is_an_error(path: str) -> None:
    with pytest.raises(TargetGone, match="has not once"):
        load((Change(path, "what nobody wrote", ""),))


def test_whatever_imports_what_is_loaded_anew_is_loaded_after_it() -> None:
    names = [path.removesuffix(".py").replace("/", ".") for path in LOADED]
    for path in sorted((TOP / "tests" / "model").glob("*.py")):
        found = re.findall(r"^from (\S+) import", path.read_text(), re.MULTILINE)
        imported = [names.index(name) for name in found if name in names]
        if imported:
            assert names.index(f"tests.model.{path.stem}") > max(imported)


def test_a_mutant_of_what_is_not_loaded_anew_is_an_error() -> None:
    with pytest.raises(TargetGone, match="is not loaded"):
        load((Change("tests/model/world.py", "class Disk", "class Disc"),))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_a_story_ends_well_with_the_rule_and_breaks_without_a_clause(
    story: Story, pytestconfig: pytest.Config
) -> None:
    path: Path = TRANSCRIPTS / f"{story.number}.txt"
    told = tell_story(story)
    if pytestconfig.getoption("rewrite"):
        path.write_text(told)

    with_rule, without = told.split("\nwithout the clause\n")
    assert told == path.read_text()
    assert "\nEND " in with_rule
    assert "\nBROKEN " in without
