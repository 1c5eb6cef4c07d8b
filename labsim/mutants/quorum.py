# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. Clauses of the rule of regions, which lives of a neo_cluster miss.

``tests.model.mutants`` has these and more, of which an exhaustive search finds each.
"""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

RULE = "replication/quorum.py"
LIVES = ("neo",)


def _in_rule(before: str, after: str) -> Change:
    return Change(RULE, before, after)


MUTANTS = (
    Mutant(
        "others are not waited for when a majority locked",
        (
            _in_rule(
                "    if waiting:\n        return Ending.WAIT\n",
                "    if waiting and not check_majority(rows, lockers):\n        return Ending.WAIT\n",
            ),
        ),
        "Who is not waited for may be the only one of the next majority, and has no lock.",
        LIVES,
        seed=2,
    ),
    Mutant(
        "a recovery needs no majority",
        (
            _in_rule(
                "    if not verdict:\n        return Wait(verdict.reason + _suspicion(table, claims))\n",
                "",
            ),
        ),
        "A minority does not know what the majority acknowledged.",
        LIVES,
        seed=4,
    ),
    Mutant(
        "no epoch",
        (
            _in_rule(
                "TableId(source.epoch, 0)",
                "TableId(source.table.table_id.epoch, source.table.table_id.counter + 1)",
            ),
            _in_rule("max(seen) + 1)", "max(table.table_id.epoch, 1))"),
            _in_rule("    if offered <= highest:\n", "    if offered < highest:\n"),
        ),
        "Two primaries that follow each other could not be told apart.",
        LIVES,
        seed=1,
    ),
    Mutant(
        "votes that were never locked are committed",
        (_in_rule("        if tid is not None\n", ""),),
        "A vote alone was never acknowledged, and others may have none of it.",
        LIVES,
        seed=1,
    ),
    Mutant(
        "an older table will do",
        (_in_rule("top = max(table.table_id", "top = min(table.table_id"),),
        "An older table calls whole what missed commits since.",
        LIVES,
        seed=2,
    ),
    Mutant(
        "nobody with all is there",
        (
            _in_rule(
                "    if not all(row.readable & present for row in table.rows):\n",
                "    if False:\n",
            ),
        ),
        "A majority of storage nodes that are behind does not have what was acknowledged.",
        LIVES,
        seed=34,
    ),
    Mutant(
        "who is absent stays readable",
        (
            _in_rule(
                "readable=row.readable & source.participants", "readable=row.readable"
            ),
        ),
        "Who was absent misses what is committed from then on.",
        LIVES,
        seed=20,
    ),
    Mutant(
        "an empty disk counts in any epoch",
        (_in_rule("(claim.table or claim.promise)", "True"),),
        "Who lost its disk cannot answer for what it had acknowledged.",
        LIVES,
        seed=1,
    ),
)


def changes_of(name: str) -> tuple[Change, ...]:
    (found,) = (it for it in MUTANTS if it.name == name)
    return found.changes
