"""Core. The answers of methods: our values on one side, typed bodies on the other.

The master's side is ``encode`` and a caller's side is ``decode``, which raises
``MalformedDocument``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import field, frozen

from slap import (
    admissions,
    json_codec,
    list_codec,
    products,
    pushing,
    replicas,
    reports,
    statuses,
    transfer,
    usage,
    xml_codec,
)
from slap.errors import MalformedDocument
from slap.report_schemas import schema_of
from slap.schemas import Schema

XML = "text/xml; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


@frozen
class Answer:
    """What a method answers: its type in our words and the type of its body.

    ``schema`` describes a body of JSON-RPC.
    """

    name: str
    content_type: str
    encode: Callable[[Any], bytes] = field(repr=False)
    decode: Callable[[bytes], object] = field(repr=False)
    schema: Schema | None = field(default=None, repr=False)


def _decode_text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise MalformedDocument("not UTF-8", error.start) from error


def done(body: str, content_type: str = TEXT) -> Answer:
    """Build the answer of a method that only says that it is done."""
    return Answer("None", content_type, lambda _: body.encode(), lambda _: None)


COMPUTER = Answer("Computer", XML, xml_codec.encode_computer, xml_codec.decode_computer)
PARTITION = Answer(
    "Partition", XML, xml_codec.encode_partition, xml_codec.decode_partition
)
REQUESTED_INSTANCE = Answer(
    "RequestedInstance",
    XML,
    xml_codec.encode_requested_instance,
    xml_codec.decode_requested_instance,
)
CERTIFICATE = Answer(
    "Certificate", XML, xml_codec.encode_certificate, xml_codec.decode_certificate
)
ACCESS_STATUS = Answer(
    "AccessStatus", XML, statuses.encode_status, statuses.decode_status
)
ADDRESSES = Answer(
    "list of NetworkAddress",
    XML,
    list_codec.encode_addresses,
    list_codec.decode_addresses,
)
RELEASE_URLS = Answer(
    "list of str", XML, list_codec.encode_texts, list_codec.decode_texts
)
SENTENCE = Answer("str", TEXT, lambda text: text.encode(), _decode_text)
EMPTY_DOCUMENT = done("<marshal><string></string></marshal>", XML)


def _report(kind: type) -> Answer:
    return Answer(
        kind.__name__,
        JSON,
        json_codec.encode,
        lambda body: json_codec.decode(body, kind),
        schema_of(kind),
    )


ADMISSION = _report(admissions.Admission)
CLOUD_REPORT = _report(reports.CloudReport)
COMPUTER_REPORT = _report(reports.ComputerReport)
TREE_REPORT = _report(reports.TreeReport)
ALLOCATION_REPORT = _report(reports.AllocationReport)
USAGE_LIST = _report(usage.UsageList)
USAGE_REPORT = _report(usage.UsageReport)
PRODUCT_REPORT = _report(products.ProductReport)
PRODUCTS_REPORT = _report(products.ProductsReport)
REPLICAS_REPORT = _report(replicas.ReplicasReport)
TRANSFER_REPORT = _report(transfer.TransferReport)
RELEASES_REPORT = _report(pushing.ReleasesReport)
HELD_RELEASE = _report(pushing.HeldRelease)
FILE_REPORT = _report(pushing.FileReport)
