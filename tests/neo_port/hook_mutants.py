# ruff: noqa: E501 - a text of a source stands as it stands there
"""The hooks of the quorum in NEO with one safeguard taken out, and where that shows.

A mutant is a change of source text, applied when a program of a neo_cluster imports it:
see ``changed.py``. One whose text is no longer there is an error.
"""

from __future__ import annotations

from attrs import frozen

from labsim.mutants.mutant import Change

NEO_MASTER = "replication/neo/neo_master.py"
RECOVERING = "replication/neo/recovering.py"
SERVING = "replication/neo/serving.py"
STORAGE_NODE = "replication/neo/storage_node.py"


@frozen
class HookMutant:
    """``scenario`` is one of ``hook_scenarios``, or ``case`` one of ``hook_cases``.

    One that is found by neither says why.
    """

    name: str
    changes: tuple[Change, ...]
    scenario: str = ""
    case: str = ""
    why: str = ""


NEVER_IN_DOUBT = Change(
    NEO_MASTER,
    "        if ending is not quorum.Ending.ACKNOWLEDGE:\n",
    "        if False:\n",
)
A_LOSS_IS_NOTHING = Change(
    SERVING,
    "                self._check_change(lost=conn.getUUID())\n",
    "                pass\n",
)
NO_MAJORITY_TO_WORK = Change(
    SERVING,
    "        return bool(quorum.check_majority(view_partition_table(self).rows, running))\n",
    "        return True\n",
)

