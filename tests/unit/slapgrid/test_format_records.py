"""How a formatted computer is written down."""

from __future__ import annotations

import io
import zipfile

import pytest

from slap.errors import MalformedDocument
from slap.marshalling import dumps, loads
from slapgrid.format.previous import PreviousPartition, decode_previous
from slapgrid.format.records import VERSION_COUNT_MAX, add_version, render_xml
from tests.unit.slapgrid.format_samples import golden

NOON = 1795262400.0


def versions(archive: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return [(it, opened.read(it)) for it in opened.namelist()]


def test_a_record_is_what_a_stock_node_writes() -> None:
    """To the byte: an element on each line, keys in order."""
    document = loads(golden("computer.xml"))

    assert isinstance(document, dict)
    assert render_xml(document) == golden("computer.xml")


def test_a_record_holds_any_text() -> None:
    """Marks of XML, empty texts and texts of several lines."""
    document = {"a": "<b>&amp;</b>", "c": "", "d": "e\nf", "g": [], "h": None}

    assert loads(render_xml(document)) == document  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["text", "address", "None"])
def test_what_is_odd_in_a_record_is_as_if_it_were_not_there(value: str) -> None:
    """A partition gets then what a new one would."""
    odd = {
        "partition_list": [
            {
                "reference": "slappart0",
                "address_list": [{"addr": value, "netmask": value}, value],
                "ipv6_range": {"network": value},
                "tap": None,
                "tun": value,
            },
            {"path": "nameless"},
            value,
        ]
    }

    previous = decode_previous(dumps(odd))  # type: ignore[arg-type]

    assert dict(previous.partitions) == {"slappart0": PreviousPartition()}


def test_a_record_that_is_cut_is_refused() -> None:
    """It would be taken for that of a new computer."""
    with pytest.raises(MalformedDocument):
        decode_previous(golden("computer.xml")[:1000])


def test_former_versions_are_kept() -> None:
    """With the minute in which they were replaced."""
    archive = add_version(None, "slapos.xml", b"one", NOON)
    archive = add_version(archive, "slapos.xml", b"two", NOON + 60)

    assert versions(archive) == [
        ("slapos.xml.20261121-12:00", b"one"),
        ("slapos.xml.20261121-12:01", b"two"),
    ]


def test_a_version_that_was_kept_before_an_interruption_is_kept_once() -> None:
    """The archive is written before the file is replaced."""
    archive = add_version(None, "slapos.xml", b"one", NOON)

    assert add_version(archive, "slapos.xml", b"one", NOON + 600) == archive


def test_the_oldest_versions_go() -> None:
    """An archive does not grow for ever."""
    archive = None
    for number in range(VERSION_COUNT_MAX + 2):
        archive = add_version(archive, "x", f"{number}".encode(), NOON + 60 * number)

    assert archive is not None
    kept = [int(content) for _, content in versions(archive)]
    assert kept == list(range(2, VERSION_COUNT_MAX + 2))
