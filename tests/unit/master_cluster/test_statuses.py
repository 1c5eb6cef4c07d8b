from __future__ import annotations

import pytest

from master_cluster.answering.answers import SPOKEN_BY_COMPUTERS, speaker
from master_cluster.contacts import CONTACT_COUNT_MAX, Contacts
from slap import calls
from slap.calls import Call
from slap.errors import NotFound
from slap.methods import METHODS
from slap.model import RequestedInstance
from slap.statuses import AccessStatus, Subject
from tests.builders import (
    COMPUTER_ID,
    SOFTWARE_RELEASE_URL,
    a_computer_definition,
    a_partition_key,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import WebBench

KEY = a_partition_key(0)
INSTALLATION = calls.get_installation_status(SOFTWARE_RELEASE_URL, COMPUTER_ID)


def status(bench: WebBench, call: Call) -> AccessStatus:
    answer = bench.perform(call)
    assert isinstance(answer, AccessStatus)
    return answer


def guid_of(bench: WebBench, **overrides) -> str:
    answer = bench.perform(calls.request_instance(an_instance_request(**overrides)))
    assert isinstance(answer, RequestedInstance)
    assert answer.instance_guid is not None
    return answer.instance_guid


def test_what_was_never_heard_of_is_an_error_without_data(bench: WebBench) -> None:
    guid = guid_of(bench)

    found = status(bench, calls.get_instance_status(KEY))

    assert found == AccessStatus(
        subject=Subject.INSTANCE,
        reference=guid,
        reporter="SlapOS Master",
        text=f"#error no data found for {guid}",
        reported_state="",
        heard_at=found.heard_at,
        since=found.heard_at,
        is_known=False,
    )


@pytest.mark.parametrize(
    ("report", "text", "reported_state"),
    [
        (
            calls.report_started(KEY),
            "#access Instance correctly started",
            "started",
        ),
        (
            calls.report_stopped(KEY),
            "#access Instance correctly stopped",
            "stopped",
        ),
        (
            calls.report_instance_error(KEY, "x" * 100 + "no disk"),
            "#error while instanciating: " + "x" * 73 + "no disk",
            "",
        ),
        (calls.bang_instance(KEY, "late"), "#error bang called: late", ""),
    ],
)
def test_an_instance_is_in_the_words_of_the_reference(
    bench: WebBench, report: Call, text: str, reported_state: str
) -> None:
    guid_of(bench)
    bench.perform(report)

    found = status(bench, calls.get_instance_status(KEY))

    assert (found.text, found.reported_state, found.reporter) == (
        text,
        reported_state,
        COMPUTER_ID,
    )


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (calls.report_building, f"#building software release {SOFTWARE_RELEASE_URL}"),
        (
            calls.report_available,
            f"#access software release {SOFTWARE_RELEASE_URL} available",
        ),
        (
            lambda *names: calls.report_software_error(*names, "no gcc"),
            f"#error while installing {SOFTWARE_RELEASE_URL}",
        ),
    ],
)
def test_an_installation_is_in_the_words_of_the_reference(
    bench: WebBench, report, text: str
) -> None:
    bench.perform(calls.supply(an_installation()))
    before = status(bench, INSTALLATION)
    bench.perform(report(SOFTWARE_RELEASE_URL, COMPUTER_ID))

    assert before.text == f"#error no data found for {SOFTWARE_RELEASE_URL}"
    assert status(bench, INSTALLATION).text == text


def test_a_computer_is_silent_when_it_does_not_poll(bench: WebBench) -> None:
    def silence() -> tuple[bool, bool]:
        found = status(bench, calls.get_computer_status(COMPUTER_ID))
        assert found.text == f"#access {COMPUTER_ID}"
        return found.is_silent_5_minutes, found.is_silent_15_minutes

    seen = [silence()]
    for seconds in (301, 601):
        bench.world.run_for(seconds)
        seen.append(silence())
    bench.perform(calls.get_computer(COMPUTER_ID))
    seen.append(silence())

    assert seen == [(False, False), (True, False), (True, True), (False, False)]


def test_a_poll_confirms_what_was_reported_long_ago(bench: WebBench) -> None:
    guid_of(bench)
    bench.perform(calls.report_started(KEY))
    first = status(bench, calls.get_instance_status(KEY))
    bench.world.run_for(1000)
    silent = status(bench, calls.get_instance_status(KEY))
    bench.perform(calls.get_computer(COMPUTER_ID))

    confirmed = status(bench, calls.get_instance_status(KEY))

    assert (silent.is_silent_15_minutes, silent.heard_at) == (True, first.heard_at)
    assert (confirmed.is_silent_5_minutes, confirmed.since) == (False, first.since)
    assert confirmed.heard_at >= first.heard_at + 1000


def test_a_computer_that_this_process_never_heard_has_no_data(bench: WebBench) -> None:
    registered = bench.perform(calls.request_computer("new"))
    found = status(bench, calls.get_computer_status(registered.computer_id))

    assert (found.is_known, found.text) == (
        False,
        f"#error no data found for {registered.computer_id}",
    )


@pytest.mark.parametrize(
    "call",
    [
        calls.get_computer_status("COMP-9"),
        calls.get_instance_status(a_partition_key(2)),
        calls.get_instance_status(a_partition_key(99)),
        INSTALLATION,
    ],
)
def test_what_does_not_exist_has_no_status(bench: WebBench, call: Call) -> None:
    with pytest.raises(NotFound):
        bench.perform(call)


def test_a_process_calls_nobody_silent_for_longer_than_it_lives() -> None:
    contacts = Contacts(started_at=1000.0)

    assert contacts.contact("COMP-1", 1060.0).silent_seconds == 60
    assert contacts.contact("COMP-1", 1060.0).heard_at is None


def test_the_longest_silence_is_forgotten_first() -> None:
    contacts = Contacts(0.0)
    for number in range(CONTACT_COUNT_MAX):
        contacts.hear(f"COMP-{number}", float(number))
    contacts.hear("COMP-0", 1e6)
    contacts.hear("COMP-new", 1e6)

    known = {
        name: contacts.contact(name, 1e6).heard_at
        for name in ("COMP-0", "COMP-1", "COMP-2", "COMP-new")
    }

    assert known == {"COMP-0": 1e6, "COMP-1": None, "COMP-2": 2.0, "COMP-new": 1e6}


def test_only_methods_of_the_table_are_spoken_by_computers() -> None:
    assert set(METHODS) >= SPOKEN_BY_COMPUTERS


@pytest.mark.parametrize(
    ("call", "computer_id"),
    [
        (calls.get_computer("COMP-7"), "COMP-7"),
        (calls.define_computer(a_computer_definition()), COMPUTER_ID),
        (calls.report_started(KEY), COMPUTER_ID),
        (calls.get_computer_status("COMP-7"), None),
        (calls.get_computer_report("COMP-7"), None),
        (Call("useComputer"), None),
    ],
)
def test_a_computer_is_heard_when_it_speaks(call: Call, computer_id: str) -> None:
    """A person who asks about a computer does not speak for it."""
    assert speaker(call) == computer_id
