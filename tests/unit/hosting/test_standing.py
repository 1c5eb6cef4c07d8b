"""How far each region is with a change of them, in one sentence each."""

from __future__ import annotations

import pytest
from attrs import evolve

from slap.model import PartitionKey
from slap.reports import InstanceReport, TreeReport
from slapcluster.hosting.comings import choose_regions, look_at_regions
from slapcluster.hosting.numbering import Misasked

THREE = "paris=1 lyon=2 tokyo=3"
FOUR = f"{THREE} oslo=4"
SIGNING = (
    "has a key that waits to be signed:"
    " `slapcluster region sign cloud --root DIRECTORY`"
)
NUMBERS = {"paris": 1, "lyon": 2, "tokyo": 3}
PUBLISHED = {
    "address": "fd00::1",
    "settled": "1",
    "storage": "created",
    "replica-url": "https://[fd00::1]:20003",
}


def a_region(name: str, regions: str = THREE, cells: str = "", **changes):
    return InstanceReport(
        name,
        root_title="cloud",
        instance_guid=f"I-{name}",
        requester_title="cloud",
        software_release_url="http://release/",
        software_type="region",
        is_shared=False,
        requested_state="started",
        parameters={"regions": regions, "leg": "1", "cells": cells},
        partition=PartitionKey(f"COMP-{name}", "slappart0"),
        connection_parameters=PUBLISHED,
        **changes,
    )


def a_tree(*regions: InstanceReport, wanted: str = THREE) -> TreeReport:
    root = evolve(
        a_region("cloud"), software_type="default", parameters={"regions": wanted}
    )
    return TreeReport("cloud", (root, *regions))


def published(**changes: str):
    return {**PUBLISHED, **changes}


@pytest.mark.parametrize(
    ("region", "sentence"),
    [
        (a_region("lyon"), "is there"),
        (None, "is to be asked for"),
        (
            evolve(a_region("lyon"), partition=None),
            "has no place yet: `slapcluster why lyon --root cloud` says why",
        ),
        (
            evolve(a_region("lyon"), reported_state="error", message="log\nno disk"),
            "fails: no disk",
        ),
        (evolve(a_region("lyon"), connection_parameters={}), "begins"),
        (
            evolve(
                a_region("lyon"), connection_parameters=published(**{"replica-url": ""})
            ),
            SIGNING,
        ),
        (
            evolve(a_region("lyon"), connection_parameters=published(settled="")),
            "takes up its leg",
        ),
        (
            evolve(
                a_region("lyon", cells="wait"),
                connection_parameters=published(settled=""),
            ),
            "begins without cells",
        ),
        (a_region("lyon", cells="wait"), "waits for its cells"),
        (a_region("lyon", cells="drop 4"), "has cells of others dropped"),
        (a_region("lyon", FOUR), "its turn comes"),
    ],
)
def test_a_region_that_is_wanted_says_what_it_waits_for(region, sentence):
    others = (a_region("paris"), a_region("tokyo"))
    tree = a_tree(*others, *([region] if region else []))

    found = {it.name: it for it in look_at_regions(tree, NUMBERS)}

    assert found["lyon"].sentence == sentence
    assert found["lyon"].is_done == (sentence == "is there")
    assert found["paris"].is_done
    assert found["paris"].computer_id == "COMP-paris"


def test_a_region_that_leaves_is_told_until_it_is_gone():
    regions = (a_region(it) for it in NUMBERS)
    for requested_state, sentence in (
        ("started", "leaves"),
        ("destroyed", "is destroyed"),
    ):
        oslo = evolve(a_region("oslo", FOUR), requested_state=requested_state)
        *_, last = look_at_regions(a_tree(*regions, oslo), NUMBERS)
        assert (last.name, last.sentence, last.is_done) == ("oslo", sentence, False)


def test_who_comes_back_while_it_leaves_keeps_its_number():
    tree = a_tree(*(a_region(it, FOUR) for it in (*NUMBERS, "oslo")))

    assert choose_regions(tree, ["oslo"], ["lyon"]) == {
        "paris": 1,
        "tokyo": 3,
        "oslo": 4,
    }
    assert choose_regions(tree, ["rome", "nice"], []) == {
        **NUMBERS,
        "rome": 5,
        "nice": 6,
    }
    with pytest.raises(Misasked, match="oslo: it comes or leaves"):
        choose_regions(tree, ["oslo"], ["oslo"])
