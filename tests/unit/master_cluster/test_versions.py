"""Two versions of a record in one store: what the later one wrote stays."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from master_cluster.records import InstanceRecord, Report, ReportedState
from master_cluster.store.schema import Stored, fields_after, fields_of, record_of
from slap.model import PartitionKey, texts


@frozen
class LaterReport(Report):
    """A report that has one field more."""

    program: str = ""


@frozen
class LaterInstance(InstanceRecord):
    """An instance that has two more, and one whose insides have more."""

    report: LaterReport = LaterReport()
    colour: str = "blue"
    labels: Mapping[str, str] = texts()


INSTANCE = InstanceRecord(
    *("I-1", "db", "I-1", None, "http://x/", "default"),
    PartitionKey("COMP-1", "slappart0"),
    "1",
    parameters={"a": "1", "b": "2"},
)
FAILING = LaterReport(ReportedState.ERROR, "no disk", 7.0, "sshd")
LATER = LaterInstance(
    **attrs.asdict(evolve(INSTANCE, report=Report()), recurse=False)
    | {"report": FAILING, "colour": "red", "labels": {"x": "y"}}
)


def test_what_a_later_version_added_outlives_a_change_by_this_one():
    stored = Stored(LATER)

    seen = stored.read(InstanceRecord)
    stored.write(evolve(seen, parameters={"b": "3"}, timestamp="2"))

    assert stored.read(LaterInstance) == evolve(
        LATER, parameters={"b": "3"}, timestamp="2"
    )


def test_what_is_replaced_is_wholly_of_who_replaced_it():
    stored = Stored(LATER)
    started = Report(ReportedState.STARTED, "", 8.0)

    stored.write(evolve(stored.read(InstanceRecord), report=started))

    found = stored.read(LaterInstance)
    assert found.report == LaterReport(ReportedState.STARTED, "", 8.0)
    assert (found.colour, found.labels) == ("red", {"x": "y"})


def test_a_later_version_fills_in_what_this_one_does_not_know():
    stored = Stored(INSTANCE)

    found = stored.read(LaterInstance)

    assert (found.colour, found.report.program) == ("blue", "")
    stored.write(evolve(found, colour="red"))
    assert stored.read(InstanceRecord) == INSTANCE


@given(
    st.dictionaries(st.text(), st.text()),
    st.text(),
    st.text(),
    st.sampled_from(ReportedState),
)
def test_without_anything_unknown_a_record_is_kept_as_it_is(
    parameters, title, message, state
):
    record = evolve(
        INSTANCE, parameters=parameters, title=title, report=Report(state, message)
    )

    kept = fields_after(fields_of(INSTANCE), record)

    assert kept == fields_of(record)
    assert [*kept] == [*fields_of(record)]
    assert record_of(InstanceRecord, kept) == record
