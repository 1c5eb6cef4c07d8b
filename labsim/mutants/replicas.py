# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. What replicas and their callers do when one of them is lost."""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

CLIENT = "slapgrid/slap_client.py"
POLLING = "master_cluster/polling.py"
VIGIL = "master_cluster/vigil.py"
LIVES = ("replicas",)

MUTANTS = (
    Mutant(
        "a stale answer is given to who has seen more",
        (
            Change(
                POLLING,
                "        if poll.seen > good_to:\n            return behind(good_to, poll.seen)\n        tid =",
                "        tid =",
            ),
        ),
        "An agent would take an older document than the one that it has.",
        LIVES,
    ),
    Mutant(
        "stale answers are not marked",
        (
            Change(
                "master_cluster/web/polling.py",
                "    if answer.current_at is not None:\n",
                "    if False:\n",
            ),
        ),
        "Whoever is answered as of before would not look for a replica that knows more.",
        LIVES,
    ),
    Mutant(
        "who answers as of before is asked again as if it knew",
        (
            Change(
                CLIENT,
                "                return AnsweredStale(url, self._runtime.entropy.random())\n",
                "                pass\n",
            ),
        ),
        "The same, by the caller.",
        LIVES,
    ),
    Mutant(
        "a store that says nothing is not lost",
        (
            Change(
                VIGIL,
                "        if silent_seconds > LOST_SECONDS:\n            self._lose()\n",
                "",
            ),
        ),
        "A region that is cut off in silence would take its answers for current.",
        LIVES,
    ),
    Mutant(
        "a document is waited for as long as its store holds it",
        (
            Change(
                VIGIL,
                "        self._tell_second()\n",
                "",
            ),
        ),
        "A store that is there can hold what a commit is about, until it has an end: in the region of a primary that is cut off, for ten seconds.",
        LIVES,
    ),
    Mutant(
        "a store that is found again stays lost",
        (
            Change(
                VIGIL,
                "            for tell in self._tell_found:\n                tell()\n",
                "            pass\n",
            ),
        ),
        "Its callers would be with other replicas for ever, and one day with none.",
        LIVES,
    ),
    Mutant(
        "a silent replica is waited for",
        (
            Change(
                CLIENT,
                "            silence = patience.silence(self._sign_seconds, self._patience_factor)\n",
                "",
            ),
        ),
        "Links and kernels answer for programs that are not there: a minute without an answer.",
        LIVES,
    ),
    Mutant(
        "a master gives no signs of life",
        (
            Change(
                "master_cluster/web/channel.py",
                "        self.channel.write(SIGN)\n",
                "",
            ),
        ),
        "Who waits for a change would leave a replica that is well, again and again.",
        LIVES,
    ),
    Mutant(
        "a master without its store ends",
        (
            Change(
                "master_cluster/service.py",
                "        if kept is None or not (kept.is_known or self._config.receives):\n",
                "        if True:\n",
            ),
        ),
        "One that is started again while its region is cut off would answer nobody there.",
        LIVES,
    ),
    Mutant(
        "changes are refused when the store is there again",
        (
            Change(
                "master_cluster/store/awaiting.py",
                "        self._is_lost = False\n\n    async def settle",
                "        pass\n\n    async def settle",
            ),
        ),
        "A master whose store is there again would refuse every change.",
        LIVES,
    ),
)
