"""Marshalled documents: what is written, what is read, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap import marshalling
from slap.errors import BadRequest, MalformedDocument
from slap.marshalling import Value, WireObject, dumps, loads
from tests.strategies import texts, values


def in_marshal(inner: str) -> bytes:
    return f"<marshal>{inner}</marshal>".encode()


@given(values())
def test_every_value_is_read_as_it_was_written(value: Value) -> None:
    assert loads(dumps(value)) == value


@given(values())
def test_documents_are_ascii(value: Value) -> None:
    assert dumps(value).isascii()


@pytest.mark.parametrize(
    ("value", "inner"),
    [
        ("", "<string></string>"),
        ("a", "<string>a</string>"),
        ("<a&b>", "<string>&amp;lt;a&amp;amp;b&amp;gt;</string>"),
        ("é\U0001f600\x7f\x85", "<string>&#233;&#128512;\x7f&#133;</string>"),
        ("\t\n\r\"'", "<string>\t\n&#13;\"'</string>"),
        (1, "<int>1</int>"),
        (-(10**24) + 1, f"<int>-{'9' * 24}</int>"),
        (-(10**24), f"<long>-1{'0' * 24}</long>"),
        (1.5, "<float>1.5</float>"),
        (True, "<bool>1</bool>"),
        (False, "<bool>0</bool>"),
        (None, "<none/>"),
        ([], '<list id="i2"/>'),
        ((), "<tuple/>"),
        ({}, '<dictionary id="i2"/>'),
        (frozenset(), '<set id="i2"/>'),
        (frozenset("ba"), '<set id="i2"><string>a</string><string>b</string></set>'),
        (
            {"b": [], "a": ()},
            (
                '<dictionary id="i2"><string>a</string><tuple/>'
                '<string>b</string><list id="i3"/></dictionary>'
            ),
        ),
        (
            WireObject("Computer", ("c",), {}),
            (
                '<object id="i2" module="slapos.slap.slap" class="Computer">'
                '<tuple><string>c</string></tuple><dictionary id="i3"/></object>'
            ),
        ),
    ],
)
def test_values_are_written_as_the_reference_writes_them(
    value: Value, inner: str
) -> None:
    assert dumps(value) == in_marshal(inner)


@pytest.mark.parametrize("text", ["\0", "\x1b[31m", "\ud800", "\ufffe"])
def test_a_text_that_xml_cannot_carry_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="a text holds a character"):
        dumps({"a": text})


@pytest.mark.parametrize(
    ("inner", "value"),
    [
        ("<unicode>&#233;</unicode>", "é"),
        ("<string>\xe9</string>", "é"),
        ("<string><![CDATA[&amp;<]]></string>", "&<"),
        ("<long>7</long>", 7),
        ("<int> -7\n</int>", -7),
        ("<int>+7</int>", 7),
        ("<float>1e3</float>", 1000.0),
        ("<none> </none>", None),
        (" \n<tuple> <none/>\n</tuple> ", (None,)),
        ('<list id="i2"><list id="i3"/><reference id="i3"/></list>', [[], []]),
        (
            (
                '<tuple><dictionary id="x"><string>k</string><int>1</int></dictionary>'
                '<reference id="x"/></tuple>'
            ),
            ({"k": 1}, {"k": 1}),
        ),
        ('<list id="i2" other="1"><string x="y">a</string></list>', ["a"]),
    ],
)
def test_everything_that_writers_write_is_read(inner: str, value: Value) -> None:
    assert loads(in_marshal(inner)) == value


def test_a_declaration_does_not_choose_the_encoding() -> None:
    declared = b'<?xml version="1.0" encoding="unicode_escape"?>'

    assert loads(declared + in_marshal("<string>é</string>")) == "é"


def test_a_byte_order_mark_does() -> None:
    assert loads(in_marshal("<none/>").decode().encode("utf-16")) is None


DEPTH = marshalling.DEPTH_MAX
ENTITIES = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;">]>'
EXTERNAL = '<!DOCTYPE a SYSTEM "file:///etc/passwd">'


def doubling(levels: int, text: str = "") -> str:
    """A list in which each level names the one before twice."""
    lists = [f'<list id="0"><string>{text}</string></list>']
    for level in range(levels):
        below = f'<reference id="{level}"/>'
        lists.append(f'<list id="{level + 1}">{below}{below}</list>')
    return f"<tuple>{''.join(lists)}</tuple>"


def deepening(levels: int) -> str:
    """A tuple in which each list has the one before in it."""
    lists = ['<list id="0"/>']
    lists += [
        f'<list id="{level + 1}"><reference id="{level}"/></list>'
        for level in range(levels)
    ]
    return f"<tuple>{''.join(lists)}</tuple>"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "no element found"),
        (b"\0", "unclosed token"),
        (b"<marshal>", "no element found"),
        (b"<marshal/>", "0 values instead of 1"),
        (b"<marshal><none/></marshal>x", "junk after document element"),
        (b"<none/>", "<none> out of place"),
        (b"<marshal><marshal/></marshal>", "<marshal> out of place"),
        (b"<marshal><none/><none/></marshal>", "2 values instead of 1"),
        (b"<marshal><string>\xff</string></marshal>", "invalid token"),
        (in_marshal("<string>\x01</string>"), "invalid token"),
        (in_marshal("<string>&#0;</string>"), "invalid character number"),
        (in_marshal("<string>&#xd800;</string>"), "invalid character number"),
        (in_marshal("<string>&b;</string>"), "undefined entity"),
        (ENTITIES.encode() + in_marshal("<string>&c;</string>"), "a DOCTYPE"),
        (EXTERNAL.encode() + in_marshal("<none/>"), "a DOCTYPE"),
        (in_marshal("<?php ?><none/>"), "an instruction"),
        (in_marshal("<!-- --><none/>"), "a comment"),
        (in_marshal("<list>x<none/></list>"), "text inside <list>"),
        (in_marshal("<list>x</list>"), "<list>: text"),
        (in_marshal("<string><none/></string>"), "<none> inside <string>"),
        (in_marshal("<none>0</none>"), "<none>: text"),
        (in_marshal("<complex>1j</complex>"), "<complex> is unknown"),
        (in_marshal(f"<int>{'1' * 101}</int>"), "at most 100 digits"),
        (in_marshal("<int>1_0</int>"), "not an integer"),
        (in_marshal("<int>\u0661</int>"), "not an integer"),
        (in_marshal("<float>nan</float>"), "not a number"),
        (in_marshal("<float>1e999</float>"), "not a finite number"),
        (in_marshal(f"<float>{'1' * 101}</float>"), "not a number"),
        (in_marshal("<bool>2</bool>"), "neither 0 nor 1"),
        (in_marshal("<dictionary><none/></dictionary>"), "key without a value"),
        (in_marshal("<dictionary><none/><none/></dictionary>"), "not a text"),
        (
            in_marshal(f"<dictionary>{'<string>k</string><none/>' * 2}</dictionary>"),
            "a key twice",
        ),
        (in_marshal("<set><int>1</int></set>"), "not a text"),
        (in_marshal('<reference id="i2"/>'), "nothing complete has the id 'i2'"),
        (in_marshal("<tuple><list/><reference/></tuple>"), "nothing complete"),
        (in_marshal('<list id="i2"><reference id="i2"/></list>'), "nothing complete"),
        (
            in_marshal(
                '<list><list id="a"/><reference id="a"><none/></reference></list>'
            ),
            "nothing complete",
        ),
        (in_marshal('<list><list id="a"/><list id="a"/></list>'), "id 'a' twice"),
        (in_marshal("<object/>"), "unknown class"),
        (
            in_marshal(
                '<object module="os" class="system"><tuple/><dictionary/></object>'
            ),
            "unknown class os.system",
        ),
        (
            in_marshal('<object module="slapos.slap.slap" class="Supply"/>'),
            "unknown class slapos.slap.slap.Supply",
        ),
        (
            in_marshal('<object module="slapos.slap.slap" class="Computer"/>'),
            "0 values instead of 2",
        ),
        (
            in_marshal(
                '<object module="slapos.slap.slap" class="Computer">'
                "<list/><dictionary/></object>"
            ),
            "not a tuple and a dictionary",
        ),
        (in_marshal("<list>" * 100_000 + "</list>" * 100_000), "deeper than 32"),
        (in_marshal("<list>" * 100_000), "deeper than 32"),
        (in_marshal(f"<list>{'<none/>' * 250_000}</list>"), "more than 250000"),
        (in_marshal(deepening(DEPTH)), "deeper than 32"),
        (in_marshal(doubling(25)), "repeats more than"),
        (in_marshal(doubling(9, "x" * 100_000)), "repeats more than"),
        (b" " * (marshalling.DOCUMENT_BYTES_MAX + 1), "longer than"),
    ],
)
def test_a_hostile_document_is_refused(document: bytes, reason: str) -> None:
    with pytest.raises(MalformedDocument, match=reason):
        loads(document)


def test_the_deepest_document_is_read() -> None:
    nested = "<tuple>" * (DEPTH - 1) + "<none/>" + "</tuple>" * (DEPTH - 1)

    assert dumps(loads(in_marshal(nested))) == in_marshal(nested)


def test_repetition_within_the_limit_is_read() -> None:
    value = loads(in_marshal(doubling(3, "x")))

    twice = [["x"]] * 2
    assert value == (["x"], twice, [twice] * 2, [[twice] * 2] * 2)


def test_a_refusal_names_the_byte() -> None:
    with pytest.raises(MalformedDocument) as caught:
        loads(in_marshal("<tuple><none/><foo/></tuple>"))

    assert (caught.value.reason, caught.value.position) == ("<foo> is unknown", 23)
    assert str(caught.value) == "<foo> is unknown (byte 23)"


WORDS = st.sampled_from(
    [
        *("<marshal>", "</marshal>", "<list>", "</list>", "<tuple/>", "<none/>"),
        *("<string>", "</string>", "&lt;", "&amp;", '<list id="a">', "<dictionary>"),
        *("</dictionary>", '<reference id="a"/>', "<int>", "</int>", "1", "<?", "<!"),
        *("<object", ' module="slapos.slap.slap"', ' class="Computer"', ">", "\0"),
    ]
)


@given(st.one_of(st.binary(), st.lists(WORDS).map("".join).map(str.encode)))
def test_noise_is_refused_or_read_and_nothing_else(document: bytes) -> None:
    try:
        value = loads(document)
    except MalformedDocument:
        return
    assert loads(dumps(value)) == value


@given(values(), st.data())
def test_a_truncated_document_is_refused(value: Value, data: st.DataObject) -> None:
    document = dumps(value)
    length = data.draw(st.integers(0, len(document) - 1))

    with pytest.raises(MalformedDocument):
        loads(document[:length])


@given(values(), st.data())
def test_a_damaged_document_is_refused_or_read(
    value: Value, data: st.DataObject
) -> None:
    document = bytearray(dumps(value))
    position = data.draw(st.integers(0, len(document) - 1))
    document[position] = data.draw(st.integers(0, 255))

    try:
        loads(bytes(document))
    except MalformedDocument:
        return


@given(texts())
def test_a_text_survives_both_escapings(text: str) -> None:
    assert loads(dumps(text)) == text
