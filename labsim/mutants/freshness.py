# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. What callers and masters do so that time goes back for nobody."""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

CLIENT = "slapgrid/slap_client.py"
KEPT_MEMORY = "slapgrid/kept_memory.py"
POLLING = "master_cluster/polling.py"
STORE = "master_cluster/store/store.py"
ATTEMPT = "master_cluster/store/attempt.py"
LIVES = ("freshness",)

MUTANTS = (
    Mutant(
        "what an agent has seen is not written",
        (
            Change(
                KEPT_MEMORY,
                "            _write(self._tree, FRESHNESS_FILE, encoded)\n",
                "            pass\n",
            ),
        ),
        "Who is started again would take an older document from a master that is behind.",
        LIVES,
    ),
    Mutant(
        "what an agent has seen is not read at its start",
        (
            Change(
                "slapgrid/passes.py",
                "            self._client.seen = max(self._client.seen, known.seen)\n",
                "",
            ),
        ),
        "The same, for whoever wrote it down.",
        LIVES,
    ),
    Mutant(
        "calls do not say what was seen",
        (
            Change(
                CLIENT,
                "{**wanted.headers, **freshness_headers(self.seen)}",
                "wanted.headers",
            ),
        ),
        "A master that is behind could not know it, nor that a call comes late.",
        LIVES,
    ),
    Mutant(
        "a refusal as overtaken is an answer",
        (
            Change(
                CLIENT,
                "            with suppress(Overtaken):\n",
                "            with suppress():\n",
            ),
        ),
        "Two clients at once would be one client and one refusal: it has only to look, and ask again.",
        ("rivals",),
    ),
    Mutant(
        "who has seen more is answered from what is there",
        (
            Change(
                ATTEMPT,
                "        if seen > self._known:\n            raise Behind(self._known, seen)\n",
                "        pass\n",
            ),
        ),
        "A store that is cut off answers what was there before, as long as it does not know that.",
        LIVES,
    ),
    Mutant(
        "who has seen more is answered without a proof",
        (
            Change(
                STORE,
                "                await self._prove(error)\n",
                "                if caller is not None:\n                    caller.seen = error.known\n",
            ),
        ),
        "A store that is cut off commits nothing, and can tell by that that it is not one whose backup was put back.",
        LIVES,
    ),
    Mutant(
        "who has seen more is never answered",
        (
            Change(
                STORE,
                "                await self._prove(error)\n",
                "                raise behind(error.known, error.seen) from error\n",
            ),
        ),
        "After a backup was put back, nobody would be answered who knew the store before.",
        ("agent",),
        seed=1,
    ),
    Mutant(
        "a poll is answered from memory whatever was seen",
        (
            Change(
                POLLING,
                "        if entry.is_current and poll.seen > self._good_to(entry):\n",
                "        if False:\n",
            ),
        ),
        "A master that is cut off would tell agents what it knew before.",
        LIVES,
    ),
    Mutant(
        "a repeated request is answered from memory whatever was seen",
        (
            Change(
                "master_cluster/web/repeating.py",
                "        if known is None or caller.seen > known.tid or caller.is_claiming:\n",
                "        if known is None or caller.is_claiming:\n",
            ),
        ),
        "A master that is cut off would grant again what was granted before the last change.",
        LIVES,
        seed=1,
    ),
    Mutant(
        "what was overtaken is made",
        (
            Change(
                ATTEMPT,
                "        if caller.seen == UNSEEN:\n            return\n",
                "        return\n",
            ),
        ),
        "A call that its caller gave up would undo what was acknowledged since.",
        LIVES,
    ),
)
