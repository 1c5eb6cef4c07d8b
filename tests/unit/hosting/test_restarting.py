"""When a region may be started anew by another release."""

from __future__ import annotations

import pytest
from attrs import evolve

from replication.answers import Answer, CellSeen
from slapcluster.hosting.planning import InForce
from slapcluster.hosting.restarting import obstacle_to_restart
from tests.unit.hosting.regions import NAMES, a_region, all_published, an_answer

OLD, NEW = "http://old/", "http://new/"
LYON = InForce(
    "lyon",
    2,
    all_published(lyon=True),
    admin_node="10.0.0.2:20002",
    release_url=OLD,
    leg="3",
)


def cells(**states: str) -> tuple[CellSeen, ...]:
    known = {**dict.fromkeys(NAMES, "UP_TO_DATE"), **states}
    return tuple(
        CellSeen(f"S{number}00001", known[name]) for number, name in enumerate(NAMES, 1)
    )


def an_answer_of(names=NAMES, **states: str) -> Answer:
    return an_answer("RUNNING", names, cells(**states), "RUNNING")


UNKNOWN = "nobody knows who else has everything"
NEEDED = "tokyo has not everything just now, so lyon is needed"


@pytest.mark.parametrize(
    ("in_force", "answer", "obstacle"),
    [
        (LYON, an_answer_of(), ""),
        (LYON, an_answer_of(lyon="OUT_OF_DATE"), ""),
        (LYON, an_answer_of(("paris", "tokyo")), ""),
        (LYON, an_answer_of(tokyo="OUT_OF_DATE"), NEEDED),
        (LYON, an_answer_of(("paris", "lyon")), NEEDED),
        (
            LYON,
            an_answer_of(("lyon",)),
            "paris, tokyo has not everything just now, so lyon is needed",
        ),
        (
            LYON,
            evolve(an_answer_of(), cluster_state="RECOVERING"),
            f"{UNKNOWN}: NEO is RECOVERING",
        ),
        (
            LYON,
            evolve(an_answer_of(), is_primary_silent=True),
            f"{UNKNOWN}: the neo_master that is primary does not answer",
        ),
        (
            LYON,
            Answer("", failure="no answer within 4 s"),
            f"{UNKNOWN}: the admin node says no answer within 4 s",
        ),
        (
            LYON,
            None,
            f"{UNKNOWN}: the admin node says nothing",
        ),
        # Nobody relies on it: there is nothing, or it is in the middle of a leg.
        (None, None, ""),
        (evolve(LYON, admin_node=""), None, ""),
        (evolve(LYON, published=all_published()), None, ""),
        (evolve(LYON, leg="4"), an_answer_of(tokyo="OUT_OF_DATE"), ""),
        # Its programs are those of the release already.
        (evolve(LYON, release_url=NEW), None, ""),
        # Written by a release that did not say which one it is.
        (evolve(LYON, release_url=""), None, UNKNOWN),
    ],
)
def test_who_is_needed_for_a_majority_is_left_alone(in_force, answer, obstacle):
    found = obstacle_to_restart(in_force, a_region("lyon"), NEW, "3", answer)

    assert found.startswith(obstacle)
    assert bool(found) == bool(obstacle)


FIVE = "paris=1 lyon=2 tokyo=3 oslo=4 rome=5"


def test_a_region_takes_up_others_when_it_can_reach_all_that_have_cells():
    """Those that come have published; those that are forgotten have no cells."""
    wanted = a_region("lyon", regions=FIVE)

    def found(wanted, in_force=LYON, answer=None) -> str:
        seen = answer or an_answer_of()
        return obstacle_to_restart(in_force, wanted, OLD, "3", seen)

    assert found(wanted) == "oslo, rome has not published yet"
    linked = LYON.published["paris"]
    others = dict.fromkeys(("oslo", "rome"), linked)
    assert found(evolve(wanted, others=others)) == ""
    lacking = an_answer_of(tokyo="OUT_OF_DATE")
    assert found(evolve(wanted, others=others), answer=lacking) == NEEDED
    five = evolve(LYON, published={**LYON.published, **others})
    assert found(a_region("lyon"), five) == ""
    still = an_answer("RUNNING", NAMES, (*cells(), CellSeen("S500007", "UP_TO_DATE")))
    told = "region 5 has cells, and is none of those it is to know"
    assert found(a_region("lyon"), five, still) == told
    # In the middle of a leg too.
    assert found(a_region("lyon"), evolve(five, leg="4"), still) == told


def test_of_five_regions_one_may_be_away_already():
    row = tuple(CellSeen(f"S{number}00001", "UP_TO_DATE") for number in range(1, 6))
    linked = LYON.published["paris"]
    wanted = evolve(
        a_region("lyon", regions=FIVE), others={"oslo": linked, "rome": linked}
    )
    nodes = an_answer_of().nodes

    def found(*there: int) -> str:
        seen = tuple(evolve(nodes[0], node_id=f"S{it}00001") for it in there)
        answer = evolve(an_answer_of(), nodes=seen, rows=(row,))
        return obstacle_to_restart(LYON, wanted, NEW, "3", answer)

    assert found(1, 2, 3, 4) == ""
    assert found(1, 2, 3) == (
        "oslo, rome has not everything just now, so lyon is needed"
    )
