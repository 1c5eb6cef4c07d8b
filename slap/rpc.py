"""Core. JSON-RPC on the wire: the object of a call, and errors as objects.

An error has its status, the words of HTTP for it and a sentence. That an instance has
no place yet is no error here: the reference says it with status 200.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from slap import json_codec
from slap.answers import JSON
from slap.errors import (
    STATUS,
    BadRequest,
    MalformedDocument,
    NotReady,
    OtherMasterAway,
    SlapError,
)
from slap.form import naming
from slap.marshalling import representable
from slap.method import Method
from slap.rpc_answers import NOT_READY_NAME, NOT_READY_STATUS
from slap.schemas import Record, Text, Whole

PHRASES: Mapping[int, str] = MappingProxyType(
    {it: HTTPStatus(it).phrase for it in set(STATUS) & set(HTTPStatus)}
    | {OtherMasterAway.status: "Origin Is Unreachable"}
)
"""The words for each status of an error; those that HTTP has no words for are the
ones of the front servers that made them."""

ERROR = Record({"status": Whole(), "type": Text(2**31), "title": Text(2**31)})


def decode_arguments(method: Method, body: bytes) -> dict[str, object]:
    """Return the arguments in the object of a call; ``BadRequest`` names the field."""
    with naming("the body is not understood"):
        fields = json_codec.read(body)
    flaw = method.record().flaw(fields, "")
    if flaw is not None:
        raise BadRequest(flaw)
    return {it.name: it.decode(fields) for it in method.arguments}


def encode_arguments(method: Method, arguments: Mapping[str, object]) -> bytes:
    """Return the object of a call."""
    fields = {
        wire_name: value
        for it in method.arguments
        for wire_name, value in it.encode(arguments[it.name]).items()
    }
    return json_codec.write(fields)


def encode_error(error: SlapError) -> tuple[int, bytes]:
    """Return the status and the object of an error."""
    if isinstance(error, NotReady):
        waiting = {
            "message": representable(error.sentence),
            "name": NOT_READY_NAME,
            "status": NOT_READY_STATUS,
        }
        return HTTPStatus.OK.value, json_codec.write(waiting)
    document = {
        "status": error.status,
        "type": PHRASES[error.status],
        "title": representable(error.sentence),
    }
    return error.status, json_codec.write(document)


def decode_sentence(content_type: str, body: bytes) -> str | None:
    """Return the sentence of an error, ``None`` when it is not the object of one."""
    if not content_type.startswith(JSON):
        return None
    try:
        document = json_codec.read(body)
    except MalformedDocument:
        return None
    if not isinstance(document, dict) or ERROR.flaw(document, "") is not None:
        return None
    return str(document["title"])
