from __future__ import annotations

import pytest

from master_cluster.attributes import ATTRIBUTE_LENGTH_MAX, decide_attributes
from master_cluster.records import ComputerRecord
from slap.errors import BadRequest

COMPUTER = ComputerRecord("COMP-1", attributes={"region": "eu", "group": "a"})


def test_attributes_are_set_and_removed_and_the_others_stay() -> None:
    changed = decide_attributes(COMPUTER, {"cpu_core": "8", "group": ""})

    assert changed == ComputerRecord(
        "COMP-1", attributes={"cpu_core": "8", "region": "eu"}
    )


def test_what_is_not_there_is_removed_without_a_word() -> None:
    assert decide_attributes(COMPUTER, {"cpu_core": ""}) == COMPUTER


@pytest.mark.parametrize(
    "said",
    [
        {"colour": "red"},
        {"region": "x" * (ATTRIBUTE_LENGTH_MAX + 1)},
        {"region": "e\nu"},
    ],
)
def test_what_no_condition_can_ask_for_is_refused(said: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        decide_attributes(COMPUTER, said)
