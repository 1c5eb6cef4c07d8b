"""Whether a silence is stuck or allowed, case by case."""

from __future__ import annotations

import pytest
from attrs import evolve

from labsim.checkers.waiting import (
    Judgement,
    RegionSight,
    Sight,
    StorageSight,
    judge_silence,
)

UP = StorageSight()
DOWN = StorageSight(is_up=False)
BEHIND = StorageSight(is_readable=False)

STUCK = Judgement.STUCK
WAIT = Judgement.ALLOWED_TO_WAIT


def regions(count=3, **changed):
    """``a``, ``b``, ``c`` ...; a keyword gives the fields of a region that differ."""
    names = "abcdefg"[:count]
    return tuple(evolve(RegionSight(name), **changed.get(name, {})) for name in names)


DARK = {"storages": (DOWN,), "has_neo_master": False, "has_master": False}
"""A region without power."""


def both(*pairs):
    return tuple(it for pair in pairs for it in (tuple(pair), tuple(pair[::-1])))


def without(part, names):
    return {name: {part: False} for name in names}


def chain(names):
    """All ways are cut but those between neighbours."""
    return both(
        *(one + other for i, one in enumerate(names) for other in names[i + 2 :])
    )


CASES = {
    "all is well": (STUCK, Sight(regions()), "a"),
    "another region is dark": (STUCK, Sight(regions(c=DARK)), "a"),
    "the asker's own region is dark": (STUCK, Sight(regions(a=DARK)), "a"),
    "two of three are dark": (WAIT, Sight(regions(b=DARK, c=DARK)), "a"),
    "all is dark": (WAIT, Sight(regions(a=DARK, b=DARK, c=DARK)), "a"),
    "two of five are dark": (STUCK, Sight(regions(5, b=DARK, c=DARK)), "a"),
    "three of five are dark": (WAIT, Sight(regions(5, b=DARK, c=DARK, d=DARK)), "a"),
    "the asker is cut off": (WAIT, Sight(regions(), both("ab", "ac")), "a"),
    "another is cut off": (STUCK, Sight(regions(), both("ab", "ac")), "b"),
    "all are cut off": (WAIT, Sight(regions(), both("ab", "ac", "bc")), "a"),
    "a way is cut and there is one around it": (
        STUCK,
        Sight(regions(), both("ab")),
        "a",
    ),
    "a way is cut in one direction": (
        STUCK,
        Sight(regions(), (("a", "b"),)),
        "a",
    ),
    "one-way cuts leave no conversation": (
        WAIT,
        Sight(regions(), (("a", "b"), ("c", "a"), ("b", "c"))),
        "a",
    ),
    "two halves of four": (
        WAIT,
        Sight(regions(4), both("ac", "ad", "bc", "bd")),
        "a",
    ),
    "three of four together, seen from there": (
        STUCK,
        Sight(regions(4), both("ad", "bd", "cd")),
        "a",
    ),
    "three of four together, seen from the fourth": (
        WAIT,
        Sight(regions(4), both("ad", "bd", "cd")),
        "d",
    ),
    "a majority in a chain, none with all of it": (
        WAIT,
        Sight(regions(7), chain("abcdefg")),
        "a",
    ),
    "a majority in a chain, the second has all of it": (
        STUCK,
        Sight(regions(5), chain("abcde")),
        "a",
    ),
    "the asker reaches no master that reaches the second": (
        WAIT,
        Sight(regions(5, **without("has_neo_master", "acde")), chain("abcde")),
        "e",
    ),
    "no neo_master": (
        WAIT,
        Sight(regions(**without("has_neo_master", "abc"))),
        "a",
    ),
    "one neo_master is enough": (
        STUCK,
        Sight(regions(**without("has_neo_master", "ab"))),
        "a",
    ),
    "the only neo_master is behind a cut": (
        WAIT,
        Sight(regions(**without("has_neo_master", "ab")), both("ac", "bc")),
        "a",
    ),
    "no master": (
        WAIT,
        Sight(regions(**without("has_master", "abc"))),
        "a",
    ),
    "the only master is behind a cut": (
        WAIT,
        Sight(regions(**without("has_master", "ab")), both("ac")),
        "a",
    ),
    "the only master is behind no cut": (
        STUCK,
        Sight(regions(**without("has_master", "ab")), both("ac")),
        "b",
    ),
    "half of a region's storage nodes are no vote": (
        WAIT,
        Sight(regions(a={"storages": (UP, DOWN)}, b=DARK)),
        "a",
    ),
    "all storage nodes of a region are one vote": (
        WAIT,
        Sight(regions(a={"storages": (UP, UP, UP)}, b=DARK, c=DARK)),
        "a",
    ),
    "a majority that is behind": (
        WAIT,
        Sight(regions(a={"storages": (BEHIND,)}, b={"storages": (BEHIND,)}, c=DARK)),
        "a",
    ),
    "a majority of which one has all": (
        STUCK,
        Sight(regions(a={"storages": (BEHIND,)}, c=DARK)),
        "a",
    ),
    "the one that has all is half of a region": (
        STUCK,
        Sight(
            regions(
                a={"storages": (BEHIND,)},
                b={"storages": (BEHIND,)},
                c={"storages": (UP, DOWN)},
            )
        ),
        "a",
    ),
    "the one that has all is cut off": (
        WAIT,
        Sight(
            regions(a={"storages": (BEHIND,)}, b={"storages": (BEHIND,)}),
            both("ac", "bc"),
        ),
        "a",
    ),
    "one region of one": (STUCK, Sight(regions(1)), "a"),
    "a region of clients alone": (
        STUCK,
        Sight(
            regions(4, a=DARK, d={"storages": (), "has_neo_master": False}),
            both("ad", "bd"),
        ),
        "d",
    ),
    "a region of clients alone has no vote": (
        WAIT,
        Sight(regions(4, a=DARK, b=DARK, d={"storages": ()})),
        "d",
    ),
    "a master that reaches the same majority and no neo_master": (
        WAIT,
        Sight(
            regions(
                5,
                a={"has_neo_master": False},
                e={"has_master": False},
                **{
                    name: {"has_neo_master": False, "has_master": False}
                    for name in "bcd"
                },
            ),
            both("ae"),
        ),
        "a",
    ),
    "a master that reaches no majority": (
        WAIT,
        Sight(
            regions(**without("has_master", "bc"), a={"storages": (DOWN,)}),
            both("ab"),
        ),
        "a",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_silence_is_judged(name):
    judgement, sight, asker = CASES[name]

    assert judge_silence(sight, asker).judgement is judgement


def test_a_verdict_says_who_could_answer():
    verdict = judge_silence(Sight(regions(c=DARK)), "a")

    assert verdict.reason == (
        "a, b of 3 regions are whole and connected, with a neo_master in a and a"
        " master in a, which a reaches"
    )


def test_a_verdict_says_what_is_missing():
    verdict = judge_silence(Sight(regions(b=DARK, c=DARK)), "a")

    assert verdict.reason == (
        "a reaches 1 whole regions of 3, 2 are needed; b has no neo_master;"
        " c has no neo_master"
    )


def test_a_sight_of_regions_that_are_not_there_is_refused():
    with pytest.raises(AssertionError, match="no such region"):
        Sight(regions(), (("a", "x"),))
