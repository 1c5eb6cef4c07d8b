# ruff: noqa: E501 - a line of a story is one moment
"""Core. Stories of a neo_cluster: in which order messages come and connections break.

A step is what happens, then to whom: M are neo_masters, S storage nodes, T transactions
by their places (``labsim.lives.stories``). Most are what the exploration found without
a clause of the rule (``tests/model``), and then as much as it takes until somebody has
lost something. Others are drawn from a seed.
"""

from __future__ import annotations

from random import Random

from attrs import frozen

THREE = (1, 2, 3)
TWINS = (1, 1, 2, 3)


@frozen
class Story:
    """``mutant`` is what it was found for.

    ``founders`` and ``spares`` are regions of storage nodes: a spare one has nothing
    yet, and may be added.
    """

    mutant: str
    script: str
    founders: tuple[int, ...] = THREE
    spares: tuple[int, ...] = ()

    @property
    def steps(self) -> tuple[str, ...]:
        texts = (it.strip() for it in self.script.replace("\n", ";").split(";"))
        return tuple(it for it in texts if it)

    @property
    def transactions(self) -> tuple[int, ...]:
        words = {word for step in self.steps for word in step.split()}
        return tuple(sorted(int(it[1:]) for it in words if it[0] == "T"))


STORIES = (
    Story(
        "acknowledged when nobody is waited for",
        """begin M0 T0; leave S0; finish T0; deliver S1; notice M0 S0; connect S0 M0
        lose M0 S2; forget S2; stop M0; forget S0; forget S1
        go M1 S0 S2; free S0 S2""",
    ),
    Story(
        "others are not waited for when a majority locked",
        """begin M0 T0; finish T0; deliver S0; deliver S1; leave S0; notice M0 S0
        connect S0 M0; deliver S0; stop M0; forget S0; forget S1; forget S2
        go M1 S0 S2; free S0 S2""",
    ),
    Story(
        "a recovery needs no majority",
        """leave S0; go M1 S0; free S0; begin M1 T0; finish T0
        notice M0 S0; begin M0 T1; finish T1; free S1 S2""",
    ),
    Story(
        "any node of a region votes for it",
        """leave S0; leave S3; go M1 S0 S3; free S0 S3; begin M1 T0; finish T0
        notice M0 S0; notice M0 S3; free S1 S2; begin M0 T1; finish T1""",
        TWINS,
    ),
    Story(
        "no epoch",
        """begin M0 T0; finish T0; deliver S0; stop M0; forget S0; forget S1; forget S2
        go M0 S1 S2; deliver S1; deliver S2; deliver S1; leave S1; stop M0; forget S2
        go M0 S0 S1; free S0 S1""",
    ),
    Story(
        "the epoch is above epochs alone",
        """stop M0; go M0 S1 S2; deliver S1; deliver S2; deliver S1; leave S2
        go M1 S0 S2; deliver S0; deliver S2; deliver S0""",
    ),
    Story(
        "lower epochs are not refused",
        """leave S1; leave S2; go M1 S1 S2; deliver S1; deliver S2; deliver S1; deliver S2
        notice M0 S1; begin M1 T0; leave S1; connect S1 M0; deliver S1
        finish T0; deliver S2; stop M0; stop M1; forget S0; forget S1; forget S2
        go M1 S1 S2; free S1 S2""",
    ),
    Story(
        "locks below the top epoch count",
        """begin M0 T0; finish T0; deliver S0; stop M0; forget S0; forget S1; forget S2
        go M0 S1 S2; deliver S1; deliver S2; deliver S1; leave S1; stop M0
        go M1 S0 S1; free S0 S1""",
    ),
    Story(
        "locks of nodes that are out of date are ignored",
        """leave S0; notice M0 S0; connect S0 M0; deliver S1; deliver S0; deliver S0
        begin M0 T0; finish T0; lose M0 S2; forget S2; deliver S0; deliver S1
        stop M0; forget S0; forget S1; go M1 S0 S2; free S0 S2""",
    ),
    Story(
        "votes that were never locked are committed",
        """leave S0; begin M0 T0; leave S1; stop M0; forget S2; go M1 S0 S1; free S0 S1""",
    ),
    Story(
        "an older table will do",
        """leave S0; notice M0 S0; begin M0 T0; finish T0; free S1 S2; hold S1 S2
        leave S1; leave S2; stop M0; go M1 S0 S1; free S0 S1; read M1""",
    ),
    Story(
        "nobody with all is there",
        """leave S0; leave S1; notice M0 S0; connect S0 M0; notice M0 S1; connect S1 M0
        deliver S1; stop M0; forget S0; forget S1; forget S2; go M1 S0 S1; free S0 S1""",
    ),
    Story(
        "who is absent stays readable",
        """stop M0; go M0 S1 S2; deliver S1; deliver S2; deliver S1; deliver S2
        begin M0 T0; finish T0; deliver S1; stop M0; forget S2; forget S1
        go M1 S0 S1; free S0 S1""",
    ),
    Story(
        "holders change where a recovery was not finished",
        """stop M0; go M0 S2 S3 -S1; deliver S2; deliver S3; deliver S2; leave S3
        go M1 S0 S1 S3 -S0; deliver S1; deliver S3; deliver S1
        stop M0; stop M1; forget S2; forget S1; forget S3
        go M0 S0 S2; free S0 S2; go M1 S1 S3; free S1 S3
        begin M0 T0; finish T0; begin M1 T1; finish T1""",
        TWINS,
    ),
    Story(
        "a region may change all its nodes at once",
        """stop M0; go M0 S1 S2 S3 +S3 -S0; deliver S1; deliver S2; deliver S3; deliver S1
        stop M0; forget S1; forget S2; forget S3
        go M0 S1 S3; free S1 S3; go M1 S0 S2; free S0 S2
        begin M0 T0; finish T0; begin M1 T1; finish T1""",
        spares=(1,),
    ),
    Story(
        "two regions may come and go at a time",
        """stop M0; go M0 S1 S2 S3 +S3 -S0; deliver S1; deliver S2; deliver S3; deliver S1
        stop M0; forget S1; forget S2; forget S3
        go M0 S0 S2; free S0 S2; go M1 S1 S3; free S1 S3
        begin M0 T0; finish T0; begin M1 T1; finish T1""",
        spares=(4,),
    ),
    Story(
        "nobody with all is left",
        """stop M0; go M0 S0 S1; deliver S0; deliver S1; deliver S0; deliver S1; stop M0
        go M0 S0 S2; deliver S0; deliver S2; deliver S0; deliver S2; connect S1 M0
        deliver S1; stop M0; forget S1; go M0 S0 S1 S2 -S0
        deliver S1; deliver S2; deliver S1; leave S1; leave S2""",
    ),
    Story(
        "an empty disk counts in any epoch",
        """begin M0 T0; leave S0; wipe S0; finish T0; deliver S1; leave S1; stop M0
        forget S2; go M1 S0 S1; free S0 S1""",
    ),
    Story(
        "an empty disk takes part in a change",
        """begin M0 T0; finish T0; deliver S0; deliver S1; deliver S2; stop M0
        forget S0; forget S1; forget S2; wipe S0; go M0 S0 S1 S2 S3 +S3; deliver S0
        stop M0; forget S0; forget S1; forget S2; forget S3; go M1 S0 S1; free S0 S1""",
        spares=(1,),
    ),
)
"""In the order of the clauses; the number of a story is its place."""

