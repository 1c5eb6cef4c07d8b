"""Core. Parameters as a person types them: rows of name and value, or one JSON object.

Rows are for texts. The object is for many parameters, and for the one named ``_``, in
which software with structured parameters keeps a JSON document: there it stands as it
is, not as a text within a text.

Browsers send each end of line as CR LF and cannot send a lone CR; a value that is the
old one but for that is the old one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import evolve, frozen

from slap.form import NAME_LENGTH_MAX, Form
from slap.marshalling import unrepresentable
from slap.model import texts

ROW_COUNT_MAX = 24
"""Two fields for each row; a form has at most 64 fields."""

BLANK_ROW_COUNT = 3

STRUCTURED = "_"

ROWS, OBJECT = "rows", "object"


@frozen
class Row:
    """A parameter as it is typed, with what is wrong about it."""

    name: str = ""
    value: str = ""
    error: str = ""

    @property
    def line_count(self) -> int:
        """How high its box is, within reason."""
        return min(self.value.count("\n") + 1 + len(self.value) // 60, 12)


@frozen
class TypedParameters:
    """Parameters in one of two shapes, and their meaning when nothing is wrong."""

    shape: str = ROWS
    rows: tuple[Row, ...] = ()
    document: str = ""
    error: str = ""
    values: Mapping[str, str] = texts()

    @property
    def is_wrong(self) -> bool:
        return bool(self.error) or any(it.error for it in self.rows)

    @property
    def has_room(self) -> bool:
        return len(self.rows) < ROW_COUNT_MAX

    def widened(self) -> TypedParameters:
        """Return the same with more blank rows."""
        count = min(BLANK_ROW_COUNT, ROW_COUNT_MAX - len(self.rows))
        return evolve(self, rows=(*self.rows, *(Row() for _ in range(count))))


def show_parameters(values: Mapping[str, str], shape: str = "") -> TypedParameters:
    """Return parameters as a form shows them first; many are shown as an object."""
    has_many = len(values) > ROW_COUNT_MAX - BLANK_ROW_COUNT
    if shape == OBJECT or has_many:
        return TypedParameters(OBJECT, document=render_object(values), values=values)
    rows = tuple(Row(name, value) for name, value in values.items())
    return TypedParameters(ROWS, rows, values=values).widened()


def read_parameters(form: Form, existing: Mapping[str, str]) -> TypedParameters:
    """Read what a form sends."""
    if form.fields.get("shape") == OBJECT:
        return _read_object(form.fields.get("parameters", ""), existing)
    return _read_rows(form, existing)


def render_object(values: Mapping[str, str]) -> str:
    """Return parameters as a JSON object that a person can edit."""
    shown: dict[str, object] = dict(values)
    if STRUCTURED in values:
        structured = _structured_or_none(values[STRUCTURED])
        shown[STRUCTURED] = values[STRUCTURED] if structured is None else structured
    return json.dumps(shown, indent=2, ensure_ascii=False)


def unix_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_rows(form: Form, existing: Mapping[str, str]) -> TypedParameters:
    rows: list[Row] = []
    values: dict[str, str] = {}
    for number in range(ROW_COUNT_MAX):
        name = form.fields.get(f"name_{number}", "")
        value = form.fields.get(f"value_{number}", "")
        if not name and not value:
            continue
        value = _as_before(name, value, existing)
        error = "" if existing.get(name) == value else _fault_of(name, value)
        if name in values:
            error = "this name is given twice"
        rows.append(Row(name, value, error))
        values[name] = value
    typed = TypedParameters(ROWS, tuple(rows))
    return typed.widened() if typed.is_wrong else evolve(typed, values=values).widened()


def _fault_of(name: str, value: str) -> str:
    if not name:
        return "a value without a name; empty both to remove a parameter"
    if len(name) > NAME_LENGTH_MAX:
        return f"the name is longer than {NAME_LENGTH_MAX} characters"
    if unrepresentable.search(name) or unrepresentable.search(value):
        return "holds a control character"
    if name == STRUCTURED:
        return _fault_of_json(value)
    return ""


def _fault_of_json(value: str) -> str:
    try:
        json.loads(value, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg}, line {error.lineno} column {error.colno}"
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    return ""


def _read_object(document: str, existing: Mapping[str, str]) -> TypedParameters:
    document = unix_lines(document)
    typed = TypedParameters(OBJECT, document=document)
    try:
        found = json.loads(
            document or "{}",
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
        )
        values = _texts_of(found, existing)
    except json.JSONDecodeError as error:
        fault = f"not JSON: {error.msg}, line {error.lineno} column {error.colno}"
        return evolve(typed, error=fault)
    except (ValueError, RecursionError) as error:
        return evolve(typed, error=f"not understood: {error}")
    faults = (
        f"{name or 'a parameter'}: {fault}"
        for name, value in values.items()
        if existing.get(name) != value and (fault := _fault_of(name, value))
    )
    return evolve(typed, error=next(faults, ""), values=values)


def _texts_of(found: object, existing: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(found, dict):
        raise ValueError("write an object: names and values in braces")  # noqa: TRY004
    values = {}
    for name, value in found.items():
        if name == STRUCTURED and not isinstance(value, str):
            values[name] = _structured_text(value, existing.get(name, ""))
        elif isinstance(value, str):
            values[name] = _as_before(name, value, existing)
        else:
            sentence = f"{name}: write its value as a text, in quotes"
            raise ValueError(sentence)
    return values


def _structured_text(value: object, existing: str) -> str:
    """Return a structured value as a text, the one that it had if it is the same."""
    known = _structured_or_none(existing)
    if known is not None and _canonical(known) == _canonical(value):
        return existing
    return json.dumps(value, ensure_ascii=False)


def _structured_or_none(text: str) -> object:
    """Return the meaning of a JSON text that is not a text itself."""
    try:
        found: object = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        return None
    return None if isinstance(found, str) else found


def _canonical(value: object) -> str:
    """Return a JSON value as a text in which ``1`` is not ``true`` and not ``1.0``."""
    return json.dumps(value, sort_keys=True)


def _as_before(name: str, value: str, existing: Mapping[str, str]) -> str:
    value = unix_lines(value)
    before = existing.get(name)
    return before if before is not None and unix_lines(before) == value else value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object gives a name twice")
    return found


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
