"""Core. The arguments of calls: our values on one side, fields of a form on the other.

A caller's side is ``encode`` and the master's side is ``decode``; ``decode`` raises
``BadRequest`` with the name of the field at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from slap import json_codec, xml_codec
from slap.admissions import CHAIN_BYTES_MAX, REQUEST_BYTES_MAX
from slap.errors import BadRequest
from slap.form import Form, log_tail, marshalled, naming
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    PartitionKey,
    RequestedState,
    SoftwareInstallation,
    SupplyState,
)
from slap.products import ReleaseQuestion
from slap.reserved import check_parameters
from slap.schemas import Schema, Text
from slap.wire_fields import decode_texts, text_of

DEFAULT_SOFTWARE_TYPE = "default"


@frozen
class Argument:
    """One argument of a method: its name in our words and its wire fields.

    Of forms, fields are texts and ``decode`` reads a ``Form``. Of JSON-RPC they are the
    JSON values that ``schemas`` describe, and ``decode`` reads an object that fits.
    """

    name: str
    fields: tuple[str, ...]
    encode: Callable[[Any], Mapping[str, Any]]
    decode: Callable[[Any], object]
    schemas: Mapping[str, Schema] = field(factory=dict)
    optional: frozenset[str] = frozenset()


def text(name: str, wire_name: str | None = None) -> Argument:
    """Build a required name."""
    wire = wire_name or name
    return Argument(
        name, (wire,), lambda value: {wire: value}, lambda form: form.text(wire)
    )


def text_or_empty(name: str) -> Argument:
    """Build a name that may be absent."""
    return Argument(
        name,
        (name,),
        lambda value: {name: value},
        lambda form: form.text(name, ""),
        optional=frozenset({name}),
    )


def log(name: str) -> Argument:
    """Build a required text of any length, of which the end counts."""
    return Argument(
        name,
        (name,),
        lambda value: {name: log_tail(value)},
        lambda form: form.log(name),
    )


def pem(name: str, length_max: int) -> Argument:
    """Build a required text of several lines, of a bounded length."""

    def decode(form: Form) -> str:
        value = form.raw(name)
        if len(value) > length_max:
            raise BadRequest(f"{name}: longer than {length_max} characters")
        return value

    return Argument(
        name,
        (name,),
        lambda value: {name: value},
        decode,
        {name: Text(length_max, is_free=True)},
    )


def _decode_partition_key(form: Form) -> PartitionKey:
    return PartitionKey(form.text("computer_id"), form.text("computer_partition_id"))


def _encode_partition_key(key: PartitionKey) -> dict[str, str]:
    return {
        "computer_id": key.computer_id,
        "computer_partition_id": key.partition_id,
    }


CERTIFICATE_REQUEST = pem("certificate_request", REQUEST_BYTES_MAX)
CHAIN = pem("certificate", CHAIN_BYTES_MAX)
COMPUTER_ID = text("computer_id")
COMPUTER_TITLE = text("title", "computer_title")
SOFTWARE_RELEASE_URL = text("software_release_url", "url")
ERROR_LOG = log("error_log")
MESSAGE = log("message")
TITLE = text("title", "new_name")

PARTITION = Argument(
    "partition",
    ("computer_id", "computer_partition_id"),
    _encode_partition_key,
    _decode_partition_key,
)

REGISTERED_PARTITION = Argument(
    "partition",
    ("computer_reference", "computer_partition_reference"),
    lambda key: {
        "computer_reference": key.computer_id,
        "computer_partition_reference": key.partition_id,
    },
    lambda form: PartitionKey(
        form.text("computer_reference"), form.text("computer_partition_reference")
    ),
)


def _encode_release_question(question: ReleaseQuestion) -> dict[str, str]:
    if question.product_title is not None:
        return {"software_product_reference": question.product_title}
    assert question.software_release_url is not None
    return {"software_release_url": question.software_release_url}


def _decode_release_question(form: Form) -> ReleaseQuestion:
    title = form.optional_text("software_product_reference")
    url = form.optional_text("software_release_url")
    if (title is None) == (url is None):
        raise BadRequest(
            "software_product_reference, software_release_url: give one of them"
        )
    return ReleaseQuestion(title, url)


RELEASE_QUESTION = Argument(
    "question",
    ("software_product_reference", "software_release_url"),
    _encode_release_question,
    _decode_release_question,
)

SHARED_REFERENCE = Argument(
    "shared_reference",
    ("slave_reference",),
    lambda value: {} if value is None else {"slave_reference": value},
    lambda form: form.optional_text("slave_reference"),
)

#: The same, said in words when absent, as the stock client says it.
SPELLED_SHARED_REFERENCE = Argument(
    "shared_reference",
    ("slave_reference",),
    lambda value: {"slave_reference": "None" if value is None else value},
    lambda form: form.optional_text("slave_reference"),
)

USAGE_DOCUMENT = Argument(
    "usage_document",
    ("use_string",),
    lambda value: {"use_string": value},
    lambda form: form.raw("use_string"),
)


def _texts(form: Form, name: str) -> dict[str, str]:
    with naming(name):
        return decode_texts(form.optional_value(name))


CONNECTION_PARAMETERS = Argument(
    "connection_parameters",
    ("connection_xml",),
    lambda value: {"connection_xml": marshalled(dict(value))},
    lambda form: _texts(form, "connection_xml"),
)


def _decode_titles(form: Form) -> tuple[str, ...]:
    titles = form.value("instance_reference_xml")
    if not isinstance(titles, (list, tuple)):
        raise BadRequest("instance_reference_xml: not a list")
    with naming("instance_reference_xml"):
        return tuple(text_of(title) for title in titles)


TITLES = Argument(
    "titles",
    ("instance_reference_xml",),
    lambda value: {"instance_reference_xml": marshalled(list(value))},
    _decode_titles,
)


def _encode_definition(definition: ComputerDefinition) -> dict[str, str]:
    return {"xml": xml_codec.encode_definition(definition).decode("ascii")}


def _decode_definition(form: Form) -> ComputerDefinition:
    with naming("xml"):
        return xml_codec.decode_definition(form.raw("xml").encode())


def _decode_attributes(form: Form) -> dict[str, str]:
    with naming("attributes"):
        return json_codec.decode_texts(form.raw("attributes").encode())


ATTRIBUTES = Argument(
    "attributes",
    ("attributes",),
    lambda value: {"attributes": json_codec.encode(dict(value)).decode("ascii")},
    _decode_attributes,
)

DEFINITION = Argument("definition", ("xml",), _encode_definition, _decode_definition)


def _decode_installation(form: Form) -> SoftwareInstallation:
    state = form.text("state")
    if state not in tuple(SupplyState):
        raise BadRequest(f"state: {state!r} is neither available nor destroyed")
    return SoftwareInstallation(
        form.text("url"), form.text("computer_id"), SupplyState(state)
    )


INSTALLATION = Argument(
    "installation",
    ("url", "computer_id", "state"),
    lambda value: {
        "url": value.software_release_url,
        "computer_id": value.computer_id,
        "state": value.requested_state.value,
    },
    _decode_installation,
)


def _encode_instance_request(wanted: InstanceRequest) -> dict[str, str]:
    requester = {} if wanted.requester is None else PARTITION.encode(wanted.requester)
    state = wanted.requested_state
    return {
        **requester,
        "software_release": wanted.software_release_url,
        "software_type": wanted.software_type,
        "partition_reference": wanted.title,
        "shared_xml": marshalled(wanted.is_shared),
        "partition_parameter_xml": marshalled(dict(wanted.parameters)),
        "filter_xml": marshalled(dict(wanted.allocation_filter)),
        "state": marshalled(None if state is None else state.value),
    }


def _decode_requester(form: Form) -> PartitionKey | None:
    computer_id = form.optional_text("computer_id")
    partition_id = form.optional_text("computer_partition_id")
    if computer_id is None or partition_id is None:
        return None
    return PartitionKey(computer_id, partition_id)


def _decode_requested_state(form: Form) -> RequestedState | None:
    state = form.optional_value("state")
    if state is None:
        return None
    if not isinstance(state, str) or state not in tuple(RequestedState):
        raise BadRequest("state: not one of started, stopped, destroyed")
    return RequestedState(state)


def _decode_instance_request(form: Form) -> InstanceRequest:
    is_shared = form.optional_value("shared_xml")
    if not isinstance(is_shared, (bool, int, type(None))):
        raise BadRequest("shared_xml: not a boolean")
    parameters = _texts(form, "partition_parameter_xml")
    check_parameters("partition_parameter_xml", parameters, is_shared=bool(is_shared))
    return InstanceRequest(
        title=form.text("partition_reference"),
        software_release_url=form.text("software_release"),
        software_type=form.optional_text("software_type") or DEFAULT_SOFTWARE_TYPE,
        parameters=parameters,
        allocation_filter=_texts(form, "filter_xml"),
        requested_state=_decode_requested_state(form),
        is_shared=bool(is_shared),
        requester=_decode_requester(form),
    )


INSTANCE_REQUEST = Argument(
    "instance_request",
    (
        "computer_id",
        "computer_partition_id",
        "software_release",
        "software_type",
        "partition_reference",
        "shared_xml",
        "partition_parameter_xml",
        "filter_xml",
        "state",
    ),
    _encode_instance_request,
    _decode_instance_request,
)
