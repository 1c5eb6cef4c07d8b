"""The panel of a whole master in a simulated world, as a browser uses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from master_cluster.answering.desk import Desk
from master_cluster.forwarding import Masters, OtherMaster
from master_cluster.paging import PAGE_LENGTH
from master_cluster.web.panel.panel import Panel
from master_cluster.web.panel.visits import Call
from runtime.http_client import HttpReply
from slap import calls
from slap.model import RequestedState
from slap.reports import ComputerReport, TreeReport
from tests.builders import (
    COMPUTER_ID,
    SOFTWARE_RELEASE_URL,
    a_computer_definition,
    a_partition_key,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import StoreBench, WebBench
from tests.unit.panel.markup import Tag, flaws, read_page

FORM_TYPE = "application/x-www-form-urlencoded"


@define
class Browser:
    """Keeps the cookie, follows redirections and sends forms as they stand."""

    bench: WebBench
    cookie: str = ""
    status: int = 0
    address: str = ""
    page: Tag = field(factory=lambda: Tag("document", {}))

    def visit(self, address: str) -> Tag:
        return self._show(address, self._send("GET", address))

    def submit(self, action: str, button: str = "", **typed: str) -> Tag:
        """Send the form of this page that goes there, with what is typed."""
        form = self.page.one("form", action=action, method="post")
        pressed = dict([button.split("=")]) if button else {}
        return self.post(action, {**form.fields(), **typed, **pressed})

    def post(self, action: str, fields: dict[str, str], **headers: str) -> Tag:
        body = urlencode(fields).encode()
        return self._show(action, self._send("POST", action, body, **headers))

    def notice(self, role: str) -> str:
        (found,) = self.page.all("p", role=role)
        return found.text()[2:]

    def faults(self) -> list[str]:
        marked = self.page.all("p", **{"class": "field-fault"})
        return [it.text().strip()[2:] for it in marked]

    def _send(self, verb: str, address: str, body: bytes = b"", **headers: str):
        sent = {"Content-Type": FORM_TYPE} if body else {}
        if self.cookie:
            sent["Cookie"] = f"other=1; {self.cookie}"
        path = address.removeprefix("/")
        reply = self.bench.send(verb, path, {**sent, **headers}, body)
        if "set-cookie" in reply.headers:
            self.cookie = reply.headers["set-cookie"].partition(";")[0]
        return reply

    def _show(self, address: str, reply: HttpReply) -> Tag:
        self.status, self.address = reply.status, address
        if reply.status in (302, 303):
            return self.visit(reply.headers["location"])
        self.page = read_page(reply.body.decode())
        assert flaws(self.page) == []
        return self.page


@pytest.fixture
def browser(bench: WebBench) -> Browser:
    return Browser(bench)


def request(bench: WebBench, title: str = "root", **more):
    return bench.perform(
        calls.request_instance(an_instance_request(title=title, **more))
    )


def tree_of(bench: WebBench, title: str = "root") -> TreeReport:
    tree = bench.perform(calls.get_tree_report(title))
    assert isinstance(tree, TreeReport)
    return tree


def parameters_of(bench: WebBench, title: str = "root") -> dict[str, str]:
    return dict(tree_of(bench, title).instances[0].parameters)


def test_the_root_of_the_site_leads_to_the_panel(browser: Browser) -> None:
    for address in ("/", "/panel", "/panel/"):
        assert browser.visit(address).one("h1").text() == "Overview"


def test_a_life_from_request_to_destruction(bench, browser: Browser) -> None:
    browser.visit("/panel/request")
    browser.submit(
        "/panel/request",
        title="root",
        software_release_url=SOFTWARE_RELEASE_URL,
        name_0="greeting",
        value_0="hello",
    )
    assert browser.notice("status") == "The instance is requested."
    assert parameters_of(bench) == {"greeting": "hello"}

    browser.submit("/panel/switch", "requested_state=stopped")
    assert browser.notice("status") == "Stopping is requested."
    assert tree_of(bench).instances[0].requested_state == "stopped"
    assert parameters_of(bench) == {"greeting": "hello"}

    browser.visit("/panel/change?title=root")
    browser.submit("/panel/change", value_0="bye", requested_state="started")
    assert parameters_of(bench) == {"greeting": "bye"}
    assert tree_of(bench).instances[0].requested_state == "started"

    browser.visit("/panel/destroy?title=root")
    browser.submit("/panel/destroy")
    assert tree_of(bench).instances[0].requested_state == "destroyed"
    bench.perform(calls.report_destroyed(a_partition_key()))
    browser.visit("/panel/tree?title=root")
    assert browser.status == 404


def test_a_release_is_supplied_and_removed(bench, browser: Browser) -> None:
    browser.visit(f"/panel/computer?computer_id={COMPUTER_ID}")
    browser.submit("/panel/supply", url=SOFTWARE_RELEASE_URL)
    (link,) = [it for it in browser.page.all("a") if it.text() == "remove"]
    browser.visit(link.attributes["href"])
    browser.submit("/panel/remove")

    report = bench.perform(calls.get_computer_report(COMPUTER_ID))
    assert isinstance(report, ComputerReport)
    (installation,) = report.installations
    assert installation.requested_state == "destroyed"


def test_what_computers_tell_is_shown(bench, browser: Browser) -> None:
    root = request(bench, parameters={"greeting": "hello"})
    request(bench, "child", requester=root.key)
    bench.perform(calls.publish_connection(root.key, {"url": "http://[::1]:1/"}))
    bench.perform(calls.report_instance_error(a_partition_key(1), "no such file"))
    bench.perform(calls.supply(an_installation()))
    error = calls.report_software_error(SOFTWARE_RELEASE_URL, COMPUTER_ID, "no cc")
    bench.perform(error)

    tree = browser.visit("/panel/tree?title=root").text()
    computer = browser.visit(f"/panel/computer?computer_id={COMPUTER_ID}").text()
    overview = browser.visit("/panel/").text()

    for text in ("hello", "http://[::1]:1/", "no such file", "failing, wanted started"):
        assert text in tree
    for text in ("no cc", "no such file", "10.0.0.1", "free"):
        assert text in computer
    assert "2 failing" in overview


def test_a_request_without_a_place_is_explained(browser: Browser) -> None:
    browser.visit("/panel/request")
    browser.submit(
        "/panel/request",
        title="nowhere",
        software_release_url=SOFTWARE_RELEASE_URL,
        conditions="computer_guid = COMP-9",
    )
    assert browser.status == 400
    assert browser.notice("alert").startswith("no partition for 'nowhere'")
    typed = browser.page.one("form", action="/panel/request").fields()
    assert typed["conditions"] == "computer_guid = COMP-9"

    browser.visit("/panel/")
    (link,) = [it for it in browser.page.all("a") if it.text().startswith("why")]
    assert "refused" in browser.visit(link.attributes["href"]).text()


def test_a_release_of_another_master_is_requested_there() -> None:
    away = "http://127.0.0.1:9/"
    other = OtherMaster(away, away, software_release_urls=(SOFTWARE_RELEASE_URL,))
    bench = WebBench(default_computer_id=COMPUTER_ID, masters=Masters((other,)))
    bench.perform(calls.define_computer(a_computer_definition(3)))
    browser = Browser(bench)
    browser.visit("/panel/request")

    browser.submit(
        "/panel/request", title="root", software_release_url=SOFTWARE_RELEASE_URL
    )

    assert browser.status == 523
    report = bench.perform(calls.get_computer_report(COMPUTER_ID))
    assert isinstance(report, ComputerReport)
    assert [it.title for it in report.partitions] == [None, None, None]
    bench.close()


def test_what_is_wrong_stands_at_its_field(browser: Browser) -> None:
    browser.visit("/panel/request")
    browser.submit(
        "/panel/request", title="root", software_release_url="x y", value_0="alone"
    )

    assert browser.status == 400
    assert browser.faults() == [
        "not an address, such as https://...",
        "a value without a name; empty both to remove a parameter",
    ]
    form = browser.page.one("form", action="/panel/request").fields()
    assert (form["title"], form["value_0"]) == ("root", "alone")
    assert browser.visit("/panel/trees").all("table") == []


def test_more_rows_keep_what_is_typed_and_change_nothing(browser: Browser) -> None:
    browser.visit("/panel/request")
    browser.submit("/panel/request", "more=yes", title="root", name_2="last")
    form = browser.page.one("form", action="/panel/request").fields()

    assert browser.status == 200
    assert (form["name_0"], "name_6" in form) == ("last", True)


def test_a_new_instance_takes_its_parameters_as_json(bench, browser) -> None:
    browser.visit("/panel/request?shape=object")
    browser.submit(
        "/panel/request",
        title="root",
        software_release_url=SOFTWARE_RELEASE_URL,
        parameters='{"_": {"a": [1, 2]}, "b": "text"}',
    )

    assert parameters_of(bench) == {"_": '{"a": [1, 2]}', "b": "text"}


def test_nobody_overwrites_another_unknowingly(bench, browser: Browser) -> None:
    request(bench, parameters={"a": "0", "b": "0"})
    browser.visit("/panel/change?title=root")
    request(bench, parameters={"a": "theirs", "b": "0"})

    browser.submit("/panel/change", value_0="mine")
    assert browser.status == 409
    assert "somebody else changed 'root'" in browser.notice("alert")
    (table,) = browser.page.all("table")
    rows = [
        [it.text().strip() for it in row.all("th", "td")] for row in table.all("tr")
    ]
    assert rows[1:] == [["parameter a", "theirs", "mine"]]
    assert parameters_of(bench) == {"a": "theirs", "b": "0"}

    browser.submit("/panel/change")
    assert parameters_of(bench) == {"a": "mine", "b": "0"}


def test_a_title_that_exists_is_not_requested_as_new(bench, browser: Browser) -> None:
    request(bench, parameters={"a": "theirs"})
    browser.visit("/panel/request")
    browser.submit(
        "/panel/request", title="root", software_release_url="https://other.example/"
    )

    assert (browser.status, parameters_of(bench)) == (409, {"a": "theirs"})


def test_a_form_sent_twice_is_done_once(bench, browser: Browser) -> None:
    browser.visit("/panel/request")
    form = browser.page.one("form", action="/panel/request").fields()
    sent = {**form, "title": "root", "software_release_url": SOFTWARE_RELEASE_URL}
    browser.post("/panel/request", sent)
    before = tree_of(bench)
    browser.post("/panel/request", sent)

    assert browser.address == "/panel/tree?title=root&done=requested"
    assert tree_of(bench) == before


def test_destroying_is_about_the_instance_that_was_shown(bench, browser) -> None:
    request(bench)
    browser.visit("/panel/destroy?title=root")
    request(bench, requested_state=RequestedState.DESTROYED)
    bench.perform(calls.report_destroyed(a_partition_key()))
    request(bench)
    browser.submit("/panel/destroy")

    assert browser.status == 409
    assert tree_of(bench).instances[0].requested_state == "started"


def test_an_instance_that_goes_is_not_changed_any_more(bench, browser) -> None:
    request(bench)
    browser.visit("/panel/tree?title=root")
    request(bench, requested_state=RequestedState.DESTROYED)
    browser.submit("/panel/switch", "requested_state=stopped")

    assert browser.status == 400
    assert browser.visit("/panel/change?title=root").one("h1")
    assert browser.status == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:5001"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_address_sends_no_form(bench, browser, headers) -> None:
    request(bench)
    browser.visit("/panel/destroy?title=root")
    form = browser.page.one("form", action="/panel/destroy").fields()
    browser.post("/panel/destroy", form, **headers)

    assert browser.status == 403
    assert tree_of(bench).instances[0].requested_state == "started"


def test_our_own_page_sends_forms(bench, browser) -> None:
    request(bench)
    browser.visit("/panel/destroy?title=root")
    form = browser.page.one("form", action="/panel/destroy").fields()
    ours = {"Origin": "http://127.0.0.1:5000", "Sec-Fetch-Site": "same-origin"}
    browser.post("/panel/destroy", form, **ours)

    assert tree_of(bench).instances[0].requested_state == "destroyed"


@pytest.mark.parametrize(
    ("page", "action", "typed"),
    [
        ("/panel/request", "/panel/request", {"title": "new"}),
        ("/panel/change?title=root", "/panel/change", {"value_0": "other"}),
        ("/panel/destroy?title=root", "/panel/destroy", {}),
        ("/panel/computer?computer_id=COMP-1", "/panel/supply", {"url": "https://b/"}),
        ("/panel/tree?title=root", "/panel/switch", {"requested_state": "stopped"}),
        (
            f"/panel/remove?computer_id=COMP-1&url={SOFTWARE_RELEASE_URL}",
            "/panel/remove",
            {},
        ),
    ],
)
def test_a_form_without_its_token_changes_nothing(
    bench, browser, page, action, typed
) -> None:
    request(bench, parameters={"a": "b"})
    bench.perform(calls.supply(an_installation()))
    before = (bench.perform(calls.get_computer_report(COMPUTER_ID)), tree_of(bench))
    browser.visit(page)
    fields = browser.page.one("form", action=action, method="post").fields()
    sent = {"software_release_url": "https://new.example/", **fields, **typed}
    for wrong in ({"token": "0" * 64}, {"token": "é"}, {"token": ""}):
        browser.post(action, {**sent, **wrong})
        assert browser.status == 400
    browser.cookie = ""
    browser.post(action, sent)

    assert browser.status == 400
    after = (bench.perform(calls.get_computer_report(COMPUTER_ID)), tree_of(bench))
    assert after == before


def test_a_form_from_before_a_restart_is_shown_again(bench, browser) -> None:
    browser.visit("/panel/request")
    browser.cookie = browser.cookie[:-1] + ("0" if browser.cookie[-1] != "0" else "1")
    browser.submit(
        "/panel/request", title="root", software_release_url=SOFTWARE_RELEASE_URL
    )
    assert "Nothing changed yet" in browser.notice("alert")

    browser.submit("/panel/request")
    assert parameters_of(bench) == {}


def test_pages_are_locked_down(bench) -> None:
    reply = bench.send("GET", "panel/")

    assert {
        name: reply.headers[name]
        for name in ("cache-control", "x-frame-options", "referrer-policy")
    } == {
        "cache-control": "no-store",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
    }
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert reply.headers["set-cookie"].endswith("; HttpOnly; SameSite=Strict")


def test_the_style_is_sent_once(bench) -> None:
    first = bench.send("GET", "panel/style.css")
    again = bench.send(
        "GET", "panel/style.css", {"If-None-Match": first.headers["etag"]}
    )

    assert (first.status, again.status, again.body) == (200, 304, b"")
    assert bench.send("POST", "panel/style.css").status == 405


def test_long_lists_come_in_pages_and_are_searched(bench, browser) -> None:
    for number in range(2 * PAGE_LENGTH):
        definition = a_computer_definition(1, computer_id=f"COMP-{number + 10}")
        bench.perform(calls.define_computer(definition))

    def names() -> list[str]:
        return [it.text() for it in browser.page.all("th", scope="row")]

    browser.visit("/panel/computers?page=2")
    assert (len(names()), names()[0]) == (PAGE_LENGTH, "COMP-59")
    browser.visit("/panel/computers?sought=mp-10")
    assert names() == ["COMP-10", *(f"COMP-{it}" for it in range(100, 110))]
    browser.visit("/panel/computers?sought=nothing")
    assert names() == []


@pytest.mark.parametrize(
    ("verb", "address", "status"),
    [
        ("GET", "/panel/nothing", 404),
        ("GET", "/panel/tree", 400),
        ("GET", "/panel/tree?title=none", 404),
        ("GET", "/panel/tree?title=a&title=b", 400),
        ("GET", "/panel/tree?title=%ff", 400),
        ("GET", "/panel/tree?title=%00", 400),
        ("GET", "/panel/instance?tree=root&title=none", 404),
        ("GET", "/panel/computer?computer_id=COMP-9", 404),
        ("GET", "/panel/computers?page=-1", 400),
        ("GET", "/panel/computers?page=%C2%B2", 400),
        ("GET", "/panel/computers?page=99999999", 400),
        ("GET", "/panel/why?title=none", 404),
        ("GET", "/panel/remove?computer_id=COMP-1&url=none", 404),
        ("GET", "/panel/supply", 404),
        ("GET", "/panel/switch", 404),
        ("GET", "/panel/../etc", 404),
        ("GET", "/panel/%2e%2e/style.css", 404),
        ("PUT", "/panel/request", 405),
        ("DELETE", "/panel/", 405),
        ("POST", "/panel/change", 400),
        ("POST", "/panel/trees", 405),
    ],
)
def test_a_visit_that_is_wrong_gets_a_page_that_says_so(
    bench, verb, address, status
) -> None:
    request(bench)
    reply = bench.send(verb, address.removeprefix("/"), {"Content-Type": FORM_TYPE})

    assert reply.status == status
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert flaws(read_page(reply.body.decode())) == []


PAGES = (
    *("", "computers", "computer", "trees", "tree", "instance", "why"),
    *("request", "change", "switch", "destroy", "supply", "remove"),
)
NAMES = (
    "title",
    "tree",
    "guid",
    "computer_id",
    "url",
    "page",
    "sought",
    "shape",
    "done",
)


@pytest.fixture(scope="module")
def shared_bench() -> Iterator[WebBench]:
    bench = WebBench(default_computer_id=COMPUTER_ID)
    bench.perform(calls.define_computer(a_computer_definition(2)))
    request(bench)
    yield bench
    bench.close()


TEXTS = st.sampled_from(["root", COMPUTER_ID, "1", ""]) | st.text(max_size=20)
FIELDS = st.dictionaries(
    st.sampled_from(
        (
            *NAMES,
            "software_release_url",
            "conditions",
            "name_0",
            "value_0",
            "parameters",
        )
    )
    | st.text(max_size=3),
    TEXTS,
    max_size=6,
)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(PAGES), FIELDS, st.none() | FIELDS)
def test_no_visit_makes_the_master_fail(shared_bench, page, query, form) -> None:
    """Nor does a confirmed form change anything that it did not name."""
    browser = Browser(shared_bench)
    browser.visit("/panel/request")
    fields = browser.page.one("form", action="/panel/request").fields()

    def encode(fields: dict[str, str]) -> str:
        pairs = [(name.encode(errors="replace"), it) for name, it in fields.items()]
        return urlencode([(name, it.encode(errors="replace")) for name, it in pairs])

    address = f"/panel/{page}?{encode(query)}"
    if form is None:
        browser.visit(address)
    else:
        sent = dict(parse_qsl(encode(form), keep_blank_values=True))
        browser.post(address, {**sent, "token": fields["token"]})

    assert browser.status < 500
    assert urlsplit(browser.address).path.startswith("/panel/")


class BrokenDesk(Desk):
    """A desk at which every question fails."""

    async def read(self, *_: object) -> NoReturn:
        raise RuntimeError("a secret")


def test_a_failure_leaves_a_number_and_no_more() -> None:
    bench = StoreBench()
    panel = Panel(BrokenDesk(bench.store, bench.runtime, None), bench.runtime)
    answering = Deferred.fromCoroutine(panel.answer(Call("GET", "")))
    answer = bench.world.result(answering)
    bench.close()

    page = read_page(answer.body.decode())
    assert (answer.status, flaws(page)) == (500, [])
    assert "incident" in page.text()
    assert "secret" not in page.text()
