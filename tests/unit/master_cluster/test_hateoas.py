"""Hateoas and the way in over HTTP, as stock clients use them and as others might."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from master_cluster.browsing import FoundTree
from master_cluster.provisioning import TOKEN_SECONDS
from master_cluster.web.hateoas_documents import render_found, render_parameters
from master_cluster.web.origin import find_origin
from runtime.http_client import HttpReply
from slap import calls
from slap.errors import BadRequest
from slap.model import RequestedState
from tests.builders import (
    COMPUTER_ID,
    SOFTWARE_RELEASE_URL,
    a_computer_definition,
    an_installation,
    an_instance_request,
)
from tests.unit.master_cluster.benches import WebBench

TREES = 'portal_type:"Instance Tree" AND validation_state:validated'
COMPUTERS = 'portal_type:"Compute Node" AND validation_state:validated'
TOKEN = "hateoas/computer_module/Base_getComputerToken"


class Client(WebBench):
    """What a stock client does, in its words."""

    def get(self, path: str, **headers: str) -> HttpReply:
        return self.send("GET", path, headers)

    def document(self, path: str) -> dict:
        reply = self.get(path)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    def rows(self, query: str, select_list: str = "") -> list[dict]:
        fields = {"mode": "search", "query": query, "select_list": select_list}
        found = self.document(f"hateoas/?{urlencode(fields)}")
        return found["_embedded"]["contents"]

    def look(self, relative_url: str) -> dict:
        """The defaults of the fields, and the type."""
        fields = {
            "mode": "traverse",
            "relative_url": relative_url,
            "view": "slaposjs_view",
        }
        document = self.document(f"hateoas/?{urlencode(fields)}")
        view = document["_embedded"]["_view"]
        values = {name: field["default"] for name, field in view.items()}
        return {"type": document["_links"]["type"]["name"], **values}

    def register(
        self, token: str, title: str = "attic", path: str = "Person_requestComputer"
    ) -> HttpReply:
        body = urlencode({"title": title}).encode()
        return self.send("POST", path, {"X-Access-Token": token}, body)

    def token(self) -> str:
        return self.document(TOKEN)["access_token"]


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client(default_computer_id=COMPUTER_ID)
    client.perform(calls.define_computer(a_computer_definition(3)))
    yield client
    client.close()


def request(client: Client, title: str, **more: object) -> str:
    requested = client.perform(
        calls.request_instance(an_instance_request(title=title, **more))
    )
    return requested.instance_guid


def test_a_client_finds_everything_from_the_address_of_the_master(
    client: Client,
) -> None:
    url = client.get("getHateoasUrl")
    root = client.document("hateoas")

    base = "http://127.0.0.1:5000/hateoas"
    assert (url.status, url.body) == (200, base.encode())
    assert root == client.document("hateoas/")
    assert root == {
        "_links": {
            "self": {"href": base},
            "raw_search": {
                "href": f"{base}/?mode=search&query={{query}}"
                "&select_list={select_list}"
            },
            "traverse": {
                "href": f"{base}/?mode=traverse&relative_url={{relative_url}}"
                "&view={view}"
            },
        }
    }


def test_links_have_the_name_that_the_client_used(client: Client) -> None:
    headers = {"Host": "localhost:81", "X-Forwarded-Proto": "https"}

    assert client.get("getHateoasUrl", **headers).body == b"http://localhost:81/hateoas"


def test_json_rpc_names_the_same_address(client: Client) -> None:
    headers = {"Content-Type": "application/json", "Host": "[::1]:99"}

    reply = client.send("POST", "slapos.get.v0.hateoas_url", headers, b"{}")
    refused = client.send("POST", "slapos.get.v0.hateoas_url", headers, b'{"a": 1}')

    assert json.loads(reply.body) == {"hateoas_url": "http://[::1]:99/hateoas"}
    assert refused.status == 400


def test_links_stay_below_the_prefix_that_the_client_used() -> None:
    client = Client(path_prefix="erp5/portal_slap")

    url = client.get("erp5/portal_slap/getHateoasUrl").body
    root = client.document("erp5/portal_slap/hateoas/")

    client.close()
    assert url == b"http://127.0.0.1:5000/erp5/portal_slap/hateoas"
    assert root["_links"]["self"]["href"] == url.decode()


def test_trees_are_listed_with_the_columns_that_are_wanted(client: Client) -> None:
    for title in ("second", "first"):
        request(client, title)

    assert client.rows(TREES, "title,url_string") == [
        {"title": "first", "url_string": SOFTWARE_RELEASE_URL},
        {"title": "second", "url_string": SOFTWARE_RELEASE_URL},
    ]
    assert client.rows(f'{TREES} AND title:="no such"', "title") == []


def test_a_limit_ends_a_list(client: Client) -> None:
    for title in ("first", "second"):
        request(client, title)
    fields = {"mode": "search", "query": TREES, "select_list": "title", "limit": "1"}

    found = client.document(f"hateoas/?{urlencode(fields)}")

    assert found["_embedded"]["contents"] == [{"title": "first"}]


def test_a_tree_is_shown_as_clients_read_it(client: Client) -> None:
    guid = request(client, "root", parameters={"b": "<&>", "a": "1"})
    root = client.perform(calls.get_tree_report("root")).instances[0]
    request(client, "child", requester=root.partition, parameters={})
    client.perform(calls.publish_connection(root.partition, {"url": "http://[::1]/"}))
    client.perform(calls.report_started(root.partition))

    (row,) = client.rows(f'{TREES} AND title:="root"', "title,relative_url")
    shown = client.look(row["relative_url"])

    news = shown.pop("my_news")
    assert [(it["title"], it["text"][:16]) for it in news["instance"]] == [
        ("root", "#access Instance"),
        ("child", "#error no data f"),
    ]
    assert shown == {
        "type": "Instance Tree",
        "form_id": "InstanceTree_viewAsJson",
        "my_title": "root",
        "my_reference": guid,
        "my_slap_state": "started",
        "my_text_content": "<?xml version='1.0' encoding='utf-8'?>\n<instance>\n"
        '  <parameter id="a">1</parameter>\n'
        '  <parameter id="b">&lt;&amp;&gt;</parameter>\n</instance>\n',
        "my_connection_parameter_list": [
            {"connection_key": "url", "connection_value": "http://[::1]/"}
        ],
        "my_url_string": SOFTWARE_RELEASE_URL,
        "my_source_reference": "default",
        "my_root_slave": 0,
    }


def test_a_shared_tree_says_so(client: Client) -> None:
    request(client, "host", requested_state=RequestedState.STOPPED)
    request(client, "host")
    request(client, "guest", is_shared=True)

    (row,) = client.rows(f'{TREES} AND title:="guest"')

    assert client.look(row["relative_url"])["my_root_slave"] == 1


def test_instances_of_a_tree_are_listed(client: Client) -> None:
    request(client, "root")
    root = client.perform(calls.get_tree_report("root")).instances[0]
    guid = request(client, "child", requester=root.partition)
    client.perform(calls.report_instance_error(root.partition, "no disk"))
    query = (
        'portal_type:("Software Instance", "Slave Instance")'
        ' AND validation_state:validated AND default_specialise_title:="root"'
    )

    rows = client.rows(
        query, "title,portal_type,getConnectionXmlAsDict,SoftwareInstance_getNewsDict"
    )
    relative_url = client.rows(query, "relative_url")[1]["relative_url"]

    assert [(it["title"], it["portal_type"]) for it in rows] == [
        ("root", "Software Instance"),
        ("child", "Software Instance"),
    ]
    assert rows[0]["SoftwareInstance_getNewsDict"]["text"].startswith("#error")
    assert client.look(relative_url)["my_reference"] == guid


def test_computers_are_listed_and_shown(client: Client) -> None:
    request(client, "root")

    assert client.rows(COMPUTERS, "title,reference") == [
        {"title": COMPUTER_ID, "reference": COMPUTER_ID}
    ]
    (row,) = client.rows(
        f'{COMPUTERS} AND reference:="{COMPUTER_ID}"', "reference,relative_url"
    )
    shown = client.look(row["relative_url"])
    assert (shown["type"], shown["my_reference"]) == ("Compute Node", COMPUTER_ID)
    assert list(shown["my_news"]["partition"]) == ["slappart0"]


def test_releases_are_listed_and_shown(client: Client) -> None:
    client.perform(calls.supply(an_installation()))
    client.perform(calls.report_available(SOFTWARE_RELEASE_URL, COMPUTER_ID))
    query = (
        'portal_type:"Software Installation" AND validation_state:validated'
        f' AND default_aggregate_reference:="{COMPUTER_ID}"'
    )

    (row,) = client.rows(
        query, "uid,relative_url,url_string,SoftwareInstallation_getNewsDict"
    )

    assert row["url_string"] == SOFTWARE_RELEASE_URL
    assert row["SoftwareInstallation_getNewsDict"]["text"] == (
        f"#access software release {SOFTWARE_RELEASE_URL} available"
    )
    shown = client.look(row["relative_url"])
    assert (shown["type"], shown["my_url_string"]) == (
        "Software Installation",
        SOFTWARE_RELEASE_URL,
    )


def test_what_is_gone_or_never_was_is_not_found(client: Client) -> None:
    for relative_url in (
        "instance_tree_module/SOFTINST-0",
        "compute_node_module/COMP-9",
        "software_installation_module/COMP-9/x",
        f"software_installation_module/{COMPUTER_ID}/x",
        "person_module/1",
        "x" * 4000,
    ):
        fields = {"mode": "traverse", "relative_url": relative_url}
        assert client.get(f"hateoas/?{urlencode(fields)}").status == 404
    child = "instance_tree_module/" + request_child(client)
    assert (
        client.get(f"hateoas/?mode=traverse&relative_url={quote(child)}").status == 404
    )


def request_child(client: Client) -> str:
    request(client, "root")
    root = client.perform(calls.get_tree_report("root")).instances[0]
    return request(client, "child", requester=root.partition)


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "hateoas/?mode=x", 400),
        ("GET", "hateoas/?mode=search", 400),
        ("GET", "hateoas/?mode=search&query=a&query=b", 400),
        ("GET", "hateoas/?mode=search&query=%ff", 400),
        ("GET", "hateoas/?mode=search&query=title%3A%3D%22a%22%22", 400),
        ("GET", f"hateoas/?mode=search&query={quote(TREES)}&select_list=x", 400),
        ("GET", f"hateoas/?mode=search&query={quote(TREES)}&limit=x", 400),
        ("GET", "hateoas/?mode=traverse", 400),
        ("GET", "hateoas/?mode=traverse&relative_url=a&view=b", 400),
        ("GET", "hateoas/computer_module", 404),
        ("GET", "hateoas/%ff", 400),
        ("POST", "hateoas/", 405),
        ("POST", TOKEN, 405),
        ("POST", "getHateoasUrl", 405),
        ("GET", "Person_requestComputer", 405),
        ("PUT", "Person_getCertificate", 405),
        ("POST", "Person_getCertificate", 403),
        ("POST", "Person_requestComputer", 400),
        ("HEAD", "hateoas", 200),
    ],
)
def test_bad_input_is_refused_with_its_status(
    client: Client, verb: str, path: str, status: int
) -> None:
    assert client.send(verb, path).status == status


@pytest.mark.parametrize("host", ["a b", 'x"', "localhost:99999999", "[::1"])
def test_a_host_that_makes_no_address_is_refused(client: Client, host: str) -> None:
    reply = client.get("getHateoasUrl", Host=host)

    assert reply.status in (400, 403)


def test_a_computer_comes_in_with_a_token(client: Client) -> None:
    token = client.token()

    reply = client.register(token)
    again = client.register(token, "cellar")

    issued = json.loads(reply.body)
    assert (reply.status, sorted(issued)) == (200, ["certificate", "key"])
    assert "CN=COMP-2/emailAddress" in issued["certificate"]
    assert again.status == 403
    assert client.rows(COMPUTERS, "title,reference") == [
        {"title": COMPUTER_ID, "reference": COMPUTER_ID},
        {"title": "attic", "reference": "COMP-2"},
    ]


def test_a_name_in_use_is_refused_in_the_words_that_clients_know(
    client: Client,
) -> None:
    client.register(client.token())

    reply = client.register(client.token())

    assert reply.status == 400
    assert b"Certificate still active." in reply.body


def test_a_token_is_of_no_use_after_its_time(client: Client) -> None:
    token = client.token()
    client.host.calendar.step(TOKEN_SECONDS)

    assert client.register(token).status == 403


def test_a_token_for_a_person_is_asked_for_by_its_purpose(client: Client) -> None:
    token = client.perform(calls.get_token("person"))

    reply = client.register(str(token), path="Person_getCertificate")

    assert "CN=PERS-1/" in json.loads(reply.body)["certificate"]
    with pytest.raises(BadRequest, match="neither computer nor person"):
        client.perform(calls.get_token("root"))


def test_a_token_for_a_computer_is_none_for_a_person(client: Client) -> None:
    token = client.token()

    assert client.register(token, path="Person_getCertificate").status == 403
    assert client.register(token).status == 200


def test_no_answer_with_a_secret_is_kept_on_the_way(client: Client) -> None:
    assert client.get(TOKEN).headers["cache-control"] == "no-store"


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200), st.text(st.characters(codec="latin-1"), max_size=40))
def test_no_body_and_no_token_make_the_master_fail(
    lasting_bench: WebBench, body: bytes, token: str
) -> None:
    headers = {"X-Access-Token": "".join(it for it in token if it.isprintable())}

    for path in ("Person_requestComputer", "Person_getCertificate"):
        assert lasting_bench.send("POST", path, headers, body).status in (400, 403)


def test_parameters_are_an_empty_document_when_there_are_none() -> None:
    assert render_parameters({}) == (
        "<?xml version='1.0' encoding='utf-8'?>\n<instance/>\n"
    )


def test_a_column_that_nothing_has_is_refused() -> None:
    found: tuple[FoundTree, ...] = ()
    with pytest.raises(BadRequest, match="'owner' is not known"):
        render_found(found, "title,owner")


@pytest.mark.parametrize(
    ("headers", "has_trusted_proxy", "origin"),
    [
        ({"host": "a.example:81"}, False, "http://a.example:81"),
        ({"host": "[::1]:5000"}, False, "http://[::1]:5000"),
        ({}, False, "http://own:1"),
        (
            {"host": "a", "x-forwarded-proto": "https", "x-forwarded-prefix": "/x"},
            False,
            "http://a",
        ),
        (
            {"host": "a", "x-forwarded-proto": "https", "x-forwarded-prefix": "/x/"},
            True,
            "https://a/x",
        ),
        ({"host": "a"}, True, "http://a"),
    ],
)
def test_the_origin_is_the_one_that_the_client_used(
    headers: dict[str, str], has_trusted_proxy: bool, origin: str
) -> None:
    found = find_origin(headers, "own:1", has_trusted_proxy=has_trusted_proxy)

    assert found == origin


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "a/b"},
        {"host": "a, b"},
        {"host": "a@b"},
        {"host": "x" * 301},
        {"host": "a", "x-forwarded-proto": "javascript"},
        {"host": "a", "x-forwarded-prefix": "//evil"},
        {"host": "a", "x-forwarded-prefix": "/a?b"},
        {"host": "a", "x-forwarded-prefix": "x"},
    ],
)
def test_headers_that_make_no_address_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(BadRequest):
        find_origin(headers, "own:1", has_trusted_proxy=True)
