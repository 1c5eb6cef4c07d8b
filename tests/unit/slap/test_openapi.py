"""The description of the JSON methods says what the table and the checks say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from slap.method import Dialect
from slap.methods import METHODS
from slap.openapi import encode_openapi, render_openapi
from slap.report_schemas import schema_of
from slap.schemas import (
    Flag,
    Items,
    Maybe,
    Number,
    OneOf,
    Parameters,
    Record,
    Schema,
    Text,
    Texts,
    Whole,
)

TEXT = Text(3)


def objects(document: object) -> Iterator[dict[str, Any]]:
    if isinstance(document, dict):
        yield document
        for item in document.values():
            yield from objects(item)
    elif isinstance(document, list):
        for item in document:
            yield from objects(item)


def test_every_method_that_speaks_json_is_described() -> None:
    described = {
        f"/{it.name}" for it in METHODS.values() if it.dialect is not Dialect.FORM
    }

    assert set(render_openapi()["paths"]) == described


def test_each_reference_leads_somewhere() -> None:
    document = render_openapi()
    for it in objects(document):
        target: Any = document
        for name in str(it.get("$ref", "#")).split("/")[1:]:
            target = target[name]

    assert json.loads(encode_openapi()) == document


def test_every_described_object_is_closed() -> None:
    """Except parameters, which have the names that a person gives them."""
    opened = [
        it
        for it in objects(render_openapi())
        if it.get("type") == "object"
        and it.get("additionalProperties") is not False
        and "propertyNames" not in it
        and it.get("additionalProperties") != {"type": "string"}
    ]

    assert opened == []


@pytest.mark.parametrize(
    ("schema", "value", "flaw"),
    [
        (TEXT, "abc", None),
        (TEXT, "abcd", "x: longer than 3 characters"),
        (TEXT, 1, "x: not a text"),
        (TEXT, "\ud800", "x: holds a control character"),
        (Text(9, choices=("a", "b")), "c", "x: not one of a, b"),
        (Text(9, is_free=True), "\x00", None),
        (Whole(), 1, None),
        (Whole(), True, "x: not a whole number"),
        (Whole(), -1, "x: not a whole number"),
        (Whole(), 1.0, "x: not a whole number"),
        (Number(), 1.5, None),
        (Number(), False, "x: not a number"),
        (Flag(), True, None),
        (Flag(), 0, "x: not true or false"),
        (Maybe(TEXT), None, None),
        (Maybe(TEXT), 1, "x: not a text"),
        (Items(TEXT), ["a", 1], "x[1]: not a text"),
        (Items(TEXT), {}, "x: not an array"),
        (Items(TEXT, 2, 2), ["a"], "x: fewer than 2 items"),
        (Items(TEXT, 0, 1), ["a", "b"], "x: more than 1 items"),
        (Items(TEXT, 0, None), ["a"] * 20_000, None),
        (Record({"a": TEXT}), {"a": "b"}, None),
        (Record({"a": TEXT}), [], "x: not an object"),
        (Record({"a": TEXT}), {}, "x.a: missing"),
        (Record({"a": TEXT}, frozenset({"a"})), {}, None),
        (Record({}), {"z": 1, "b": 1}, "x.b: unknown"),
        (Texts(), {"a": "b"}, None),
        (Texts(), {"a": 1}, "x.a: not a text"),
        (Texts(), {"\x00": ""}, "x: a name: holds a control character"),
        (Texts(), None, "x: not an object"),
        (Parameters(), {"a": [1, {"b": None}], "c": True}, None),
        (Parameters(), {"a": ["\x00"]}, "x: holds a control character"),
        (Parameters(), {"\x00": 1}, "x: holds a control character"),
        (Parameters(), dict.fromkeys(map(str, range(10_001))), "x: more than"),
        (Parameters(), [], "x: not an object"),
        (OneOf((Record({"a": TEXT}), Record({}))), {}, None),
        (OneOf((Record({"a": TEXT}), Record({}))), {"b": 1}, "x.a: missing"),
    ],
)
def test_a_flaw_is_named_where_it_stands(
    schema: Schema, value: object, flaw: str | None
) -> None:
    found = schema.flaw(value, "x")

    assert (found or "").startswith(flaw or "")
    assert (found is None) is (flaw is None)


def test_a_document_without_a_name_is_called_so() -> None:
    assert Record({}).flaw(1, "") == "the document: not an object"


@pytest.mark.parametrize(
    ("kind", "rendered"),
    [
        (float | None, {"anyOf": [{"type": "number"}, {"type": "null"}]}),
        (bool, {"type": "boolean"}),
        (
            tuple[int, ...],
            {"type": "array", "items": {"type": "integer", "minimum": 0}},
        ),
        (
            dict[str, str],
            {"type": "object", "additionalProperties": {"type": "string"}},
        ),
    ],
)
def test_a_report_is_described_by_its_types(kind: Any, rendered: object) -> None:
    assert schema_of(kind).render() == rendered
