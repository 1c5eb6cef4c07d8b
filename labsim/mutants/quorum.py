# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. Clauses of the rule of regions, which lives of a neo_cluster miss.

Those that chance does not hit are found by stories: ``labsim.lives.story_table`` has
what the exhaustive search found without each (``tests.model``), which finds changes of
its own steps too.
"""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

RULE = "replication/quorum.py"
LIVES = ("neo",)
STORIES = ("stories",)
"""Lives by chance miss these, or hit one in thousands."""


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
        seed=9,
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
        seed=51,
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
        seed=17,
    ),
    Mutant(
        "an empty disk counts in any epoch",
        (_in_rule("(claim.table or claim.promise)", "True"),),
        "Who lost its disk cannot answer for what it had acknowledged.",
        LIVES,
        seed=1,
    ),
    Mutant(
        "acknowledged when nobody is waited for",
        (
            _in_rule(
                "Ending.ACKNOWLEDGE if check_majority(rows, lockers) else Ending.IN_DOUBT",
                "Ending.ACKNOWLEDGE",
            ),
        ),
        "A majority may have nothing of what a minority locked.",
        STORIES,
        seed=0,
    ),
    Mutant(
        "any node of a region votes for it",
        (
            _in_rule(
                "    return set(row.regions) - {\n        region_of(it) for it in row.holders if it not in storages\n    }\n",
                "    return {region_of(it) for it in row.holders if it in storages}\n",
            ),
        ),
        "Two majorities would meet in a region and in no storage node.",
        STORIES,
        seed=3,
    ),
    Mutant(
        "the epoch is above epochs alone",
        (
            _in_rule(
                "for number in (claim.promise, claim.epoch)]",
                "for number in (claim.epoch,)]",
            ),
            _in_rule(
                "    if offered <= highest:\n",
                "    if offered < highest:\n",
            ),
        ),
        "Two candidates would make different tables of one epoch.",
        STORIES,
        seed=5,
    ),
    Mutant(
        "lower epochs are not refused",
        (
            _in_rule(
                "    if offered.epoch < held:\n",
                "    if False:\n",
            ),
            _in_rule(
                "    if own is not None and offered < own:\n",
                "    if False:\n",
            ),
            _in_rule(
                "    if above:\n",
                "    if False:\n",
            ),
        ),
        "A stale primary would take storage nodes away from the present one.",
        STORIES,
        seed=6,
    ),
    Mutant(
        "locks below the top epoch count",
        (
            _in_rule(
                "        and claim.epoch == source.table.table_id.epoch\n",
                "",
            ),
        ),
        "What an epoch ran without would return from the dead.",
        STORIES,
        seed=7,
    ),
    Mutant(
        "locks of nodes that are out of date are ignored",
        (
            _in_rule(
                "        if claim.storage in source.participants\n        and",
                "        if claim.storage in source.table.readable & source.participants\n        and",
            ),
        ),
        "The lock that counted for the majority may be theirs.",
        STORIES,
        seed=8,
    ),
    Mutant(
        "what is committed on one node alone is not asked for",
        (
            _in_rule(
                "    return voted - set(find_locked(source, decisive))\n",
                "    return set()\n",
            ),
        ),
        "With cells of another neo_partition alone, a storage node has no lock on its disk.",
        STORIES,
        seed=0,
        excuse="In production each storage node has a cell of each neo_partition, and so each has its lock on its disk: what one committed, all participants locked or committed. The exploration finds it where a storage node has one of two neo_partitions (scope `apart`).",
    ),
    Mutant(
        "holders change where a recovery was not finished",
        (
            _in_rule(
                "        if claim.epoch != old.table_id.epoch or claim.promise > claim.epoch:\n",
                "        if False:\n",
            ),
        ),
        "Two changes of one table may have majorities that do not meet.",
        STORIES,
        seed=13,
    ),
    Mutant(
        "a region may change all its nodes at once",
        (
            _in_rule(
                "            if not _of(region, before.holders) & _of(region, after.holders):\n",
                "            if False:\n",
            ),
        ),
        "The majorities before and after would not meet.",
        STORIES,
        seed=14,
    ),
    Mutant(
        "two regions may come and go at a time",
        (
            _in_rule(
                "        if len(before.regions ^ after.regions) > 1:\n",
                "        if False:\n",
            ),
        ),
        "The majorities before and after would not meet.",
        STORIES,
        seed=15,
    ),
    Mutant(
        "nobody with all is left",
        (
            _in_rule(
                "        if not after.readable & known:\n",
                "        if False:\n",
            ),
        ),
        "What was acknowledged would be in no table any more.",
        STORIES,
        seed=16,
    ),
    Mutant(
        "an empty disk takes part in a change",
        (
            _in_rule(
                "participants=(source.participants | coming) & new.holders",
                "participants=frozenset(it.storage for it in claims) & new.holders",
            ),
        ),
        "With its promise it would count as one that never had a table, and be readable.",
        STORIES,
        seed=18,
    ),
)


def changes_of(name: str) -> tuple[Change, ...]:
    (found,) = (it for it in MUTANTS if it.name == name)
    return found.changes
