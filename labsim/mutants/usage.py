# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. What consumption is counted once by, whatever dies on its way to the master."""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

SPOOL = "slapgrid/reporting/spool.py"
MERGING = "slapgrid/reporting/merging.py"
REPORTER = "slapgrid/reporting/reporter.py"
LIVES = ("usage",)

MUTANTS = (
    Mutant(
        "a report is removed before it is claimed",
        (
            Change(
                SPOOL, "        self.tree.write(target, source.content, 0o600)\n", ""
            ),
            Change(
                SPOOL,
                "                self.tree.remove(source.path)\n                is_moved = True\n",
                "                self.tree.remove(source.path)\n                self.tree.write(target, source.content, 0o600)\n                is_moved = True\n",
            ),
        ),
        "Who dies in between has lost it.",
        LIVES,
    ),
    Mutant(
        "a batch is removed before it is sealed",
        (
            Change(
                SPOOL,
                "            self.tree.write(_outgoing(batch), document.encode(), 0o600)\n            await self.clean()\n",
                '            await self.tree.remove_tree(f"{USAGE_CLAIMS}/{batch}")\n            self.tree.write(_outgoing(batch), document.encode(), 0o600)\n',
            ),
        ),
        "Its claims would be gone, and in no document.",
        LIVES,
        seed=1,
    ),
    Mutant(
        "a batch that was sealed may be sealed again",
        (
            Change(
                REPORTER,
                "                await self._spool.clean()\n                for partition_id in names:\n",
                "                for partition_id in names:\n",
            ),
            Change(
                SPOOL,
                "        waiting = set(self._names(USAGE_CLAIMS))\n",
                "        waiting: set[str] = set()\n",
            ),
        ),
        "Its document leaves, and is made once more of the claims that are there.",
        LIVES,
        seed=1,
    ),
    Mutant(
        "a claim is named by chance",
        (
            Change(
                SPOOL,
                "        name = name_claim(\n            partition_id, source.path, source.status.modified, source.content\n        )\n        self._move",
                "        name = name_claim(\n            partition_id, source.path, self.entropy.random(), source.content\n        )\n        self._move",
            ),
        ),
        "A report that is there again after its claim has to become the same claim.",
        LIVES,
        seed=3,
    ),
    Mutant(
        "a claim is named without its date",
        (
            Change(
                SPOOL,
                '            partition_id, source.path, source.status.modified, source.content\n        )\n        self._move(source, f"{USAGE_CLAIMS}',
                '            partition_id, source.path, 0.0, source.content\n        )\n        self._move(source, f"{USAGE_CLAIMS}',
            ),
        ),
        "The same consumption an hour later is another one.",
        LIVES,
        seed=5,
    ),
    Mutant(
        "batches of equal reports have equal texts",
        (
            Change(
                MERGING,
                'return f"{encode_journal(Journal((entry,)))}<!-- {batch} -->\\n"',
                "return encode_journal(Journal((entry,)))",
            ),
        ),
        "A master that keeps each text once would take one of them for the other.",
        LIVES,
    ),
    Mutant(
        "a document is removed before the master has it",
        (
            Change(
                REPORTER,
                "                await self._client.perform(call)\n                self._spool.delivered(name)\n",
                "                self._spool.delivered(name)\n                await self._client.perform(call)\n",
            ),
        ),
        "A master that is away would never have it.",
        LIVES,
    ),
)
