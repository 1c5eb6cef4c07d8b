# ruff: noqa: E501 - a text of a source stands as it stands there
"""The rule and the model of NEO with one clause taken out, and where that shows.

A mutant is a change of source text, applied when a copy of the module is loaded. One
whose text is no longer there is an error: the rule went on without it.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType

from attrs import frozen

from labsim.mutants.changing import load_anew
from labsim.mutants.mutant import Change
from labsim.mutants.quorum import RULE, changes_of

ASKED = "tests/model/rule.py"
STORAGE_STEPS = "tests/model/storage_steps.py"
JUDGE = "tests/model/judge.py"
PRIMARY_STEPS = "tests/model/primary_steps.py"
CHOICES = "tests/model/choices.py"
MODEL = "tests/model/neo.py"
LOADED = (RULE, ASKED, STORAGE_STEPS, JUDGE, PRIMARY_STEPS, CHOICES, MODEL)
"""What is loaded anew, each after those that it imports. The other modules of the model
have values only."""


@frozen
class Mutant:
    """``scope`` is the small world in which it breaks.

    One that breaks in none says why the clause stays.
    """

    name: str
    changes: tuple[Change, ...]
    scope: str = ""
    why: str = ""


def in_rule(before: str, after: str) -> Change:
    return Change(RULE, before, after)


def in_storage(before: str, after: str) -> Change:
    return Change(STORAGE_STEPS, before, after)


def in_primary(before: str, after: str) -> Change:
    return Change(PRIMARY_STEPS, before, after)


def in_choices(before: str, after: str) -> Change:
    return Change(CHOICES, before, after)


def in_model(before: str, after: str) -> Change:
    return Change(MODEL, before, after)


@cache
def load(changes: tuple[Change, ...] = ()) -> ModuleType:
    """Return the model of NEO over a rule, both with these changes."""
    return load_anew(changes, LOADED)


EARLY = """    def _on_early(
        self, place: int, storage: Storage, verdict: Bits
    ) -> tuple[Storage, str]:
        disk = storage.disk
        disk = disk._replace(locks=disk.locks | disk.votes & verdict)
        return storage._replace(disk=disk), ""

    def _on_catch(
        self, place: int, storage: Storage, raw: RawTable
    ) -> tuple[Storage, str]:
        return storage._replace(disk=storage.disk._replace(table=raw)), ""

