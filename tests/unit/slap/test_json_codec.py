"""Reports as JSON: nothing lost, nothing guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap import json_codec
from slap.errors import MalformedDocument
from slap.reports import (
    AllocationReport,
    CloudReport,
    ComputerReport,
    ComputerSummary,
    InstallationReport,
    TreeReport,
)
from tests import strategies


@given(strategies.a_report())
def test_every_report_survives(report: object) -> None:
    assert json_codec.decode(json_codec.encode(report), type(report)) == report


def test_a_report_is_plain_json() -> None:
    report = CloudReport(computers=(ComputerSummary("é", 3, 2, 1, 0),))

    assert json_codec.encode(report) == (
        b'{"computers": [{"computer_id": "\\u00e9", "partition_count": 3,'
        b' "free_count": 2, "installation_count": 1, "failing_count": 0,'
        b' "certificate": null}],'
        b' "trees": []}'
    )


SUMMARY = (
    '{"computer_id": "c", "partition_count": %s, "free_count": 0,'
    ' "installation_count": 0, "failing_count": 0, "certificate": null}'
)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("", r"Expecting value \(byte 0\)"),
        ("[", "Expecting value"),
        ("[]", "not of type dict"),
        ('""', "not of type dict"),
        ("null", "not of type dict"),
        ('{"trees": ""}', "expected tuple @"),
        ('{"trees": {}}', "expected tuple @"),
        ('{"trees": [], "trees": []}', "gives a key twice"),
        ('{"trees": [{}]}', "required"),
        (f'{{"computers": [{SUMMARY % "true"}]}}', "expected int @"),
        (f'{{"computers": [{SUMMARY % "1.0"}]}}', "expected int @"),
        (f'{{"computers": [{SUMMARY % ("9" * 5000)}]}}', "more than 100 characters"),
        ("[" * 100_000, "deeper than any"),
    ],
)
def test_a_report_that_makes_no_sense_is_refused(document: str, reason: str) -> None:
    with pytest.raises(MalformedDocument, match=reason):
        json_codec.decode(document.encode(), CloudReport)


def test_what_a_later_version_tells_besides_is_left() -> None:
    document = f'{{"forests": [], "computers": [{SUMMARY % 3}]}}'
    later = document.replace("{", '{"colour": "red", ').encode()

    report = json_codec.decode(later, CloudReport)

    assert report == json_codec.decode(document.encode(), CloudReport)
    assert report == CloudReport(computers=(ComputerSummary("c", 3, 0, 0, 0),))


@pytest.mark.parametrize(
    "moment", ["true", '"1"', "NaN", "Infinity", "1e999", "9" * 400]
)
def test_a_moment_is_a_finite_number(moment: str) -> None:
    document = (
        '{"computer_id": "c", "installations": [{"software_release_url": "u",'
        f' "requested_state": "available", "reported_at": {moment}}}]}}'
    )

    with pytest.raises(MalformedDocument):
        json_codec.decode(document.encode(), ComputerReport)


def test_a_whole_number_is_a_moment() -> None:
    report = ComputerReport(
        "c", installations=(InstallationReport("u", "available", reported_at=7.0),)
    )
    document = json_codec.encode(report).replace(b"7.0", b"7")

    assert json_codec.decode(document, ComputerReport) == report


@pytest.mark.parametrize("document", [b"[]", b'{"a": 1}', b'{"a": null}', b"7"])
def test_texts_by_name_are_texts_by_name(document: bytes) -> None:
    with pytest.raises(MalformedDocument):
        json_codec.decode_texts(document)


def test_a_document_over_the_limit_is_refused() -> None:
    document = b" " * (json_codec.DOCUMENT_BYTES_MAX + 1)

    with pytest.raises(MalformedDocument, match="longer than"):
        json_codec.decode(document, CloudReport)


def test_broken_utf_8_is_refused() -> None:
    with pytest.raises(MalformedDocument, match=r"not UTF-8 \(byte 1\)"):
        json_codec.decode(b'"\xff"', CloudReport)


@given(
    st.one_of(st.binary(), st.from_regex(r'[\[\]{}":,0-9a-z ]*').map(str.encode)),
    st.sampled_from([CloudReport, ComputerReport, TreeReport, AllocationReport]),
)
def test_noise_is_refused_or_read_and_nothing_else(document: bytes, kind: type) -> None:
    try:
        report = json_codec.decode(document, kind)
    except MalformedDocument:
        return
    assert json_codec.decode(json_codec.encode(report), kind) == report


@given(strategies.a_report(), st.data())
def test_a_damaged_report_is_refused_or_read(
    report: object, chance: st.DataObject
) -> None:
    document = bytearray(json_codec.encode(report))
    position = chance.draw(st.integers(0, len(document) - 1))
    document[position] = chance.draw(st.integers(0, 255))

    try:
        json_codec.decode(bytes(document), type(report))
    except MalformedDocument:
        return
