"""A gap falls into phases that follow each other."""

from __future__ import annotations

from benchmarks.phases import PHASES, Gap, Record, split

GAP = Gap(100.0, 100.5, 110.0)


def of_master(seconds: float, region: int, text: str) -> Record:
    return Record(seconds, "neomaster", region, text)


def of_storage(seconds: float, region: int, text: str) -> Record:
    return Record(seconds, "neostorage", region, text)


RECOVERY = (
    of_master(99.0, 1, "verdict: runs"),
    of_master(101.0, 2, "connection closed for <it, handler=PrimaryHandler>"),
    of_storage(101.5, 2, "primary master is down: connection lost"),
    of_storage(102.0, 3, "primary master is down: connection lost"),
    of_master(101.2, 2, "begin the recovery of the status"),
    of_master(101.3, 3, "begin the recovery of the status"),
    of_master(104.0, 3, "verdict: follows the neo_master of there"),
    # It joined the candidate that lost.
    of_storage(104.1, 3, "primary master is down: connection lost"),
    of_master(105.0, 2, "a majority is there: 2 of 3"),
    of_master(106.0, 2, "verdict: begins epoch 7"),
    of_master(106.5, 2, "verdict: runs"),
    of_storage(106.6, 2, "doing operation"),
    of_storage(106.6, 3, "doing operation"),
    Record(109.0, "client", 3, "Connected and ready"),
    of_master(111.0, 3, "verdict: runs"),
)


def test_a_recovery_has_each_phase_and_they_are_the_gap() -> None:
    """The last storage node that noticed counts, and whoever noticed for itself."""
    assert split(GAP, RECOVERY) == {
        "the fault comes": 0.5,
        "the loss is noticed": 1.5,
        "a neo_master is a candidate": 0.0,
        "the neo_masters agree": 2.0,
        "a majority comes": 1.0,
        "others are waited for": 1.0,
        "promise, verdict, table, commit": 0.5,
        "the client connects": 2.5,
        "a commit": 1.0,
    }


def test_an_election_that_ends_after_the_majority_is_not_waited_for() -> None:
    late = of_master(105.5, 3, "verdict: follows the neo_master of there")
    records = [late if "follows" in it.text else it for it in RECOVERY]

    phases = split(GAP, records)

    assert phases["the neo_masters agree"] == 0.0
    assert phases["a majority comes"] == 3.0


def test_a_gap_without_a_recovery_is_noticed_and_goes_on() -> None:
    phases = split(GAP, [of_master(103.0, 1, "storage node lost")])

    others = dict.fromkeys(PHASES, 0.0)
    assert phases == {
        **others,
        "the fault comes": 0.5,
        "the loss is noticed": 2.5,
        "a commit": 7.0,
    }
