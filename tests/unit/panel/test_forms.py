"""What a form means, and what is wrong with it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from master_cluster.web.panel.fields import read_change, read_new, show_instance
from master_cluster.web.panel.parameters import (
    ROW_COUNT_MAX,
    TypedParameters,
    read_parameters,
    show_parameters,
)
from master_cluster.web.panel.versions import (
    ABSENT,
    ChangedMeanwhile,
    check_version,
    digest_of,
    request_of,
)
from slap.form import Form
from tests.builders import SOFTWARE_RELEASE_URL, a_record, an_instance_request
from tests.strategies import parameters

NEW = {"title": "root", "software_release_url": SOFTWARE_RELEASE_URL}


def as_sent(typed: TypedParameters) -> Form:
    """What a browser sends of a form that nobody touched."""

    def lines(text: str) -> str:
        unix = text.replace("\r\n", "\n").replace("\r", "\n")
        return unix.replace("\n", "\r\n")

    fields = {"shape": typed.shape, "parameters": lines(typed.document)}
    for number, row in enumerate(typed.rows):
        fields[f"name_{number}"] = row.name
        fields[f"value_{number}"] = lines(row.value)
    return Form(fields)


def named(values: dict[str, str]) -> dict[str, str]:
    """Parameters whose names a field of one line can carry."""
    return {
        name: value
        for name, value in values.items()
        if name and not set(name) & set("\r\n")
    }


@given(parameters().map(named), st.sampled_from(["rows", "object"]))
def test_a_form_that_nobody_touched_changes_nothing(values, shape) -> None:
    shown = show_parameters(values, shape)
    read = read_parameters(as_sent(shown), values)

    assert (dict(read.values), read.is_wrong) == (values, False)


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=5),
    st.text(max_size=60) | st.sampled_from(["[" * 10_000, "1" * 10_000, '{"a":1e999}']),
)
def test_any_text_is_understood_or_said_to_be_wrong(fields, document) -> None:
    for sent in (
        Form({"shape": "object", "parameters": document}),
        Form({f"name_{i}": it for i, it in enumerate(fields)}),
        Form({f"value_{i}": it for i, it in enumerate(fields)}),
    ):
        read = read_parameters(sent, {})
        assert read.is_wrong or all(isinstance(it, str) for it in read.values.values())


def test_many_parameters_are_shown_as_an_object() -> None:
    values = {f"name{number}": "x" for number in range(ROW_COUNT_MAX)}
    shown = show_parameters(values)

    assert (shown.shape, json.loads(shown.document)) == ("object", values)


def test_a_structured_parameter_stands_in_the_object_as_it_is() -> None:
    values = {"_": '{"a": [1, {"b": "ü"}]}', "other": "text"}
    shown = show_parameters(values, "object")
    edited = json.loads(shown.document)
    edited["_"]["a"].append(2)
    read = read_parameters(
        Form({"shape": "object", "parameters": json.dumps(edited)}), values
    )

    assert read.values == {"_": '{"a": [1, {"b": "ü"}, 2]}', "other": "text"}


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"value_0": "x"}, "a value without a name; empty both to remove a parameter"),
        ({"name_0": "a\0"}, "holds a control character"),
        ({"name_0": "a", "value_0": "\0"}, "holds a control character"),
        ({"name_0": "a" * 4097}, "the name is longer than 4096 characters"),
        (
            {"name_0": "_", "value_0": '["a"'},
            "not JSON: Expecting ',' delimiter, line 1 column 5",
        ),
        ({"name_0": "_", "value_0": "NaN"}, "not JSON: NaN is no JSON"),
    ],
)
def test_a_row_says_what_is_wrong_with_it(fields, fault) -> None:
    read = read_parameters(Form(fields), {})

    assert [it.error for it in read.rows if it.error] == [fault]


def test_a_name_is_given_once() -> None:
    fields = {"name_0": "a", "value_0": "1", "name_1": "a", "value_1": "2"}
    read = read_parameters(Form(fields), {})

    assert [it.error for it in read.rows[:2]] == ["", "this name is given twice"]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("[]", "not understood: write an object: names and values in braces"),
        ('{"a": 1}', "not understood: a: write its value as a text, in quotes"),
        ('{"a": "1", "a": "2"}', "not understood: an object gives a name twice"),
        ('{"": "1"}', "a parameter: a value without a name"),
        ('{"_": NaN}', "not understood: NaN is no JSON"),
        ('{"a": "\\u0000"}', "a: holds a control character"),
        ('{"a": "\\ud800"}', "a: holds a control character"),
        ("{", "not JSON: Expecting property name enclosed in double quotes"),
    ],
)
def test_an_object_says_what_is_wrong_with_it(document, fault) -> None:
    read = read_parameters(Form({"shape": "object", "parameters": document}), {})

    assert read.error.startswith(fault)
    assert read.document == document


def test_a_structured_parameter_that_was_no_json_may_stay() -> None:
    """It is a text to the master, and must not stand in the way of other changes."""
    values = {"_": "not json"}

    for shape in ("rows", "object"):
        read = read_parameters(as_sent(show_parameters(values, shape)), values)
        assert (dict(read.values), read.is_wrong) == (values, False)


def test_a_new_instance_is_what_is_typed() -> None:
    typed, wanted = read_new(
        Form(
            {
                **NEW,
                "software_type": "  ",
                "requested_state": "stopped",
                "is_shared": "yes",
                "name_0": "greeting",
                "value_0": "one\r\ntwo",
                "conditions": "computer_guid = COMP-1\r\n\r\nregion=eu/west\r\n",
            }
        )
    )

    assert not typed.is_wrong
    assert wanted == an_instance_request(
        title="root",
        requested_state="stopped",
        is_shared=True,
        parameters={"greeting": "one\ntwo"},
        allocation_filter={"computer_guid": "COMP-1", "region": "eu/west"},
    )


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"title": " "}, {"title": "needed"}),
        ({"title": "a\x01"}, {"title": "holds a control character"}),
        ({"title": "a" * 4097}, {"title": "longer than 4096 characters"}),
        ({"software_release_url": ""}, {"software_release_url": "needed"}),
        (
            {"software_release_url": "hello"},
            {"software_release_url": "not an address, such as https://..."},
        ),
        (
            {"software_release_url": "http://["},
            {"software_release_url": "not an address, such as https://..."},
        ),
        (
            {"requested_state": "destroyed"},
            {"requested_state": "choose started or stopped"},
        ),
        ({"conditions": "region"}, {"conditions": "'region': write name = value"}),
        ({"conditions": "a=1\na=2"}, {"conditions": "'a' is given twice"}),
        ({"conditions": "a=1\n" * 40}, {"conditions": "more than 32 lines"}),
    ],
)
def test_a_field_says_what_is_wrong_with_it(fields, errors) -> None:
    typed, _ = read_new(Form({**NEW, **fields}))

    assert dict(typed.errors) == errors


def test_a_change_keeps_what_is_fixed() -> None:
    record = a_record(is_shared=True, host_guid="x", allocation_filter={"region": "eu"})
    sent = {"title": "other", "conditions": "a=1", "seen": digest_of(record)}
    typed, wanted = read_change(
        Form({**sent, "software_release_url": record.software_release_url}), record
    )

    assert wanted == request_of(record)
    assert typed == show_instance(record)


def test_a_report_makes_no_other_version() -> None:
    before = a_record()
    after = before.at("2000")

    assert digest_of(before) == digest_of(after)
    assert digest_of(before) != digest_of(a_record(parameters={"a": "b"}))


def test_what_somebody_else_changed_is_refused() -> None:
    seen = digest_of(a_record())
    current = a_record(parameters={"a": "theirs"})
    wanted = request_of(a_record(parameters={"a": "mine"}))

    with pytest.raises(ChangedMeanwhile, match="somebody else changed"):
        check_version(seen, current, wanted)
    with pytest.raises(ChangedMeanwhile, match="exists already"):
        check_version(ABSENT, current, wanted)
    with pytest.raises(ChangedMeanwhile, match="is gone"):
        check_version(seen, None, wanted)


def test_what_is_so_already_is_no_conflict() -> None:
    current = a_record(parameters={"a": "same"})

    check_version(ABSENT, current, request_of(current))
    check_version("older", current, request_of(current))
