"""Shell. Lives of a simulated neo_cluster under random faults, and whether all holds.

``play`` is one life: what clients were told has to be there in the end, and all copies
have to be equal. In a tunnelled life stunnels have faults too.
"""

from __future__ import annotations

from traceback import format_exception
from types import ModuleType

from attrs import frozen

from labsim.lives.neo_faults import FAULTS, TUNNELLED_FAULTS
from labsim.lives.neo_life import Life
from labsim.world.world import WorldStuck
from replication import quorum


@frozen
class Verdict:
    """How a life went: ``""`` when all holds, else what does not."""

    seed: int
    sentence: str
    commit_count: int
    doubt_count: int
    epoch_count: int
    digest: str

    def __bool__(self) -> bool:
        return not self.sentence


def play(
    seed: int, rule: ModuleType = quorum, *, is_tunnelled: bool = False
) -> Verdict:
    """Play one life; the verdict says what does not hold."""
    faults = TUNNELLED_FAULTS if is_tunnelled else FAULTS
    life = Life(seed, rule, faults, is_tunnelled)
    try:
        life.run()
        sentence = next(life.problems(), "")
    except WorldStuck as error:
        sentence = "" if life.waits_for_a_human() else str(error)
    except Exception as error:  # noqa: BLE001 - a changed rule breaks who asks it
        sentence = "".join(format_exception(error))
    return Verdict(
        seed,
        sentence,
        len(life.commits),
        life.doubt_count,
        len(life.happenings),
        life.world.digest(),
    )


def find_problem(seed: int) -> str:
    """Play one life under the rule of this interpreter."""
    return play(seed).sentence