MUTANTS: tuple[HookMutant, ...] = (
    HookMutant(
        "a transaction is acknowledged without asking who locked it",
        (NEVER_IN_DOUBT,),
        scenario="back in a transaction",
    ),
    HookMutant(
        "a transaction in doubt is forgotten, and the primary runs on",
        (
            Change(
                NEO_MASTER,
                '            self.stop("a transaction is in doubt: too few regions locked it")\n',
                "            return\n",
            ),
        ),
        scenario="in doubt",
    ),
    HookMutant(
        "a primary asks nobody while it runs, as NEO",
        (NEVER_IN_DOUBT, A_LOSS_IS_NOTHING, NO_MAJORITY_TO_WORK),
        scenario="the primary is cut off with a client",
    ),
    HookMutant(
        "a recovery does not wait for a majority",
        (
            Change(
                RECOVERING,
                "        source = quorum.find_source(claims)\n        if isinstance(source, quorum.Wait):\n            return source\n",
                """        source = quorum.find_source(claims)
        tables = [it.table for it in claims if it.table]
        if isinstance(source, quorum.Wait) and tables:
            highest = max(max(it.promise, it.epoch) for it in claims)
            source = quorum.Source(
                max(tables, key=lambda it: it.table_id),
                frozenset(it.storage for it in claims if it.table),
                highest + 1,
            )
        if isinstance(source, quorum.Wait):
            return source
""",
            ),
        ),
        scenario="a minority comes first",
    ),
    HookMutant(
        "the verdict is empty",
        (
            Change(
                RECOVERING,
                "        verdict = quorum.find_locked(source, claims)\n",
                "        return {}\n",
            ),
        ),
        scenario="all storage nodes at once",
    ),
    HookMutant(
        "the verdict is not sent before the table",
        (
            Change(
                RECOVERING,
                "            self._send_verdict(peer, verdict)\n            peer.send(Packets.SendPartitionTable(",
                "            peer.send(Packets.SendPartitionTable(",
            ),
        ),
        scenario="all storage nodes at once",
    ),
    HookMutant(
        "the verdict is not committed before the start",
        (
            Change(
                RECOVERING,
                "            if peer.getUUID() in self._plan.table.readable:\n                self._send_verdict(peer, verdict)\n",
                "            pass\n",
            ),
        ),
        scenario="all storage nodes at once",
    ),
    HookMutant(
        "a storage node drops what is in the verdict too",
        (
            Change(
                STORAGE_NODE,
                "        for ttid in sorted(settlement.to_drop):\n",
                "        for ttid in app.dm.getUnfinishedTIDDict():\n",
            ),
        ),
        scenario="all storage nodes at once",
    ),
    HookMutant(
        "a storage node does not keep the verdict with the table",
        (
            Change(
                STORAGE_NODE,
                "        keeper.verdict = self._verdict\n",
                "",
            ),
        ),
        scenario="a table reaches one of two",
    ),
    HookMutant(
        "a storage node does not tell the verdict that it keeps",
        (
            Change(
                STORAGE_NODE,
                "            Packets.AnswerLockedTransactions({**unfinished, **self._keeper.verdict})\n",
                "            Packets.AnswerLockedTransactions(unfinished)\n",
            ),
        ),
        scenario="a table reaches one of two",
    ),
    HookMutant(
        "a recovery goes on when a participant is lost",
        (
            Change(
                RECOVERING,
                '            app.stop(f"storage node {conn.getUUID()} was lost during recovery")\n',
                "            pass\n",
            ),
        ),
        scenario="a table reaches one of two",
    ),
    HookMutant(
        "transaction ids do not jump at a start",
        (
            Change(
                RECOVERING,
                "        app.tm.setLastTID(addTID(last, random.randrange(*JUMPS)))  # noqa: S311\n",
                "        app.tm.setLastTID(last)\n",
            ),
        ),
        scenario="an id of a lost transaction",
    ),
    HookMutant(
        "whom clients do not reach is not kept out",
        (
            Change(
                NEO_MASTER,
                "        return self.seconds() < self._excluded.get(storage, 0.0)\n",
                "        return False\n",
            ),
        ),
        case="whom clients do not reach is kept out for a while",
    ),
    HookMutant(
        "whoever comes to the address of a lost storage node inherits its cells",
        (
            Change(
                RECOVERING,
                "            known.setAddress(None)\n            self.app.broadcastNodesInformation([known])\n",
                "            pass\n",
            ),
        ),
        scenario="a disk is lost",
    ),
    HookMutant(
        "an empty disk comes back under its number",
        (
            Change(
                SERVING,
                "        if not table_id.epoch and not promise and peer.isRunning():\n",
                "        if False:\n",
            ),
        ),
        scenario="an empty disk",
    ),
    HookMutant(
        "a candidate without a majority keeps its storage nodes",
        (
            Change(
                RECOVERING,
                "            self.app.yieldElection()\n            self.try_secondary = True\n",
                "            return super()._challenge()\n",
            ),
        ),
        case="a candidate without a majority yields",
    ),
    HookMutant(
        "candidates compare the times of their clocks, as in NEO",
        (
            Change(
                NEO_MASTER,
                "        return 1 + self._yielded_count + random.random()  # noqa: S311\n",
                "        return monotonic_time()\n",
            ),
        ),
        case="who yields loses, whatever its clock",
    ),
    HookMutant(
        "a promise is not on the disk when it is answered",
        (
            Change(
                STORAGE_NODE,
                "        keeper.promise = epoch\n        self.app.dm.commit()\n",
                "        keeper.promise = epoch\n",
            ),
        ),
        case="a promise is on the disk before it is answered",
    ),
    HookMutant(
        "a storage node promises what is lower",
        (
            Change(
                STORAGE_NODE,
                "        if not verdict:\n            raise ProtocolError(verdict.reason)\n        keeper.promise",
                "        keeper.promise",
            ),
        ),
        case="nothing lower is promised",
    ),
    HookMutant(
        "a storage node takes a table below its promise",
        (
            Change(
                STORAGE_NODE,
                "        if not verdict:\n            raise ProtocolError(verdict.reason)\n        if self._promised",
                "        if self._promised",
            ),
        ),
        case="a promise binds to tables",
    ),
    HookMutant(
        "a session takes another epoch than it promised",
        (
            Change(
                STORAGE_NODE,
                "        if self._promised not in {None, table_id.epoch}:\n",
                "        if False:\n",
            ),
        ),
        case="the table is the one that was promised",
    ),
    HookMutant(
        "a table that was not promised has it readable",
        (
            Change(
                STORAGE_NODE,
                "        if is_readable and self._promised is None:\n",
                "        if False:\n",
            ),
        ),
        case="readable only with a promise",
    ),
    HookMutant(
        "a start without a table is taken",
        (
            Change(
                STORAGE_NODE,
                '        if not self._is_adopted:\n            raise ProtocolError("a start without a table")\n',
                "",
            ),
        ),
        case="no start without a table",
    ),
    HookMutant(
        "a storage node does not drop what the verdict lacks",
        (
            Change(
                STORAGE_NODE,
                "            keeper.drop(ttid)\n",
                "            pass\n",
            ),
        ),
        case="a lock that the verdict lacks is dropped",
    ),
    HookMutant(
        "the verdict is locked before the table is stored",
        (
            Change(
                STORAGE_NODE,
                "            keeper.lock(ttid, tid)\n",
                "            app.dm.lockTransaction(tid, ttid)\n",
            ),
        ),
        case="a table is taken in one commit",
    ),
    HookMutant(
        "a storage node starts without what it never voted",
        (
            Change(
                STORAGE_NODE,
                "        if settlement.missing:\n",
                "        if False:\n",
            ),
        ),
        case="a missing vote stops",
    ),
    HookMutant(
        "a storage node commits what is not in the verdict",
        (
            Change(
                STORAGE_NODE,
                "        elif ttid in self._verdict:\n",
                "        elif True:\n",
            ),
        ),
        case="only what is in the verdict is committed",
    ),
    HookMutant(
        "a storage node answers before it committed the verdict",
        (
            Change(
                STORAGE_NODE,
                "        self.app.dm.commit()\n        super().askLastIDs(conn)\n",
                "        super().askLastIDs(conn)\n",
            ),
        ),
        case="committed before the answer",
    ),
    HookMutant(
        "changes of a table are taken before the table",
        (
            Change(
                STORAGE_NODE,
                "        # What comes before the whole table is part of it.\n        if self._is_adopted:\n",
                "        if True:\n",
            ),
        ),
        case="changes before the table are nothing",
    ),
    HookMutant(
        "a primary works without a majority",
        (NO_MAJORITY_TO_WORK,),
        case="a table works with a majority",
    ),
    HookMutant(
        "the numbers of tables go on in the next epoch",
        (
            Change(
                SERVING,
                "        if table_id.counter >= COUNTER_MAX:\n",
                "        if False:\n",
            ),
        ),
        case="the numbers of an epoch end",
    ),
    HookMutant(
        "a primary of a minority changes its table",
        (A_LOSS_IS_NOTHING,),
        case="a minority changes nothing",
    ),
    HookMutant(
        "a primary does not ask who comes what he promised",
        (
            Change(
                SERVING,
                "        self._check_change(heard=heard)\n        peer = ",
                "        peer = ",
            ),
        ),
        case="a stale primary stops",
    ),
    HookMutant(
        "a creation takes any number of regions",
        (
            Change(
                SERVING,
                '        if not verdict:\n            raise AnswerDenied(f"not created: {verdict.reason}")\n',
                "",
            ),
        ),
        case="a creation has three regions",
    ),
    HookMutant(
        "an operator truncates",
        (Change(SERVING, "    def truncate(", "    def as_neo_does("),),
        case="an operator does not truncate",
    ),
)


def scenes() -> list[tuple[str, str]]:
    """Return what three regions play: a scenario, and a mutant or nothing."""
    played = [(it.scenario, it.name) for it in MUTANTS if it.scenario]
    return sorted({(scenario, "") for scenario, _ in played} | set(played))


def named_mutant(name: str) -> HookMutant:
    (found,) = (mutant for mutant in MUTANTS if mutant.name == name)
    return found
