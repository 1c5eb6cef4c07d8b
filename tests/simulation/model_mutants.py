# ruff: noqa: E501 - a line of a story is one moment
"""The model of NEO with one of its own steps taken out, and a story that shows it.

What stands beside the rule in ``tests.model.mutants`` is done by production in
``replication.neo``, and by the laboratory's model of NEO in its own words. Of these the
model cannot show:

- *acknowledged in any order*: with one neo_partition, whoever locked a transaction has
  locked those before it.
- *the first tid is not above the verdict*: participants are asked for their last tid
  when they have committed the verdict.
- the other refuted designs: they need messages that NEO and its model do not have.
"""

from __future__ import annotations

from types import ModuleType

from attrs import frozen

from labsim.lives.story_table import Story
from labsim.mutants.changing import load_anew
from labsim.mutants.mutant import Change

STORAGE_NODE = "labsim/models/neo/storage_node.py"
NEO_MASTER = "labsim/models/neo/neo_master.py"
LOADED = (
    STORAGE_NODE,
    NEO_MASTER,
    "labsim/models/neo/client.py",
    "labsim/models/neo/neo_cluster.py",
    "labsim/lives/directing.py",
    "labsim/lives/stories.py",
)
"""Each after those that it imports; the others have values only."""


@frozen
class ModelMutant:
    story: Story
    changes: tuple[Change, ...]

    def load(self) -> ModuleType:
        """Return the stories of a model with these changes."""
        return load_anew(self.changes, LOADED)


def _mutant(name: str, script: str, *changes: Change) -> ModelMutant:
    return ModelMutant(Story(name, script), changes)


def _in_storage(before: str, after: str) -> Change:
    return Change(STORAGE_NODE, before, after)


def _in_master(before: str, after: str) -> Change:
    return Change(NEO_MASTER, before, after)


