"""``slapcluster computer usage``, against a real mini-master."""

from __future__ import annotations

from slap import calls
from slapcluster.outcomes import ExitCode
from tests.builders import a_usage_document
from tests.unit.slapcluster.desk import a_desk


def test_usage_is_listed_and_read() -> None:
    with a_desk() as desk:
        desk.format()
        for quantity in ("1", "2"):
            desk.perform(calls.send_usage("local", a_usage_document(quantity)))

        listed = desk.read("computer", "usage", "local")
        document_id = listed["documents"][1]["document_id"]
        read = desk.read("computer", "usage", "local", "--document", document_id[:8])

        assert listed["computer_id"] == "local"
        assert [it["movement_count"] for it in listed["documents"]] == [1, 1]
        assert read["document"] == a_usage_document("2")
        (entry,) = read["journal"]["entries"]
        assert entry["movements"][0]["quantity"] == "2"


def test_usage_fits_a_terminal() -> None:
    """Tables of 80 columns: a list of documents, the movements of one."""
    with a_desk() as desk:
        desk.format()
        for minute in (0, 5):
            stop_date = f"2026-11-20 at 23:0{minute}:00"
            desk.perform(
                calls.send_usage("local", a_usage_document("1", stop_date)),
            )

        listed = desk.type("computer", "usage", "local")
        first = listed.stdout.splitlines()[1][:8]
        read = desk.type("computer", "usage", "local", "--document", first)

        lines = (listed.stdout + read.stdout).splitlines()
        assert max(map(len, lines)) <= 80
        assert [it.split()[0][8:] for it in listed.stdout.splitlines()] == ["", "", "="]
        assert "slappart0  service_module/cpu_load  CPU Consumption" in read.stdout


def test_since_leaves_out_what_arrived_before() -> None:
    with a_desk() as desk:
        desk.format()
        desk.perform(calls.send_usage("local", a_usage_document()))

        later = desk.read("computer", "usage", "local", "--since", "2999-01-01")
        mistyped = desk.type("computer", "usage", "local", "--since", "tomorrow")

        assert later["documents"] == []
        assert mistyped.exit_code == ExitCode.FAILED
        assert "write a date" in mistyped.stderr
