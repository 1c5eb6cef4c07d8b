# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. A cloud that comes to host itself, and its state that moves."""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

MOVING = "slapcluster/bootstrap/moving.py"
PERFORMING = "slapcluster/bootstrap/performing.py"
RESTORING = "master_cluster/store/restoring.py"
LIVES = ("bootstrap",)

MUTANTS = (
    Mutant(
        "the mini-master is not frozen",
        (
            Change(
                MOVING,
                "        await self._work.ask(lambda master: master.freeze())\n",
                "        return\n",
            ),
        ),
        "What it acknowledges after the last copy would be in no state that is served.",
        LIVES,
        8,
    ),
    Mutant(
        "the first copy is taken for the last one",
        (
            Change(
                MOVING,
                '        """Copy the state of the mini-master as it is now, and verify the copy."""\n        work = self._work\n',
                "        work = self._work\n        if work.logbook.digest:\n            return\n",
            ),
        ),
        "What was acknowledged between the two copies would be lost.",
        LIVES,
        8,
    ),
    Mutant(
        "that it opens is not written before",
        (
            Change(
                MOVING,
                "        work.write(evolve(work.logbook, is_opening=True))\n        await self._with_any(self._open)\n",
                "        await self._with_any(self._open)\n        work.write(evolve(work.logbook, is_opening=True))\n",
            ),
        ),
        "Who is killed in between would not know that there is no way back.",
        LIVES,
        8,
    ),
    Mutant(
        "a step is written down before it is done",
        (
            Change(
                PERFORMING,
                "            try:\n                await performing[step]()\n",
                "            work.write(work.logbook.with_done(step, 0.0))\n            try:\n                await performing[step]()\n",
            ),
        ),
        "Who is killed in a step would go on with the next one.",
        LIVES,
        40,
    ),
    Mutant(
        "it hands over before it opens",
        (
            Change(
                MOVING,
                "        await self._with_any(self._open)\n        urls = tuple(work.logbook.replica_urls.values())\n",
                "        listed = tuple(ListedReplica(u, r) for r, u in work.logbook.replica_urls.items())\n        await work.ask(lambda master: master.move(listed))\n        await self._with_any(self._open)\n        urls = tuple(work.logbook.replica_urls.values())\n",
            ),
        ),
        "Polls would be answered by nobody, and if it never opens nobody could go back.",
        LIVES,
        8,
    ),
    Mutant(
        "the mini-master goes before computers ask the new master",
        (Change(MOVING, "        return status.is_known\n", "        return True\n"),),
        "Who knows the mini-master alone would ask nobody for ever.",
        LIVES,
        7,
    ),
    Mutant(
        "something of the mini-master stays",
        (
            Change(
                MOVING,
                "        await work.home.tree.remove_tree(MINI_MASTER)\n",
                "",
            ),
        ),
        "A second master of the cloud could begin with it.",
        LIVES,
        8,
    ),
    Mutant(
        "what is opened already stops the bootstrap",
        (
            Change(
                MOVING,
                "        if report.digest == self._work.logbook.digest:\n            # It was",
                "        if False:\n            # It was",
            ),
        ),
        "Who is killed between the opening and the logbook could not go on.",
        LIVES,
        23,
    ),
    Mutant(
        "what is being filled is taken for a state",
        (
            Change(
                RESTORING,
                "        is_copied = any(COPIED.items() <= it.extension.items() for it in records)\n",
                "        is_copied = False\n",
            ),
        ),
        "Replicas of one store look at it all the time, and would serve the beginning of a copy.",
        LIVES,
        8,
    ),
)