MODEL_MUTANTS = (
    _mutant(
        "lockers that were lost count",
        """begin M0 T0; finish T0; deliver S0; deliver S1; leave S0; notice M0 S0
        connect S0 M0; lose M0 S2; deliver S0; forget S2; stop M0; forget S0; forget S1
        go M1 S0 S2; free S0 S2""",
        _in_master("            transaction.lockers.discard(storage)\n", ""),
    ),
    _mutant(
        "in doubt is forgotten",
        """begin M0 T0; leave S0; finish T0; deliver S1; notice M0 S0; connect S0 M0
        lose M0 S2; deliver S0; deliver S0; deliver S0; replicate S0; deliver S0
        leave S0; leave S1; stop M0; forget S2; go M1 S0 S1; free S0 S1""",
        _in_master(
            '                raise _Stopped("a transaction is in doubt: too few regions locked it")\n',
            "                self._queue.popleft()\n                del self._transactions[transaction.ttid]\n                self._let_replicate()\n                continue\n",
        ),
    ),
    _mutant(
        "a promise is not kept",
        """stop M0; go M0 S1 S2; deliver S1; deliver S2; deliver S1; leave S2; go M1 S0 S2
        deliver S2; deliver S0; deliver S0; leave S0; leave S1; leave S2""",
        _in_storage(
            "        disk.promise = epoch\n        disk.commit()\n        self._promised = epoch\n",
            "        self._promised = epoch\n",
        ),
        _in_storage(
            '        self._tell("recovery", disk.promise, raw)',
            '        self._tell("recovery", self._promised or disk.promise, raw)',
        ),
    ),
    _mutant(
        "one participant is asked for what it locked",
        """begin M0 T0; finish T0; deliver S0; deliver S1; deliver S2; deliver S0; stop M0
        forget S1; forget S0; forget S2; go M0 S0 S1; deliver S0; deliver S1; deliver S0
        free S0 S1""",
        _in_master(
            '        self._ask_all(participants, [("ask_locked",)], lambda: self._told(participants))',
            '        self._ask_all(\n            participants[:1], [("ask_locked",)], lambda: self._told(participants)\n        )',
        ),
    ),
    _mutant(
        "the verdict is not stored with the table",
        """begin M0 T0; finish T0; deliver S0; deliver S1; deliver S2; deliver S0; stop M0
        forget S1; forget S2; go M0 S0 S1; deliver S1; deliver S0; deliver S0; leave S0
        leave S1; stop M0; go M1 S0 S1; free S0 S1""",
        _in_storage(
            "        disk.verdict = dict(self._verdict)\n",
            "        disk.verdict = {}\n",
        ),
    ),
    _mutant(
        "the verdict is stored, locks and votes stay as they were",
        """begin M0 T0; finish T0; deliver S0; stop M0; forget S0; forget S1; forget S2
        go M0 S1 S2; deliver S1; deliver S2; deliver S1; deliver S2; begin M0 T1
        finish T1; deliver S1; deliver S2; deliver S1; deliver S2; read M0; leave S1
        stop M0; forget S2; go M1 S0 S1; deliver S0; deliver S1; deliver S0; leave S0
        leave S1; stop M1; go M1 S0 S1; free S0 S1""",
        _in_storage(
            "        for ttid in settlement.to_drop:\n            disk.drop(ttid)\n        disk.locks.update(settlement.to_lock)\n",
            "",
        ),
    ),
    _mutant(
        "who comes back keeps its unfinished transactions",
        """begin M0 T0; finish T0; deliver S0; stop M0; forget S0; forget S1; forget S2
        go M0 S1 S2; deliver S1; deliver S2; deliver S1; deliver S2; read M0
        connect S0 M0; deliver S0; leave S0; leave S1; leave S2; stop M0; go M1 S0 S1
        free S0 S1""",
        _in_storage(
            "        for ttid in settlement.to_drop:\n",
            "        for ttid in settlement.to_drop if self._promised else ():\n",
        ),
    ),
    _mutant(
        "replication does not wait for transactions that pass it by",
        """begin M0 T0; leave S0; finish T0; deliver S1; notice M0 S0; connect S0 M0
        deliver S0; deliver S0; replicate S0; deliver S0; deliver S2; deliver S1
        free S1 S2; free S0""",
        _in_master(
            "            if storage not in transaction.ready\n",
            "            if storage in transaction.ready\n",
        ),
    ),
    _mutant(
        "replication begins above the last that a node has",
        """leave S0; notice M0 S0; deliver S1; deliver S2; begin M0 T0; connect S0 M0
        deliver S0; deliver S0; begin M0 T1; finish T0; deliver S1; finish T1
        deliver S2; deliver S0; deliver S1; deliver S2; deliver S1; deliver S0
        deliver S1; deliver S2; deliver S2; replicate S0""",
        _in_storage("self._disk.floor or NO_TID, upto", "self._disk.last_tid, upto"),
    ),
    _mutant(
        "committed before all stored the table",
        """begin M0 T0; finish T0; deliver S0; stop M0; forget S0; forget S1; forget S2
        go M0 S0 S2; deliver S0; deliver S2; leave S2; deliver S0; notice M0 S2
        leave S0; go M0 S1 S2; deliver S2; deliver S1; deliver S1; deliver S2
        connect S0 M0; deliver S0; deliver S0; replicate S0; read M0""",
        _in_storage(
            "        disk.commit()\n        self._is_adopted = True\n",
            "        for ttid, tid in self._verdict.items():\n            disk.unlock(ttid, tid)\n        disk.commit()\n        self._is_adopted = True\n",
        ),
    ),
    _mutant(
        "who is lost is outdated in the primary's memory alone",
        """leave S0; notice M0 S0; begin M0 T0; finish T0; deliver S1; deliver S2; leave S1
        leave S2; stop M0; go M1 S0 S1; free S0 S1; read M1""",
        _in_master(
            '        for session in self._storages.values():\n            session.send("change", raw)\n',
            "",
        ),
    ),
    _mutant(
        "a node that was not there when a transaction began counts",
        """begin M0 T0; leave S0; finish T0; deliver S1; notice M0 S0; connect S0 M0
        deliver S0; deliver S0; replicate S0; deliver S0; deliver S2; deliver S1
        free S1 S2; free S0""",
        _in_master("            transaction.ready.discard(storage)\n", ""),
    ),
    _mutant(
        "an empty disk comes back under its number",
        """leave S1; leave S2; go M1 S1 S2; deliver S1; deliver S2; deliver S1; deliver S2
        notice M0 S1; begin M1 T0; leave S1; wipe S1; connect S1 M0; notice M0 S2
        free S0 S1; begin M0 T1; finish T1""",
        _in_master(
            "        if table is None and not promise:\n", "        if False:\n"
        ),
    ),
    _mutant(
        "refuted: promise, then table, then verification",
        """begin M0 T0; finish T0; deliver S0; deliver S1; deliver S2; deliver S0; stop M0
        forget S1; forget S2; go M0 S0 S1; deliver S1; deliver S0; deliver S0; leave S0
        leave S1; stop M0; go M1 S0 S1; free S0 S1; read M1""",
        _in_storage(
            "        for ttid in settlement.to_drop:\n            disk.drop(ttid)\n        disk.locks.update(settlement.to_lock)\n",
            "",
        ),
        _in_storage(
            "        disk.verdict = dict(self._verdict)\n",
            "        disk.verdict = {}\n",
        ),
    ),
    _mutant(
        "tables are not awaited",
        """begin M0 T0; finish T0; deliver S0; stop M0; forget S0; forget S1; forget S2
        go M0 S0 S2; deliver S0; deliver S2; deliver S0; deliver S0; leave S2
        notice M0 S2; leave S0; stop M0; go M0 S1 S2; deliver S1; deliver S2; deliver S1
        deliver S2; connect S0 M0; deliver S0; deliver S0; replicate S0; read M0""",
        _in_master(
            '        self._ask_all(\n            participants,\n            [*told, ("table", raw_table(self._table)), ("ask_recovery",)],\n',
            '        for storage in participants[1:]:\n            for message in (*told, ("table", raw_table(self._table))):\n                self._storages[storage].send(*message)\n        self._ask_all(\n            participants[:1],\n            [*told, ("table", raw_table(self._table)), ("ask_recovery",)],\n',
        ),
        _in_master(
            '            participants, [("ask_last",)], lambda',
            '            participants[:1], [("ask_last",)], lambda',
        ),
    ),
    _mutant(
        "the first tid is not above what was committed",
        """begin M0 T0; finish T0; deliver S0; deliver S1; deliver S2; deliver S0
        deliver S1; deliver S2; stop M0; go M1 S0 S1; deliver S0; deliver S1; deliver S0
        deliver S1; begin M1 T1; finish T1; deliver S0; deliver S1""",
        _in_master(
            "max(*last_tids, *verdict.values(), NO_TID)",
            "max(*verdict.values(), NO_TID, NO_TID)",
        ),
    ),
)
