"""What the doctor says: one sentence each, with what to do."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from slapcluster.bootstrap.wanted_cloud import WantedCloud, WantedComputer
from slapcluster.doctor.encounters import HERE, Outcome
from slapcluster.doctor.examination import (
    DiskFound,
    Examination,
    Listener,
    NotUnderstood,
    read_examination,
)
from slapcluster.doctor.judging import (
    Heard,
    Verdict,
    judge_computers,
    judge_examination,
    judge_outcomes,
)
from slapcluster.documents import document_of

OK, WARNING, FAILURE = Verdict.OK, Verdict.WARNING, Verdict.FAILURE
GIB = 1024**3
KEEP = ": have NTP keep both clocks"
BORNE = f", and 60 s are borne{KEEP}"
VERSIONS = "paris-1 has 0.1.0, lyon-1 has 0.1.0, tokyo-1 has 0.2.0"
EACH = ": one in each region, and one for its root"
DISK = DiskFound("/srv", 100 * GIB, 1_000_000, 0.002, 0.010)
FINE = Examination(
    now=1000.0,
    version="0.1.0",
    settings="/etc/slapos.cfg",
    software=evolve(DISK, path="/opt"),
    instances=DISK,
    partition_count=4,
    stunnel="stunnel 5.68 on x86_64-pc-linux-gnu platform",
    addresses=("127.0.0.1", "::1", "2001:db8:1::1"),
)
PARIS, LYON, TOKYO = (
    WantedComputer(f"{region}-1", region, ("ssh", region), f"2001:db8:{number}::1")
    for number, region in enumerate(("paris", "lyon", "tokyo"), start=1)
)
CLOUD = WantedCloud("cloud", "2001:db8:1::1", 5443, (PARIS, LYON, TOKYO))


def flushes(median: float, worst: float) -> Examination:
    disk = evolve(DISK, median_seconds=median, worst_seconds=worst)
    return evolve(FINE, instances=disk)


def bad(findings):
    return [
        (it.subject, it.check, it.verdict, it.sentence)
        for it in findings
        if it.verdict is not OK
    ]


def a_computer(number: int, ahead: float = 0.0, **changed) -> Heard:
    own = evolve(FINE, addresses=(f"2001:db8:{number}::1",), **changed)
    return Heard(999.0, 1001.0, evolve(own, now=1000.0 + ahead))


def all_heard(**changed: Heard) -> dict[str, Heard]:
    fine = {f"{it.region}-1": a_computer(n) for n, it in enumerate(CLOUD.computers, 1)}
    return fine | {f"{region}-1": it for region, it in changed.items()}


def test_a_computer_that_will_do_has_no_bad_finding() -> None:
    assert bad(judge_examination("paris-1", FINE)) == []


@pytest.mark.parametrize(
    ("examination", "check", "verdict", "sentence"),
    [
        (evolve(FINE, stunnel=""), "stunnel", FAILURE, "install the package stunnel4"),
        (evolve(FINE, stunnel="stunnel 4.57 on"), "stunnel", FAILURE, "version 5 is"),
        (
            evolve(FINE, software=evolve(DISK, free_bytes=GIB)),
            "software disk",
            FAILURE,
            "1024 MiB are free at /srv, and 2048 are wanted: make room",
        ),
        (
            evolve(FINE, instances=evolve(DISK, free_bytes=1)),
            "instance disk",
            FAILURE,
            "0 MiB are free at /srv, and 256 are wanted: make room",
        ),
        (
            evolve(FINE, software=evolve(DISK, file_count_free=9)),
            "software disk",
            FAILURE,
            "9 more files fit",
        ),
        (flushes(0.03, 0.1), "fsync", WARNING, "median 30 ms, worst 100 ms: changes"),
        (flushes(0.002, 1.5), "fsync", WARNING, "see what else uses this disk"),
        (flushes(0.6, 0.7), "fsync", FAILURE, "use another disk for instances"),
        (flushes(0.000_001, 0.001), "fsync", WARNING, "memory and no disk"),
        (
            evolve(FINE, instances=DiskFound("/srv", GIB, trouble="Permission denied")),
            "fsync",
            WARNING,
            "not tried at /srv: Permission denied; run it as who may write",
        ),
        (evolve(FINE, addresses=("::1",)), "addresses", WARNING, "no lasting IPv6"),
        (evolve(FINE, addresses=("10.0.0.1",)), "addresses", FAILURE, "no lasting"),
        (evolve(FINE, network_trouble="no ip"), "addresses", WARNING, "no ip"),
        (
            evolve(FINE, listeners=(Listener("::", 20000, "nginx"),)),
            "ports",
            FAILURE,
            "[::]:20000 is taken by nginx: have them listen elsewhere",
        ),
        (evolve(FINE, partition_count=0), "partitions", FAILURE, "partition_amount"),
        (
            evolve(FINE, settings_trouble="no section; mend it"),
            "settings",
            FAILURE,
            "/etc/slapos.cfg: no section; mend it",
        ),
    ],
)
def test_what_is_wrong_with_one_computer(examination, check, verdict, sentence) -> None:
    ((_, its_check, its_verdict, its_sentence),) = bad(
        judge_examination("paris-1", examination)
    )

    assert (its_check, its_verdict) == (check, verdict)
    assert sentence in its_sentence


def test_listeners_of_the_agent_itself_are_as_wanted() -> None:
    own = Listener("10.0.0.1", 20000, "python", is_own=True)

    assert bad(judge_examination("a", evolve(FINE, listeners=(own,)))) == []


def test_computers_that_will_do_together() -> None:
    assert bad(judge_computers(CLOUD, all_heard())) == []


@pytest.mark.parametrize(
    ("heard", "wanted"),
    [
        (
            {"lyon": Heard(999.0, 1001.0, failure="no route")},
            ("lyon-1", "command", FAILURE, "no route"),
        ),
        (
            {"lyon": a_computer(2, ahead=63)},
            (
                "all",
                "clocks",
                FAILURE,
                f"lyon-1 is at least 62.0 s ahead of this computer{BORNE}",
            ),
        ),
        (
            {"lyon": a_computer(2, ahead=40), "tokyo": a_computer(3, ahead=-40)},
            (
                "all",
                "clocks",
                FAILURE,
                f"lyon-1 is at least 78.0 s ahead of tokyo-1{BORNE}",
            ),
        ),
        (
            {"tokyo": a_computer(3, ahead=-3)},
            (
                "all",
                "clocks",
                WARNING,
                f"this computer is at least 2.0 s ahead of tokyo-1{KEEP}",
            ),
        ),
        (
            {"tokyo": a_computer(3, version="0.2.0")},
            (
                "all",
                "version",
                WARNING,
                f"{VERSIONS}: install the same on all",
            ),
        ),
        (
            {"tokyo": a_computer(4)},
            (
                "tokyo-1",
                "address",
                FAILURE,
                "none of its interfaces has 2001:db8:3::1: mend the file, or add it",
            ),
        ),
    ],
)
def test_what_is_wrong_among_computers(heard, wanted) -> None:
    assert bad(judge_computers(CLOUD, all_heard(**heard))) == [wanted]


def test_a_difference_that_an_answer_may_have_taken_is_none() -> None:
    heard = all_heard(lyon=Heard(900.0, 1001.0, a_computer(2).examination))

    assert bad(judge_computers(CLOUD, heard)) == []


def test_the_master_needs_a_partition_more_than_there_are_regions() -> None:
    one = {
        it: a_computer(n, partition_count=1) for n, it in ((1, "paris"), (2, "lyon"))
    }
    heard = all_heard(**one, tokyo=a_computer(3, partition_count=1))

    assert bad(judge_computers(CLOUD, heard)) == [
        (
            "all",
            "partitions",
            FAILURE,
            f"3 in all, and the master needs 4{EACH}",
        )
    ]


def test_who_has_no_command_is_told_what_to_type() -> None:
    plain = WantedComputer("tokyo-1", "tokyo", settings="/etc/slapos.cfg")
    wanted = evolve(CLOUD, computers=(PARIS, LYON, plain))
    heard = all_heard()
    del heard["tokyo-1"]

    assert bad(judge_computers(wanted, heard)) == [
        (
            "tokyo-1",
            "command",
            WARNING,
            (
                "the file has no command for it: type there: slapcluster node --cfg "
                "/etc/slapos.cfg examine"
            ),
        )
    ]


def visits(*outcomes: Outcome, heard=None):
    return bad(judge_outcomes(CLOUD, heard or all_heard(), {"paris-1": outcomes}))


def an_outcome(port: int = 20000, **fields) -> Outcome:
    return Outcome("lyon-1", "2001:db8:2::1", port, **fields)


def test_ways_that_are_there() -> None:
    assert visits(an_outcome(seconds=0.03), an_outcome(20001, seconds=0.02)) == []


def test_ways_that_are_not_there() -> None:
    ways = (an_outcome(seconds=0.03), an_outcome(20001, failure="no answer"))

    assert visits(*ways) == [
        (
            "paris-1 (paris) to lyon-1 (lyon)",
            "way",
            FAILURE,
            (
                "2001:db8:2::1 is not reached at 20001: no answer; let TCP through, on "
                "routers and firewalls of both"
            ),
        )
    ]


def test_a_stranger_is_somebody_else_and_not_the_master_that_is_there_already() -> None:
    stranger = an_outcome(is_stranger=True)
    own = a_computer(2, listeners=(Listener("::", 20000, "stunnel", is_own=True),))

    ((_, _, verdict, sentence),) = visits(stranger)

    assert (verdict, sentence) == (
        FAILURE,
        "another program answers at 2001:db8:2::1, 20000: end it",
    )
    assert visits(stranger, heard=all_heard(lyon=own)) == []


@pytest.mark.parametrize(
    ("computer_id", "verdict"), [("", FAILURE), ("COMP-1", WARNING)]
)
def test_the_mini_master_must_be_reached_by_who_has_not_joined(
    computer_id, verdict
) -> None:
    lost = Outcome(HERE, "2001:db8:1::1", 5443, failure="there is no route")
    heard = all_heard(paris=a_computer(1, computer_id=computer_id))

    ((subject, _, its_verdict, sentence),) = visits(lost, heard=heard)

    assert (subject, its_verdict) == ("paris-1 to the mini-master", verdict)
    assert "is not reached at 5443: there is no route" in sentence


def test_an_examination_travels_as_json_and_what_is_new_is_passed_over() -> None:
    document = json.loads(json.dumps(document_of(FINE)))

    assert read_examination({**document, "of_later": 1}) == FINE


@pytest.mark.parametrize("document", [None, [], {}, {"now": "late"}])
def test_what_is_no_examination_is_refused(document) -> None:
    with pytest.raises(NotUnderstood):
        read_examination(document)
