from __future__ import annotations

from attrs import evolve

from master_cluster.records import InstallationRecord, Report, ReportedState
from master_cluster.supplying import decide_supply, refuse_removal
from slap.model import SupplyState
from tests.builders import COMPUTER_ID, SOFTWARE_RELEASE_URL, an_installation

AVAILABLE, DESTROYED = SupplyState
KNOWN = InstallationRecord(
    SOFTWARE_RELEASE_URL,
    COMPUTER_ID,
    ordinal=3,
    report=Report(ReportedState.AVAILABLE, "", 5.0),
)


def test_a_new_release_comes_last() -> None:
    supplied = decide_supply(an_installation(), None, 7)

    assert supplied == InstallationRecord(SOFTWARE_RELEASE_URL, COMPUTER_ID, 8)


def test_the_last_word_wins_and_keeps_place_and_report() -> None:
    removed = decide_supply(an_installation(requested_state=DESTROYED), KNOWN, 7)

    assert removed == evolve(KNOWN, requested_state=DESTROYED)
    assert decide_supply(an_installation(), removed, 7) == KNOWN


def test_only_a_removal_that_is_requested_is_believed() -> None:
    assert refuse_removal(evolve(KNOWN, requested_state=DESTROYED)) is None
    assert refuse_removal(KNOWN) == (
        f"the removal of {SOFTWARE_RELEASE_URL} is not requested"
    )