LAYOUTS = ((THREE, ()), (THREE, ()), (TWINS, ()), (THREE, (1,)), (THREE, (4,)))
STEP_COUNT = 400
"""A quarter of them is possible. A recovery takes five."""

TRANSACTION_COUNT = 9
MASTERS = ("M0", "M1")
CHANGED_FRACTION = 0.2
"""So many recoveries are asked for other holders."""

LOST_FRACTION = 0.3
"""In so many stories a disk may be lost."""

LIKELY = (
    *["deliver"] * 60, *["begin"] * 8, *["finish"] * 12, *["go"] * 6, "leave", "leave",
    "lose", *["notice"] * 8, *["connect"] * 8, "stop", *["replicate"] * 8,
    "free", "hold", "read", "wipe",
)  # fmt: skip
"""What happens next, as often as it stands here."""


def draw_story(entropy: Random) -> Story:
    """Return any steps: those that are not possible when they come are left out."""
    founders, spares = entropy.choice(LAYOUTS)
    storages = [f"S{it}" for it in range(len(founders) + len(spares))]
    # More than one lost disk waits for a human.
    lost = entropy.choice(storages) if entropy.random() < LOST_FRACTION else ""
    steps = []
    for _ in range(STEP_COUNT):
        verb = entropy.choice(LIKELY)
        storage, master = entropy.choice(storages), entropy.choice(MASTERS)
        transaction = f"T{entropy.randrange(TRANSACTION_COUNT)}"
        words = {
            "notice": [master, storage],
            "lose": [master, storage],
            "stop": [master],
            "read": [master],
            "connect": [storage, master],
            "begin": [master, transaction],
            "finish": [transaction],
            "wipe": [lost] if lost else [],
        }.get(verb, [storage])
        if not words or (verb == "wipe" and lost in storages[len(founders) :]):
            continue
        if verb == "go":
            count = entropy.randrange(2, len(storages) + 1)
            words = [master, *entropy.sample(storages, count)]
            if len(storages) > len(THREE) and entropy.random() < CHANGED_FRACTION:
                # Of two regions that are left, a lost disk waits for a human, too.
                words.append(("+" if lost else entropy.choice("+-")) + storage)
        steps.append(" ".join((verb, *words)))
    return Story("", "; ".join(steps), founders, spares)