"""
"""For the refuted designs: locks, or a table, before the new table is there."""


def known_mutant(name: str, scope: str) -> Mutant:
    """Return one that is told with those of the laboratory."""
    return Mutant(name, changes_of(name), scope)


MUTANTS: tuple[Mutant, ...] = (
    known_mutant("acknowledged when nobody is waited for", scope="calm"),
    known_mutant("others are not waited for when a majority locked", scope="short"),
    Mutant(
        "lockers that were lost count",
        (
            in_primary(
                "                    lockers=known.lockers & ~(1 << place),\n",
                "                    lockers=known.lockers,\n",
            ),
        ),
        scope="calm",
    ),
    Mutant(
        "in doubt is forgotten",
        (
            in_primary(
                'to recovery")\n                self.back(draft, master)\n'
                "                return\n            self.acknowledge",
                'to recovery")\n                draft.trade(number, epoch=known.epoch, **ENDED)\n'
                "                continue\n            self.acknowledge",
            ),
        ),
        scope="calm",
    ),
    known_mutant("a recovery needs no majority", scope="short"),
    known_mutant("any node of a region votes for it", scope="twins"),
    known_mutant("no epoch", scope="short"),
    known_mutant("the epoch is above epochs alone", scope="two elections"),
    Mutant(
        "what is equal may be promised again",
        (in_rule("    if offered <= highest:\n", "    if offered < highest:\n"),),
        why="A primary offers an epoch above all that it was told in the same session: what is equal is never offered.",
    ),
    Mutant(
        "a promise is not kept",
        (
            in_storage(
                "        disk = disk._replace(promise=epoch)\n        return storage._replace(disk=disk, stage=PROMISED)",
                "        return storage._replace(disk=disk, stage=PROMISED)",
            ),
            in_storage(
                "storage.stage != PROMISED or storage.disk.promise != raw[0]",
                "storage.stage != PROMISED",
            ),
        ),
        scope="two elections",
    ),
    Mutant(
        "promises are not awaited",
        (
            in_primary(
                "        waiting = primary.waiting & ~(1 << place)\n        draft.set(master, waiting=waiting, answers=answers)\n        if waiting:\n",
                '        waiting = primary.waiting & ~(1 << place)\n        draft.set(master, waiting=waiting, answers=answers)\n        if waiting and answer != "promised":\n',
            ),
        ),
        scope="short",
    ),
    Mutant(
        "tables are not awaited",
        (
            in_primary(
                "        waiting = primary.waiting & ~(1 << place)\n        draft.set(master, waiting=waiting, answers=answers)\n        if waiting:\n",
                '        waiting = primary.waiting & ~(1 << place)\n        draft.set(master, waiting=waiting, answers=answers)\n        if waiting and answer != "stored":\n',
            ),
        ),
        scope="short",
    ),
    Mutant(
        "commits are not awaited",
        (
            in_primary(
                "        waiting = primary.waiting & ~(1 << place)\n        draft.set(master, waiting=waiting, answers=answers)\n        if waiting:\n",
                '        waiting = primary.waiting & ~(1 << place)\n        draft.set(master, waiting=waiting, answers=answers)\n        if waiting and answer != "committed":\n',
            ),
        ),
        why="The start follows the commit on each connection, so no storage node operates before it committed. The wait lets a primary know of a missing vote before clients come.",
    ),
    Mutant(
        "lower epochs are not refused",
        (
            *changes_of("lower epochs are not refused"),
            in_model("        if highest > primary.epoch:\n", "        if False:\n"),
        ),
        scope="stale primary",
    ),
    Mutant(
        "a primary does not ask who comes what he promised",
        (in_model("        if highest > primary.epoch:\n", "        if False:\n"),),
        why="The storage node refuses the table. The question sends a stale primary back to recovery at once.",
    ),
    Mutant(
        "a promise binds not to a table",
        (
            in_rule("    if offered.epoch < held:\n", "    if False:\n"),
            in_model("        if highest > primary.epoch:\n", "        if False:\n"),
        ),
        why="The primary asks first. Without both an acknowledged transaction is lost: `lower epochs are not refused`.",
    ),
    Mutant(
        "an older table is taken",
        (in_rule("    if own is not None and offered < own:\n", "    if False:\n"),),
        why="One connection keeps the order of tables, and another one begins with a promise or with the present table.",
    ),
    Mutant(
        "the verdict is not stored with the table",
        (in_storage("locks=locks, verdict=verdict)", "locks=locks, verdict=0)"),),
        scope="short",
    ),
    Mutant(
        "the verdict is stored, locks and votes stay as they were",
        (
            in_storage(
                "votes=disk.votes & ~dropped, locks=locks, verdict=verdict)",
                "verdict=verdict)",
            ),
        ),
        scope="in doubt",
    ),
    known_mutant("locks below the top epoch count", scope="short"),
    known_mutant("locks of nodes that are out of date are ignored", scope="calm"),
    known_mutant("what is committed on one node alone is not asked for", scope="apart"),
    known_mutant("votes that were never locked are committed", scope="short"),
    known_mutant("an older table will do", scope="short"),
    known_mutant("nobody with all is there", scope="two elections"),
    known_mutant("who is absent stays readable", scope="short"),
    Mutant(
        "a running primary changes the table without a majority",
        (
            in_rule(
                "    return check_majority(table.rows, connected)\n\n\n@frozen\nclass Source",
                "    return ALLOWED\n\n\n@frozen\nclass Source",
            ),
        ),
        why="Nothing is acknowledged under the new table. The clause keeps a minority from outdating its peers, which it would have to wait for later.",
    ),
    Mutant(
        "nodes out of date lock what is in the verdict",
        (
            in_rule(
                "for ttid, tid in verdict.items() if is_readable and ttid in voted",
                "for ttid, tid in verdict.items() if ttid in voted",
            ),
        ),
        why="What is in the verdict is committed by all that are readable. Dropping keeps no lock on what replication brings.",
    ),
    Mutant(
        "a vote that is missing does not stop",
        (
            in_rule(
                "        frozenset(needed) - set(voted) if is_readable else frozenset(),\n",
                "        frozenset(),\n",
            ),
        ),
        why="It does not happen under the rule. It is the belt for everything that this model leaves out.",
    ),
    Mutant(
        "who comes back keeps its unfinished transactions",
        (
            in_storage(
                "        disk = disk._replace(votes=0, locks=0, verdict=0)\n", ""
            ),
        ),
        scope="short",
    ),
    Mutant(
        "acknowledged in any order",
        (
            in_primary(
                "            if ending == Ending.WAIT:\n                return\n",
                "            if ending == Ending.WAIT:\n                continue\n",
            ),
        ),
        scope="two tids",
    ),
    Mutant(
        "replication does not wait for transactions that pass it by",
        (in_choices("            known.ready >> place & 1\n", "            True\n"),),
        scope="short",
    ),
    Mutant(
        "replication begins above the last that a node has",
        (
            in_model(
                "for it in places(disk.floors[row])), default=-1)",
                "for it in places(disk.data[row])), default=-1)",
            ),
        ),
        scope="two transactions",
    ),
    Mutant(
        "the first tid is not above what was committed",
        (in_primary("            last_tid=last_tid,\n", "            last_tid=0,\n"),),
        scope="two transactions",
    ),
    Mutant(
        "the first tid is not above the verdict",
        (in_primary("        held = primary.verdict\n", "        held = 0\n"),),
        scope="two transactions",
    ),
    Mutant(
        "committed before all stored the table",
        (
            in_storage(
                '        return storage._replace(disk=disk, stage=ADOPTED), "stored"\n',
                '        storage = storage._replace(disk=disk, stage=ADOPTED)\n        return self._commit(place, storage, verdict), "stored"\n',
            ),
        ),
        scope="in doubt",
    ),
    Mutant(
        "who is lost is outdated in the primary's memory alone",
        (
            in_primary(
                "            self.change(draft, master, (epoch, counter + 1, outdated))\n",
                "            draft.set(master, table=(epoch, counter + 1, outdated))\n",
            ),
        ),
        scope="calm",
    ),
    Mutant(
        "a node that was not there when a transaction began counts",
        (in_primary("                    ready=known.ready & ~(1 << place),\n", ""),),
        scope="short",
    ),
    Mutant(
        "an empty disk comes back under its number",
        (
            in_choices(
                "        if disk.table is None and not disk.promise:\n",
                "        if False:\n",
            ),
        ),
        scope="stale primary",
    ),
    known_mutant("holders change where a recovery was not finished", scope="removal"),
    known_mutant("a region may change all its nodes at once", scope="exchange"),
    known_mutant("two regions may come and go at a time", scope="another region"),
    Mutant(
        "other holders need no majority of the old ones",
        (
            in_rule(
                "    return check_majority((*old.rows, *new.rows), known)",
                "    return check_majority(new.rows, known)",
            ),
        ),
        why="`find_source` asked for it already. The clause is for the question before a recovery, while a primary runs.",
    ),
    Mutant(
        "other holders need no majority of the new ones",
        (
            in_rule(
                "    return check_majority((*old.rows, *new.rows), known)",
                "    return check_majority(old.rows, known)",
            ),
        ),
        why="Nothing could be acknowledged with them, so nothing is lost: the neo_cluster would only stop.",
    ),
    known_mutant("nobody with all is left", scope="last copy"),
    known_mutant("an empty disk counts in any epoch", scope="empty disk"),
    known_mutant("an empty disk takes part in a change", scope="disk lost in a change"),
    Mutant(
        "an interrupted creation is not repeated",
        (
            in_rule(
                "    if not epoch and offered == highest == FIRST_EPOCH:\n",
                "    if False:\n",
            ),
        ),
        why="Nothing is lost, but nothing would ever start: walks by chance find it, in the same tests.",
    ),
    Mutant(
        "who has no table yet does not count",
        (in_rule("(claim.table or claim.promise)", "claim.table"),),
        why="Nothing is lost, but an interrupted creation waits for ever: walks by chance find it, in the same tests.",
    ),
    Mutant(
        "refuted: promise, then table, then verification",
        (
            in_storage(
                "votes=disk.votes & ~dropped, locks=locks, verdict=verdict)",
                "verdict=0)",
            ),
        ),
        scope="short",
    ),
    Mutant(
        "refuted: locked before the table is there",
        (
            in_primary(
                '("table", primary.table, verdict))',
                '("early", verdict), ("table", primary.table, 0))',
            ),
            in_storage("    def _on_join(", EARLY + "    def _on_join("),
        ),
        scope="short",
    ),
    Mutant(
        "refuted: the old table for all, then locks, then the new table",
        (
            in_primary(
                '("table", primary.table, verdict))',
                '("catch", recovery.table), ("early", verdict), ("table", primary.table, 0))',
            ),
            in_storage("    def _on_join(", EARLY + "    def _on_join("),
        ),
        scope="short",
    ),
    Mutant(
        "refuted: readable ones first, and no stored verdict",
        (
            in_primary(
                """        draft.set(master, phase=STORING, waiting=primary.connected, verdict=verdict)
        draft.send(primary.connected, ("table", primary.table, verdict))
""",
                """        assert primary.table
        first = everyone_readable(primary.table) & primary.connected
        draft.set(master, phase=STORING, waiting=first, verdict=verdict)
        draft.send(first, ("table", primary.table, verdict))
""",
            ),
            in_primary(
                """        if not primary.verdict:
            self.start(draft, master)
            return
""",
                """        assert primary.table
        rest = primary.connected & ~everyone_readable(primary.table)
        draft.send(rest, ("table", primary.table, primary.verdict))
        if not primary.verdict:
            self.start(draft, master)
            return
""",
            ),
            in_storage("locks=locks, verdict=verdict)", "locks=locks, verdict=0)"),
        ),
        scope="short",
    ),
)


def named_mutant(name: str) -> Mutant:
    (found,) = (mutant for mutant in MUTANTS if mutant.name == name)
    return found
