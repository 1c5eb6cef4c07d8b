"""Core. The methods that speak JSON, as a document of OpenAPI 3.1.

It is made from the table of methods, from the same descriptions that check calls and
answers, so it cannot say anything else than the master does.
"""

from __future__ import annotations

from typing import Any

from slap import json_codec
from slap.answers import JSON, TEXT
from slap.form import BODY_BYTES_MAX
from slap.method import Dialect, Method
from slap.methods import METHODS
from slap.rpc import ERROR

REQUESTER = "X-SlapPartition computer_id=COMP-1, computer_partition_id=slappart0"

_REFUSALS = {
    "400": "The call is not understood; the sentence names the field.",
    "403": "The caller may not do this.",
    "404": "Something that the call names does not exist, or no partition fits.",
    "405": "The method is called with POST.",
    "413": f"The call is longer than {BODY_BYTES_MAX} bytes.",
    "500": "The master failed; the sentence has the number of the incident.",
    "503": "The master cannot answer now; Retry-After says when to ask again.",
}

_TAGS = {
    Dialect.RPC: ("slapos", "JSON-RPC v0, as other masters of SlapOS speak it."),
    Dialect.JSON: ("slapcluster", "Methods that no other master has."),
}


def encode_openapi() -> bytes:
    """Return the document as it is served."""
    return json_codec.write(render_openapi())


def render_openapi() -> dict[str, Any]:
    """Return the document."""
    described = [it for it in METHODS.values() if it.dialect in _TAGS]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "slapcluster",
            "version": "v0",
            "summary": "The JSON methods of a SlapOS master.",
            "license": {
                "name": "GPL-3.0-or-later",
                "identifier": "GPL-3.0-or-later",
            },
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": name, "description": description}
            for name, description in _TAGS.values()
        ],
        "paths": {f"/{it.name}": {"post": _operation(it)} for it in described},
        "components": {
            "schemas": {"Error": ERROR.render()},
            "parameters": {
                "Requester": {
                    "name": "Authorization",
                    "in": "header",
                    "description": "The partition that calls, where a mini-master"
                    f" listens on loopback: `{REQUESTER}`.",
                    "schema": {"type": "string"},
                }
            },
        },
    }


def _operation(method: Method) -> dict[str, Any]:
    tag, _ = _TAGS[method.dialect]
    answer = method.answer
    answered = answer.schema.render() if answer.schema else {"type": "string"}
    refusal = _refusal(method.dialect)
    return {
        "operationId": method.name,
        "tags": [tag],
        "summary": method.summary,
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": method.record().render()}},
        },
        "responses": {
            "200": {
                "description": "Done.",
                "content": {answer.content_type: {"schema": answered}},
            },
            **{
                status: {"description": description, "content": refusal}
                for status, description in _REFUSALS.items()
            },
        },
    }


def _refusal(dialect: Dialect) -> dict[str, Any]:
    if dialect is Dialect.RPC:
        return {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {TEXT: {"schema": {"type": "string"}}}
