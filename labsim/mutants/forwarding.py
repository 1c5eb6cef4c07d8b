# ruff: noqa: E501 - a text of a source stands as it stands there
"""Core. What a master does so that another one has what was asked for, once."""

from __future__ import annotations

from labsim.mutants.mutant import Change, Mutant

FORWARDING = "master_cluster/forwarding.py"
KEPT = "master_cluster/store/forwarding.py"
LIVES = ("forwarding",)

MUTANTS = (
    Mutant(
        "another master is asked before that is written",
        (
            Change(
                "master_cluster/store/forwarding_decisions.py",
                "    cloud.forwarding.write(record)\n    if outlook",
                "    if outlook",
            ),
        ),
        "Who is killed while it asks would not know what to take back.",
        LIVES,
    ),
    Mutant(
        "a removal is over when nobody answers",
        (
            Change(
                FORWARDING,
                "    if present.is_leaving and isinstance(error, (NotFound, NotReady)):\n",
                "    if present.is_leaving:\n",
            ),
        ),
        "A master that is away would keep for ever what nobody wants.",
        LIVES,
    ),
    Mutant(
        "what has to leave is not listed",
        (
            Change(
                KEPT,
                "        if record.is_leaving != (key in stored.leaving):\n",
                "        if not record.is_leaving and key in stored.leaving:\n",
            ),
        ),
        "Nobody waits for a removal: the list alone knows that it is not settled.",
        LIVES,
    ),
    Mutant(
        "a tree that goes leaves behind what it forwarded",
        (
            Change(
                "master_cluster/store/decisions.py",
                "        cloud.forwarding.let_leave(view.instance.instance_guid)\n",
                "        pass\n",
            ),
        ),
        "Nobody here would know of it any more.",
        LIVES,
    ),
    Mutant(
        "two trees meet in one title",
        (
            Change(
                FORWARDING,
                "    whole = prefix + title\n",
                "    whole = USER_PREFIX + title\n",
            ),
        ),
        "Each would change and remove what the other one has.",
        LIVES,
    ),
)
