"""TioXML: what is understood, and what is refused at which line."""

from __future__ import annotations

import pytest
from hypothesis import given

from slap.errors import MalformedDocument
from slap.tioxml import (
    DOCUMENT_BYTES_MAX,
    MOVEMENT_COUNT_MAX,
    TEXT_LENGTH_MAX,
    decode_consumption,
    decode_journal,
    encode_journal,
)
from slap.usage import Arrow, Journal, JournalEntry, Movement
from tests.builders import a_usage_document
from tests.strategies import usage_journals


def test_a_document_is_understood() -> None:
    document = a_usage_document(quantity="42.5", stop_date="2026-11-20 at 23:31:16")

    assert decode_journal(document) == Journal(
        (
            JournalEntry(
                kind="Sale Packing List",
                title="Resource consumptions",
                start_date="",
                stop_date="2026-11-20 at 23:31:16",
                reference="COMP-1",
                currency="",
                payment_mode="",
                categories=("",),
                arrows=(Arrow("Administration"),),
                movements=(
                    Movement(
                        resource="service_module/cpu_load",
                        title="CPU Consumption",
                        reference="slappart0",
                        quantity="42.5",
                        price="0.0",
                        vat="None",
                        categories=("type/cpu",),
                    ),
                ),
            ),
        )
    )


@pytest.mark.parametrize("number", [" 1.5 ", "+.5", "5.", "-1e-9", "1E+38", "007"])
def test_a_number_of_the_schema_is_kept_as_it_was_written(number: str) -> None:
    journal = decode_journal(a_usage_document(quantity=number))

    assert journal.entries[0].movements[0].quantity == number.strip()


def test_the_declared_encoding_means_nothing_after_transport() -> None:
    document = a_usage_document(title="é").replace("?>", " encoding='latin-1'?>")

    assert decode_journal(document).entries[0].title == "é"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<start_date></start_date>", "", "line 2: <stop_date> where <start_date>"),
        ("<title>Resource", "<title/><title>Resource", "line 2: <title> twice"),
        ("</journal>", "</journal>x", "junk after document element"),
        ("<source></source>", "<source><a/></source>", "<a> inside <source>"),
        (' type="Administration"', "", "<arrow> without a type"),
        ("<journal>", '<journal a="1">', "<journal> has an attribute 'a'"),
        ("<journal>", "<journal>text", "text inside <journal>"),
        ("</movement>", "</movement><arrow type='x'/>", "<arrow> out of place"),
        ("<quantity>1<", "<quantity>NaN<", "'NaN' is no finite number"),
        ("<quantity>1<", "<quantity>INF<", "'INF' is no finite number"),
        ("<quantity>1<", "<quantity>1,5<", "'1,5' is no finite number"),
        ("<quantity>1<", "<quantity>\u0661<", "is no finite number"),
        ("<quantity>1<", "<quantity><", "'' is no finite number"),
        ("<quantity>1<", "<quantity>1e39<", "is beyond 1e38"),
        ("<quantity>1<", f"<quantity>{'1' * 51}<", "more than 50 digits"),
        ("slappart0", "x" * (TEXT_LENGTH_MAX + 1), "<reference> is longer than"),
        ("slappart0", "&#1;", "reference to invalid character number"),
        ("slappart0", "&outside;", "undefined entity"),
        ("<journal>", "<!DOCTYPE journal><journal>", "line 2: a DOCTYPE"),
        ("</transaction>", "<x:a xmlns:x='u'/></transaction>", "<x:a> out of place"),
    ],
)
def test_a_flaw_is_refused_with_its_line(old: str, new: str, reason: str) -> None:
    document = a_usage_document().replace(old, new, 1)

    with pytest.raises(MalformedDocument) as refused:
        decode_journal(document)

    assert reason in str(refused.value)


def test_space_between_elements_says_nothing() -> None:
    document = a_usage_document()

    spaced = document.replace("<transaction", "\r\n\t <transaction")

    assert decode_journal(spaced) == decode_journal(document)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "<journal/>",
        "<journal>" * 100_000,
        "\ud800",
        " " * (DOCUMENT_BYTES_MAX + 1),
        "<journal " + " ".join(f'a{it}=""' for it in range(100_000)) + "/>",
        '<!DOCTYPE a [<!ENTITY b "bbb">' + '<!ENTITY c "&b;&b;">' * 30 + "]><a>&c;</a>",
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>',
    ],
    ids=range(8),
)
def test_a_hostile_document_is_refused(document: str) -> None:
    with pytest.raises(MalformedDocument):
        decode_journal(document)


def test_the_number_of_movements_is_bounded() -> None:
    movement = (
        "<movement><resource/><quantity>1</quantity><price>1</price><VAT/></movement>"
    )
    document = a_usage_document().replace(
        "<movement>", movement * MOVEMENT_COUNT_MAX + "<movement>", 1
    )

    with pytest.raises(MalformedDocument, match=f"more than {MOVEMENT_COUNT_MAX}"):
        decode_journal(document)


@given(usage_journals())
def test_what_is_written_is_read_as_it_was(journal: Journal) -> None:
    """And the same journal gives the same text."""
    assert decode_journal(encode_journal(journal)) == journal
    assert encode_journal(decode_journal(encode_journal(journal))) == (
        encode_journal(journal)
    )


CONSUMPTION = (
    "<consumption><movement><resource>service_module/requests</resource>"
    "<title>a &lt; b</title><quantity>7</quantity><price>0.5</price><VAT/>"
    "</movement></consumption>"
)


def test_a_report_of_an_instance_is_its_movements() -> None:
    assert decode_consumption(CONSUMPTION) == (
        Movement("service_module/requests", "7", "0.5", "", title="a < b"),
    )


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("<consumption/>", "<consumption> without <movement>"),
        (a_usage_document(), "<journal> where <consumption> is due"),
        (CONSUMPTION.replace("<VAT/>", ""), "<movement> without <VAT>"),
        (CONSUMPTION.replace(">7<", ">many<"), "'many' is no finite number"),
    ],
)
def test_a_report_of_an_instance_that_is_none_is_refused(
    document: str, reason: str
) -> None:
    with pytest.raises(MalformedDocument) as refused:
        decode_consumption(document)

    assert reason in str(refused.value)
