"""Core. Forms: the texts by name that a call of SLAP carries, and their limits.

The stock client replaces a value of ``None`` by the text ``None``; where a field may be
absent, that text, in any case, means absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from urllib.parse import parse_qsl, urlencode

from attrs import field, frozen

from slap.errors import BadRequest, MalformedDocument, TooLarge
from slap.marshalling import Value, dumps, loads, representable, unrepresentable

BODY_BYTES_MAX = 8 * 1024 * 1024
"""A computer of 500 partitions defines itself in 1.2 MB; some have a few thousand."""

FIELD_COUNT_MAX = 64
"""The largest method has 9 fields; unknown ones are ignored, not stored."""

NAME_LENGTH_MAX = 4096
"""Identifiers, titles and addresses; web servers refuse longer addresses as well."""

LOG_LENGTH_MAX = 16 * 1024
"""What is kept of a log: its end, where the cause of an error stands."""


def log_tail(log: str) -> str:
    """Return the end of a log, in characters that every document can carry."""
    return representable(log[-LOG_LENGTH_MAX:])


def render_form(fields: Mapping[str, str]) -> str:
    """Encode fields as a query or a body; ``BadRequest`` when UTF-8 cannot."""
    try:
        return urlencode(fields)
    except UnicodeEncodeError as error:
        message = f"the form holds a character that UTF-8 has not: {error.reason}"
        raise BadRequest(message) from error


def parse_form(encoded: bytes) -> Form:
    """Decode a query or a body; a field may be given once."""
    if len(encoded) > BODY_BYTES_MAX:
        raise TooLarge(f"a form has at most {BODY_BYTES_MAX} bytes")
    try:
        pairs = parse_qsl(
            encoded.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELD_COUNT_MAX,
        )
    except ValueError as error:
        raise BadRequest(f"the form is not understood: {error}") from error
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise BadRequest("the form gives a field twice")
    return Form(fields)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Say which field, or other part of a call, a malformed document came in."""
    try:
        yield
    except MalformedDocument as error:
        raise BadRequest(f"{name}: {error}") from error


def _frozen(fields: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(fields))


@frozen
class Form:
    """Fields of a call, read with the name of the field in every refusal."""

    fields: Mapping[str, str] = field(converter=_frozen)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a name: short, and in characters that documents carry."""
        text = self.raw(name, default)
        if len(text) > NAME_LENGTH_MAX:
            raise BadRequest(f"{name}: longer than {NAME_LENGTH_MAX} characters")
        if unrepresentable.search(text):
            raise BadRequest(f"{name}: holds a control character")
        return text

    def optional_text(self, name: str) -> str | None:
        """Return a name, ``None`` when it is absent, empty or ``None`` in words."""
        if self.fields.get(name, "").lower() in ("", "none"):
            return None
        return self.text(name)

    def log(self, name: str) -> str:
        """Return the end of a required log."""
        return log_tail(self.raw(name))

    def raw(self, name: str, default: str | None = None) -> str:
        """Return a field as it is."""
        text = self.fields.get(name, default)
        if text is None:
            raise BadRequest(f"{name}: missing")
        return text

    def value(self, name: str) -> Value:
        """Return a required marshalled value."""
        with naming(name):
            return loads(self.raw(name).encode())

    def optional_value(self, name: str) -> Value:
        """Return a marshalled value, ``None`` when it is absent."""
        return self.value(name) if name in self.fields else None


def marshalled(value: Value) -> str:
    """Return a value as a field carries it."""
    return dumps(value).decode("ascii")
