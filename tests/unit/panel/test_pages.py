"""Pages as functions of what they show."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from master_cluster.paging import PAGE_LENGTH, paginate
from master_cluster.records import RefusalRecord
from master_cluster.web.panel import addresses
from master_cluster.web.panel.fields import InstanceForm
from master_cluster.web.panel.nesting import nest
from master_cluster.web.panel.pages import Pages
from master_cluster.web.panel.parameters import Row, TypedParameters, show_parameters
from master_cluster.web.panel.templating import Templates
from master_cluster.web.panel.versions import Difference
from slap.model import NetworkAddress
from slap.reports import (
    AllocationReport,
    ComputerReport,
    ComputerSummary,
    Condition,
    EarlierReport,
    InstallationReport,
    InstanceReport,
    PartitionReport,
    TreeSummary,
)
from slap.usage import UsageSummary
from tests.builders import a_partition_key
from tests.unit.panel.markup import Tag, flaws, read_page

NOW = 1_795_217_576.0
PAGES = Pages(Templates(lambda: NOW))
TOKEN = "t" * 64


def an_instance_report(text: str, **overrides) -> InstanceReport:
    fields = {
        "title": text,
        "root_title": text,
        "instance_guid": "SOFTINST-1",
        "requester_title": text,
        "software_release_url": text,
        "software_type": text,
        "is_shared": True,
        "requested_state": "started",
        "reported_state": "error",
        "message": text,
        "reported_at": NOW - 90,
        "partition": a_partition_key(),
        "earlier": (EarlierReport("error", text, NOW - 900),),
        "parameters": {"name": text, text: "value"},
        "connection_parameters": {"url": text, "link": f"https://{text}"},
    }
    return InstanceReport(**{**fields, **overrides})


def a_computer_report(text: str) -> ComputerReport:
    address = NetworkAddress(text, text)
    return ComputerReport(
        text,
        text,
        (
            PartitionReport(text, (address,), "started", text, text, "error", text),
            PartitionReport("slappart1", (address, address), capabilities=(text,)),
        ),
        (
            InstallationReport(text, "available", "error", text, NOW - 7200),
            InstallationReport("https://a.example/", "destroyed"),
            InstallationReport("https://b.example/", "available", "building"),
        ),
        {"region": text, text: "eu"},
        usage_document_count=2,
        last_usage=UsageSummary(text, NOW - 5, text, text, (text,), 1, 10),
    )


def a_form(text: str) -> InstanceForm:
    return InstanceForm(
        title=text,
        software_release_url=text,
        software_type=text,
        conditions=text,
        parameters=TypedParameters(rows=(Row(text, text, text), Row())),
        errors={
            "title": text,
            "software_release_url": text,
            "software_type": text,
            "conditions": text,
        },
    )


def an_object_form(text: str) -> InstanceForm:
    typed = TypedParameters("object", document=text, error=text)
    return InstanceForm(title="root", parameters=typed)


def every_page(text: str) -> dict[str, str]:
    """Each page, with a text wherever somebody else's can stand."""
    report = a_computer_report(text)
    computers = paginate([ComputerSummary(text, 3, 1, 2, 1)], 1)
    trees = paginate([TreeSummary(text, 2, 0, "started", "")], 1)
    refusals = [
        RefusalRecord(text, text, text, text, is_shared=False, refused_at=NOW),
        RefusalRecord(text, "", text, text, is_shared=False, refused_at=NOW),
    ]
    many = paginate([TreeSummary(text, 2, 0, "started", "")] * (2 * PAGE_LENGTH), 2)
    root = an_instance_report(text)
    child = an_instance_report(text, instance_guid="SOFTINST-2", requester_title=None)
    nested = paginate(nest([root, child]), 1)
    difference = (Difference(text, text, None), Difference("b", None, text))
    partitions = paginate(report.partitions, 1)
    why = AllocationReport(text, text, text, None, (Condition(text, 3, text),))
    return {
        "overview": PAGES.overview(computers, trees, refusals),
        "computers": PAGES.computers(computers, text),
        "computer": PAGES.computer(
            report, partitions, text, TOKEN, typed_url=text, error=text
        ),
        "trees": PAGES.trees(many, text, "destroyed"),
        "tree": PAGES.tree(root, nested, text, TOKEN, "changed"),
        "instance": PAGES.instance(root),
        "why": PAGES.why(why),
        "request": PAGES.new_instance(a_form(text), TOKEN, text),
        "change": PAGES.change(an_object_form(text), TOKEN, text, difference),
        "destroy": PAGES.destruction(root, 3, TOKEN, text),
        "remove": PAGES.removal(text, report.installations[0], TOKEN, text),
        "refusal": PAGES.refusal(404, text),
    }


