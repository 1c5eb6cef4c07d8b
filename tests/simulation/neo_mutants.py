"""The changes of the rule that ``tests.model.mutants`` knows, in simulated lives."""

from __future__ import annotations

from types import ModuleType

from tests.model.mutants import MUTANTS, RULE, Mutant, changed_texts, in_rule, run

UNHEARD = in_rule("    if above:\n", "    if False:\n")
INSTEAD = {
    "lower epochs are not refused": (UNHEARD,),
    "a promise binds not to a table": (UNHEARD,),
}
"""What the exhaustive model leaves out beside the rule, and here is part of the rule:
a primary does not go when it hears of a later epoch."""


def rule_mutants() -> tuple[Mutant, ...]:
    """Those that change the rule; the others change the exhaustive model."""
    return tuple(
        mutant
        for mutant in MUTANTS
        if any(change.path == RULE for change in mutant.changes)
    )


def mutated_rule(mutant: Mutant) -> ModuleType:
    """Return a copy of the rule with the mutant's changes of it."""
    changes = (*mutant.changes, *INSTEAD.get(mutant.name, ()))
    texts = changed_texts([it for it in changes if it.path == RULE], (RULE,))
    return run(RULE, texts[RULE])


FOUND = {
    "others are not waited for when a majority locked": 2,
    "a recovery needs no majority": 4,
    "no epoch": 1,
    "votes that were never locked are committed": 1,
    "an older table will do": 2,
    "nobody with all is there": 34,
    "who is absent stays readable": 20,
    "an empty disk counts in any epoch": 1,
}
"""In which life each is found first. The others are rarer, or nothing that one
neo_partition, of which all storage nodes have all, can show."""
