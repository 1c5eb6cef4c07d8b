"""The hooks of the quorum keep what they owe, and without it are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from labsim.mutants.changing import TargetGone, texts_of
from labsim.mutants.mutant import Change
from tests.neo_port.hook_mutants import MUTANTS, SERVING, HookMutant
from tests.source_tree import TOP
from tests.unit.replication.hook_cases import CASES, Hooks

IN_CASES = [mutant for mutant in MUTANTS if mutant.case]
FOUND_MIN = 20


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda it: it.name)
def test_a_mutant_is_another_program(mutant: HookMutant) -> None:
    """Its target stands in the source, and what comes out can be compiled."""
    for path, text in texts_of(mutant.changes).items():
        compile(text, path, "exec")
        assert text != (TOP / path).read_text()


def test_a_mutant_without_its_target_is_an_error() -> None:
    with pytest.raises(TargetGone):
        texts_of((Change(SERVING, "    nobody wrote this\n", ""),))


@pytest.mark.parametrize("name", CASES)
def test_a_hook_keeps_what_it_owes(name: str, tmp_path: Path) -> None:
    CASES[name](Hooks(()), tmp_path)


@pytest.mark.parametrize("mutant", IN_CASES, ids=lambda it: it.name)
def test_a_hook_without_a_safeguard_is_found(
    mutant: HookMutant, tmp_path: Path
) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        CASES[mutant.case](Hooks(mutant.changes), tmp_path)


def test_each_mutant_is_found_or_says_why_not() -> None:
    found = [it for it in MUTANTS if it.scenario or it.case]
    assert len(found) >= FOUND_MIN
    assert all(bool(it.why) != bool(it.scenario or it.case) for it in MUTANTS)
    assert len({it.name for it in MUTANTS}) == len(MUTANTS)