def shape(page: Tag) -> list[tuple[str, tuple[str, ...]]]:
    """The elements and the names of their attributes: what is not text."""
    return [(it.name, tuple(it.attributes)) for it in page.all()]


PLAIN = {name: shape(read_page(text)) for name, text in every_page("plain").items()}

HOSTILE = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
    | st.text("<>&\"'/=-!{}%# \n\rabon", min_size=1)
    | st.sampled_from(
        [
            "</textarea><script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "' autofocus onfocus=alert(1) x='",
            "{{ 7 * 7 }}{% raw %}",
            "<!-- --><![CDATA[",
            "</title></pre></details>",
            "\ud800",
        ]
    )
).map(lambda it: f"x{it}x".replace("\ud800", "?"))


@settings(max_examples=30, deadline=None)
@given(HOSTILE)
def test_any_text_is_shown_as_text(text: str) -> None:
    """Nothing that others wrote makes an element or an attribute."""
    for name, page in every_page(text).items():
        assert shape(read_page(page)) == PLAIN[name]


def test_texts_arrive_as_they_are() -> None:
    text = "\n<b>&amp;</b> \"quoted\" 'twice'\n\tand more"
    page = read_page(PAGES.instance(an_instance_report(text)))

    shown = [it.text() for it in page.all("pre")]
    assert [it.removeprefix("\n") for it in shown[:1]] == [text]


@pytest.mark.parametrize("name", PLAIN)
def test_a_page_is_usable_without_eyes_or_hands(name: str) -> None:
    assert flaws(read_page(every_page("plain")[name])) == []


def test_an_address_that_runs_a_script_is_no_link() -> None:
    values = {"a": "javascript:alert(1)", "b": "data:text/html,x"}
    report = an_instance_report("x", connection_parameters=values, parameters={})
    page = read_page(PAGES.instance(report))

    links = [it.attributes["href"] for it in page.all("a")]
    assert all(it.startswith(("/panel/", "#")) or it == "" for it in links)


def test_states_have_words_and_signs() -> None:
    page = read_page(PAGES.instance(an_instance_report("x")))
    badge = page.one("span", **{"class": "badge failing"})

    assert badge.text() == "✗ failing, wanted started"


def test_times_are_in_utc_with_their_age() -> None:
    page = read_page(PAGES.instance(an_instance_report("x")))
    moment = page.all("span", **{"class": "moment"})[0]

    assert moment.text() == "2026-11-20 23:31:26 UTC (1 min ago)"


def test_a_sentence_of_the_address_is_one_of_ours() -> None:
    trees = paginate([], 1)

    assert "somebody" not in PAGES.trees(trees, "", "somebody says so")


def test_a_form_sends_what_it_shows() -> None:
    values = {"lines": "\n\none\ntwo\n", "quoted": "\"'<&>", "_": "{}"}
    form = InstanceForm(title="root", parameters=show_parameters(values))
    page = read_page(PAGES.change(form, TOKEN))
    sent = page.one("form", action=addresses.change()).fields()

    rows = {sent[f"name_{it}"]: sent[f"value_{it}"] for it in range(3)}
    assert rows == {name: it.replace("\n", "\r\n") for name, it in values.items()}


@pytest.mark.parametrize(
    ("number", "shown"),
    [(-5, (1, 0)), (2, (2, PAGE_LENGTH)), (99, (3, 2 * PAGE_LENGTH))],
)
def test_a_list_has_pages_and_no_others(number: int, shown: tuple[int, int]) -> None:
    page = paginate(range(2 * PAGE_LENGTH + 1), number)

    assert (page.number, page.items[0]) == shown
    assert (page.page_count, page.item_count) == (3, 2 * PAGE_LENGTH + 1)


def test_an_empty_list_has_one_page() -> None:
    page = paginate([], 1)

    assert (page.items, page.number, page.page_count) == ((), 1, 1)


def test_instances_stand_below_those_that_requested_them() -> None:
    def requested(title: str, requester: str | None) -> InstanceReport:
        return an_instance_report(title, instance_guid=title, requester_title=requester)

    tree = nest(
        [
            requested("root", None),
            requested("a", "c"),
            requested("b", None),
            requested("c", "root"),
            requested("d", "root"),
            requested("e", "e"),
        ]
    )

    assert [(it.instance.title, it.depth) for it in tree] == [
        *(("root", 0), ("c", 1), ("a", 2), ("d", 1)),
        *(("b", 1), ("e", 1)),
    ]
