"""What was reported, last and before, by ``computer info`` and ``service info``."""

from __future__ import annotations

from slap import calls
from tests.builders import a_usage_document
from tests.unit.slapcluster.desk import RELEASE_URL, Desk, a_desk, a_key


def a_flapping_desk(desk: Desk) -> None:
    """A release that builds at the second attempt; an instance that comes and goes."""
    desk.format()
    desk.read("supply", RELEASE_URL, "local")
    desk.read("request", "greeter", RELEASE_URL, "--node", "computer_guid=local")
    log = "".join(f"line {number}\n" for number in range(1000))
    desk.perform(
        calls.report_software_error(RELEASE_URL, "local", log),
        calls.report_available(RELEASE_URL, "local"),
        calls.report_started(a_key()),
        calls.report_instance_error(a_key(), "first\nno space left"),
        calls.report_started(a_key()),
        calls.report_instance_error(a_key(), "second\nno space left"),
        calls.send_usage("local", a_usage_document()),
    )


def test_a_computer_shows_what_comes_and_goes() -> None:
    with a_desk() as desk:
        a_flapping_desk(desk)

        shown = desk.type("computer", "info", "local").stdout
        report = desk.read("computer", "info", "local")

    assert "slappart0 greeter" in shown
    assert "2 of 4" in shown
    assert "1 of 2" in shown
    assert shown.endswith("Z:\nsecond\nno space left\n")
    assert "Usage documents" in shown
    (release,) = report["installations"]
    assert [it["reported_state"] for it in release["earlier"]] == ["error"]
    assert release["earlier"][0]["message"].endswith("line 998\nline 999\n")
    assert len(release["earlier"][0]["message"]) == 2048
    assert report["usage_document_count"] == 1
    assert report["last_usage"]["references"] == ["COMP-1"]


def test_a_service_shows_the_reports_of_its_instances() -> None:
    with a_desk() as desk:
        a_flapping_desk(desk)

        shown = desk.type("service", "info", "greeter").stdout
        (root,) = desk.read("service", "info", "greeter")["instances"]

    assert max(len(it) for it in shown.splitlines()) <= 80
    assert "greeter, error at" in shown
    assert [(it["reported_state"], it["message"]) for it in root["earlier"]] == [
        ("started", ""),
        ("error", "first\nno space left"),
        ("started", ""),
    ]
    assert all(it["reported_at"] for it in root["earlier"])


def test_the_last_ten_reports_are_kept() -> None:
    with a_desk() as desk:
        a_flapping_desk(desk)
        for number in range(30):
            desk.perform(calls.report_instance_error(a_key(), str(number)))

        (root,) = desk.read("service", "info", "greeter")["instances"]

    assert root["message"] == "29"
    assert [it["message"] for it in root["earlier"]] == [
        str(number) for number in range(28, 19, -1)
    ]


def test_a_bang_is_shown_with_its_message() -> None:
    with a_desk() as desk:
        a_flapping_desk(desk)
        desk.perform(calls.bang_instance(a_key(), "promise failed"))

        shown = desk.type("service", "info", "greeter").stdout

    assert "bang called: promise failed" in shown
