"""How acknowledged transactions were lost by rules with a clause less than ours.

Each story is a script. It is played on the rule, where what the rule does not allow is
skipped and everything comes back at the end, and on the rule without the clause.
"""

from __future__ import annotations

from types import ModuleType

from attrs import frozen

from labsim.mutants.mutant import Change
from tests.model.mutants import in_storage, load, named_mutant
from tests.model.scopes import ONE, THREE
from tests.model.search import read_step
from tests.model.walks import conclude, heal
from tests.model.world import Broken, Scope

CUTS = RECOVERIES = 9
"""More than a script has; what is not offered is for another reason."""


@frozen
class Story:
    """``script`` has steps as they are typed: what happens, then to whom."""

    number: int
    title: str
    changes: tuple[Change, ...]
    script: str


def play(neo: ModuleType, story: Story) -> list[str]:
    """Return what happens, line by line."""
    scope = Scope(
        name=story.title, cuts=CUTS, recoveries=RECOVERIES, touched=ONE * 2, **THREE
    )
    model = neo.Model(scope, is_telling=True)
    world = model.beginning()
    lines = []
    texts = [text.strip() for text in story.script.replace("\n", ";").split(";")]
    try:
        for instant, text in enumerate(texts, start=1):
            step = read_step(text)
            if step not in set(model.steps(world)):
                lines.append(f"{instant:3} -- -- --  not possible: {text}")
                continue
            world, told = model.play(world, step)
            lines += [f"{instant:3} {line}" for line in told]
        model.inspect(world)
        world, told = heal(model, world)
        lines += [f"  . {line}" for line in told]
        lines.append(f"END {conclude(neo, model, world)}")
    except Broken as error:
        told = error.args[1] if len(error.args) > 1 else []
        lines += [f"  ! {line}" for line in told]
        lines.append(f"BROKEN {error.args[0]}")
    return lines


STORIES = (
    Story(
        1,
        "stock: a side without a majority starts",
        named_mutant("a recovery needs no majority").changes,
        """begin M0 T0; finish T0; deliver S0; deliver S1; lose M0 S2; forget S2
        go M1 S2; deliver S2; deliver S2""",
    ),
    Story(
        2,
        "the first version of the rule: a verdict that no disk has",
        (in_storage("locks=locks, verdict=verdict)", "locks=0, verdict=0)"),),
        """begin M0 T0; finish T0; deliver S0; deliver S1; lose M0 S2; forget S2
        deliver S0; deliver S0; leave S1; stop M0
        go M1 S1 S2; deliver S1; deliver S2; deliver S2; leave S2; notice M1 S2
        forget S1; go M0 S0 S2; deliver S0; deliver S2; deliver S0; deliver S2
        deliver S2""",
    ),
    Story(
        3,
        "no promise",
        named_mutant("a promise is not kept").changes,
        """begin M0 T0; finish T0; deliver S2; lose M0 S0; forget S0; deliver S2
        lose M0 S1; forget S1
        go M1 S0 S1; deliver S0; deliver S1; deliver S0; leave S1; notice M1 S1
        go M0 S1 S2; deliver S1; deliver S2; deliver S1; deliver S2; deliver S2
        leave S2; go M1 S0 S2""",
    ),
    Story(
        4,
        "locked by a verification before the table is there",
        named_mutant("refuted: locked before the table is there").changes,
        """leave S2; notice M0 S2; deliver S1; begin M0 T0; finish T0; deliver S1
        stop M0; forget S0; go M0 S0 S1; deliver S0; deliver S1; deliver S0; leave S0
        go M1 S0 S2; deliver S0; deliver S2; deliver S2; deliver S0""",
    ),
    Story(
        5,
        "a stale lock",
        named_mutant("locks below the top epoch count").changes,
        """begin M0 T0; finish T0; deliver S1; stop M0; forget S0; forget S2
        go M0 S0 S2; deliver S0; deliver S2; deliver S0; deliver S2; leave S0
        go M1 S0 S1; deliver S0; deliver S1; deliver S0; deliver S1""",
    ),
    Story(
        6,
        "in doubt, and forgotten",
        named_mutant("in doubt is forgotten").changes,
        """begin M0 T0; finish T0; deliver S1; lose M0 S0; forget S0; connect S0 M0
        deliver S0; deliver S0; lose M0 S2; forget S2; deliver S1; deliver S1
        deliver S0; connect S2 M0; deliver S2; deliver S2; replicate M0 S2 P0
        deliver S2; begin M0 T1; finish T1; deliver S0; deliver S1; deliver S1
        deliver S2; deliver S0; stop M0; forget S0; forget S1; forget S2
        go M1 S1 S2; deliver S1; deliver S2; deliver S1; deliver S2""",
    ),
    Story(
        7,
        "a locker that died is counted",
        named_mutant("lockers that were lost count").changes,
        """begin M0 T0; finish T0; deliver S1; leave S1; notice M0 S1; connect S1 M0
        deliver S1; deliver S1; deliver S2; lose M0 S0; forget S0; stop M0
        forget S1; forget S2
        go M1 S0 S1; deliver S0; deliver S1; deliver S0; deliver S1""",
    ),
    Story(
        8,
        "a lock of a node that is out of date",
        named_mutant("locks of nodes that are out of date are ignored").changes,
        """leave S0; notice M0 S0; deliver S1; deliver S2; connect S0 M0; deliver S0
        deliver S0; begin M0 T0; finish T0; deliver S1; deliver S0
        lose M0 S2; forget S2; stop M0; forget S0; forget S1
        go M1 S0 S2; deliver S0; deliver S2; deliver S0; deliver S2""",
    ),
)


def tell(story: Story) -> str:
    """Return both plays of a story, as its transcript has them."""
    with_rule = play(load(), story)
    without = play(load(story.changes), story)
    return "\n".join(
        (
            f"{story.number}. {story.title}",
            "",
            "with the rule",
            *with_rule,
            "",
            "without the clause",
            *without,
            "",
        )
    )
