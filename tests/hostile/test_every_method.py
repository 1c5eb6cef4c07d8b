"""Each method of the table gets what nobody should send, and nothing changes.

What a call is refused with is told in words, below 500; a refused call leaves every
document of the master as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from master_cluster.web.channel import HEADER_BYTES_MAX
from runtime.http_client import HttpReply
from slap import calls
from slap.form import FIELD_COUNT_MAX, NAME_LENGTH_MAX
from slap.methods import METHODS, Dialect, Method
from slap.reports import CloudReport
from tests.builders import (
    COMPUTER_ID,
    a_computer_definition,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import WebBench

FORM_TYPE = {"Content-Type": "application/x-www-form-urlencoded"}
PARTITION_ID = "slappart0"
FORM_METHODS = sorted(it.name for it in METHODS.values() if it.dialect is Dialect.FORM)

DEEP = "<marshal>" + "<list>" * 20_000 + "</list>" * 20_000 + "</marshal>"
LAUGHS = (
    '<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<marshal><string>&b;&b;&b;&b;&b;&b;</string></marshal>"
)
FOREIGN = (
    '<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/hostname">]>'
    "<marshal><string>&a;</string></marshal>"
)
STRANGE_CLASS = (
    '<marshal><object id="i2" module="os" class="system">'
    "<tuple><string>id</string></tuple></object></marshal>"
)
HUGE_NUMBER = f"<marshal><int>{'9' * 6000}</int></marshal>"
CIRCLE = '<marshal><list id="i2"><reference id="i2"/></list></marshal>'

HOSTILE_VALUES: Mapping[str, str] = {
    "empty": "",
    "long": "x" * (NAME_LENGTH_MAX + 1),
    "control characters": "a\x00b\x1b[2J",
    "a surrogate in three bytes": "%ED%A0%80",
    "not UTF-8": "%FF%FE",
    "half an escape": "%",
    "a list of nothing": "<marshal><list>",
    "deep": DEEP,
    "laughs": LAUGHS,
    "a file of the machine": FOREIGN,
    "a class of Python": STRANGE_CLASS,
    "a number of 6000 digits": HUGE_NUMBER,
    "a circle": CIRCLE,
    "an integer": "<marshal><int>3</int></marshal>",
    "lists by lists": "<marshal><dictionary><list/><list/></dictionary></marshal>",
    "a path": "../../etc/passwd",
    "markup": "<script>alert(1)</script>",
    "right to left": "\u202egnp.exe",
}
RAW = {"a surrogate in three bytes", "not UTF-8", "half an escape"}


@pytest.fixture(scope="module")
def bench() -> Iterator[WebBench]:
    bench = WebBench(default_computer_id=COMPUTER_ID)
    bench.perform(calls.define_computer(a_computer_definition(3)))
    bench.perform(calls.supply(an_installation()))
    bench.perform(calls.request_instance(an_instance_request(title="root")))
    yield bench
    bench.close()


def everything(bench: WebBench) -> list[object]:
    """All that the master tells of its state."""
    cloud = bench.perform(calls.get_cloud_report())
    assert isinstance(cloud, CloudReport)
    return [
        cloud,
        *(bench.perform(calls.get_tree_report(it.title)) for it in cloud.trees),
        bench.perform(calls.get_computer_report(COMPUTER_ID)),
        bench.perform(calls.get_computer(COMPUTER_ID)),
    ]


def plausible(method: Method) -> dict[str, str]:
    """Every field of a method with a name that exists where a name is wanted."""
    known = {
        "computer_id": COMPUTER_ID,
        "computer_reference": COMPUTER_ID,
        "computer_guid": COMPUTER_ID,
        "computer_partition_id": PARTITION_ID,
        "computer_partition_reference": PARTITION_ID,
        "slave_reference": "None",
        "url": "http://release.invalid/other.cfg",
        "state": "destroyed",
    }
    fields = [name for argument in method.arguments for name in argument.fields]
    return {name: known.get(name, "<marshal><none/></marshal>") for name in fields}


def encoded(fields: Mapping[str, str], raw: frozenset[str] = frozenset()) -> str:
    return "&".join(
        f"{name}={text if name in raw else quote_plus(text)}"
        for name, text in fields.items()
    )


def send(bench: WebBench, method: Method, form: str) -> HttpReply:
    if method.verb == "GET":
        return bench.send("GET", f"{method.name}?{form}")
    return bench.send("POST", method.name, FORM_TYPE, form.encode())


def judge(bench: WebBench, reply: HttpReply, before: list[object]) -> list[object]:
    """A refusal is below 500, in words, and changed nothing; what is told now."""
    assert reply.status < 500, reply
    after = everything(bench)
    if reply.status != 200:
        assert reply.body
        assert after == before
    return after


@pytest.mark.parametrize("name", FORM_METHODS)
def test_a_missing_or_hostile_field_is_refused_and_changes_nothing(
    bench: WebBench, name: str
) -> None:
    method = METHODS[name]
    fields = plausible(method)

    before = everything(bench)
    for field in fields:
        without = {other: text for other, text in fields.items() if other != field}
        before = judge(bench, send(bench, method, encoded(without)), before)
        for what, text in HOSTILE_VALUES.items():
            if method.verb == "GET" and len(text) > HEADER_BYTES_MAX // 2:
                continue  # so long a request line ends the connection
            raw = frozenset({field}) if what in RAW else frozenset()
            reply = send(bench, method, encoded({**fields, field: text}, raw))
            before = judge(bench, reply, before)
            if what in {"not UTF-8", "deep", "laughs", "a circle"}:
                assert reply.status in {200, 400, 404}, (field, what, reply)


@pytest.mark.parametrize("name", FORM_METHODS)
def test_a_repeated_field_is_a_bad_request(bench: WebBench, name: str) -> None:
    method = METHODS[name]
    fields = plausible(method)
    before = everything(bench)

    for field, text in fields.items():
        form = f"{encoded(fields)}&{field}={quote_plus(text)}"
        assert send(bench, method, form).status == 400

    assert everything(bench) == before


@pytest.mark.parametrize("name", FORM_METHODS)
def test_too_many_fields_are_a_bad_request(bench: WebBench, name: str) -> None:
    form = encoded({f"f{number}": "x" for number in range(FIELD_COUNT_MAX + 1)})

    assert send(bench, METHODS[name], form).status == 400


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_wrong_verb_is_told_the_right_one(bench: WebBench, name: str) -> None:
    method = METHODS[name]
    before = everything(bench)

    for verb in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"} - {method.verb}:
        reply = bench.send(verb, name)
        assert (reply.status, reply.headers.get("allow")) == (405, method.verb), verb

    assert everything(bench) == before


JSON_BOMBS: Mapping[str, bytes] = {
    "nothing": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"a": "\xff"}',
    "a number": b"3",
    "a list": b"[]",
    "deep lists": b"[" * 100_000,
    "deep dictionaries": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a long number": b'{"a": ' + b"9" * 10_000 + b"}",
    "not a number": b'{"computer_guid": NaN}',
    "a lone surrogate": b'{"computer_guid": "\\ud800"}',
    "a surplus key": b'{"no such key": "x"}',
    "wrong types": b'{"computer_guid": 1, "computer_id": [], "title": {}}',
    "long texts": b'{"title": "' + b"x" * 100_000 + b'"}',
    "keys twice": b'{"title": "a", "title": "b"}',
}


@pytest.mark.parametrize(
    "name", sorted(it.name for it in METHODS.values() if it.dialect is not Dialect.FORM)
)
def test_a_json_document_that_is_not_understood_is_a_bad_request(
    bench: WebBench, name: str
) -> None:
    wants_nothing = not METHODS[name].arguments
    before = everything(bench)

    for what, body in JSON_BOMBS.items():
        headers = {"Content-Type": "application/json"}
        reply = bench.send("POST", name, headers, body)
        allowed = {400, 413} | ({200} if wants_nothing else set())
        assert reply.status in allowed, (what, reply)

    assert everything(bench) == before


# Hypothesis draws what nobody thought of: XML that is nearly what is wanted.

SCRAPS = st.recursive(
    st.sampled_from(
        [
            "<string>x</string>",
            "<string></string>",
            "<string/>",
            "<int>1</int>",
            "<int></int>",
            "<int>1e5</int>",
            "<bool>2</bool>",
            "<float>nan</float>",
            "<none/>",
            '<reference id="i2"/>',
            "<unicode>\u00e9</unicode>",
            "text",
            "<string>a<int>1</int></string>",
            "&amp;lt;",
            "<!-- c -->",
            "<![CDATA[x]]>",
            "<?pi x?>",
        ]
    ),
    lambda inner: st.builds(
        lambda tag, items: f"<{tag}>{''.join(items)}</{tag.split()[0]}>",
        st.sampled_from(
            [
                "list",
                'list id="i2"',
                "tuple",
                "dictionary",
                'dictionary id="i3"',
                "set",
                'object id="i4" module="slapos.slap.slap" class="Computer"',
                "string",
                "unknown",
            ]
        ),
        st.lists(inner, max_size=4),
    ),
    max_leaves=12,
)

MARSHALLED = (
    ("requestComputerPartition", "partition_parameter_xml"),
    ("requestComputerPartition", "filter_xml"),
    ("requestComputerPartition", "state"),
    ("requestComputerPartition", "shared_xml"),
    ("setComputerPartitionConnectionXml", "connection_xml"),
    ("loadComputerConfigurationFromXML", "xml"),
    ("updateComputerPartitionRelatedInstanceList", "instance_reference_xml"),
    ("useComputer", "use_string"),
)


@settings(deadline=None, max_examples=75)
@given(st.sampled_from(MARSHALLED), SCRAPS)
def test_no_xml_makes_the_master_fail(where: tuple[str, str], scrap: str) -> None:
    name, field = where
    bench = HYPOTHESIS_BENCH.get()
    fields = {**plausible(METHODS[name]), field: f"<marshal>{scrap}</marshal>"}
    before = everything(bench)

    reply = send(bench, METHODS[name], encoded(fields))

    judge(bench, reply, before)


class _Bench:
    """One master for all examples; a refused one leaves it as it was."""

    def __init__(self) -> None:
        self._bench: WebBench | None = None

    def get(self) -> WebBench:
        if self._bench is None:
            self._bench = WebBench(default_computer_id=COMPUTER_ID)
            self._bench.perform(calls.define_computer(a_computer_definition(3)))
            self._bench.perform(
                calls.request_instance(an_instance_request(title="root"))
            )
        return self._bench


HYPOTHESIS_BENCH = _Bench()
