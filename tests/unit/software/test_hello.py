"""The program and the promises of software/hello."""

from __future__ import annotations

import importlib
import json
import sys
from http import HTTPStatus
from http.client import HTTPConnection
from threading import Thread  # noqa: TID251 - a server of the standard library blocks

import pytest

from tests.capabilities import needs_ipv6
from tests.source_tree import TOP

CONFIGURATION = {
    "parameters": {"greeting": "Hello"},
    "children": {"child-2": {"url": ""}, "child-1": {"url": "http://[::1]:20010/"}},
    "pending": {"child-2": "no room"},
    "shared_instances": [
        {"reference": "_a b", "title": "a b", "parameters": {"greeting": "Night"}},
        {"reference": "_x", "title": "twice", "parameters": {}},
        {"reference": "_y", "title": "twice", "parameters": {}},
    ],
}


@pytest.fixture(scope="module")
def hello():
    """``hello(name)`` gives a module of the release, as it finds its own."""
    sys.path.insert(0, str(TOP / "software" / "hello"))
    names = ("greeter", "greeter_2", "promise", "children_promise")
    yield importlib.import_module
    sys.path.pop(0)
    for name in names:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/", "Hello\nchild-1: http://[::1]:20010/\nchild-2: not ready\n"),
        ("/shared/_a b", "Night\n"),
        ("/shared/a b", "Night\n"),
        ("/shared/_x", "Hello\n"),
        ("/shared/twice", None),
        ("/shared/", None),
        ("/about", None),
        ("", None),
    ],
)
def test_a_page_of_the_first_release(hello, path, content):
    """By reference always, by title where only one has it."""
    page = hello("greeter").Pages().page(path, CONFIGURATION)
    expected = (HTTPStatus.NOT_FOUND, "nothing here\n")
    if content is not None:
        expected = (HTTPStatus.OK, content)
    assert (page.status, page.content) == expected


def test_the_second_release_says_who_it_is_and_all_it_knows(hello):
    """One page is longer and one is new."""
    pages = hello("greeter_2").Pages()
    first = hello("greeter").Pages().page("/", CONFIGURATION)
    assert pages.page("/", CONFIGURATION).content == first.content + "hello 2.0\n"
    about = json.loads(pages.page("/about", CONFIGURATION).content)
    assert about == {"release": "2.0", **CONFIGURATION}


def test_a_configuration_that_is_just_being_replaced_leaves_the_last_one(
    hello, tmp_path, capsys
):
    """And the next good one is read."""
    path = tmp_path / "hello.json"
    path.write_text("[1]")
    configuration = hello("greeter").Configuration(path)
    path.unlink()
    assert configuration.read() == [1]
    path.write_text("[2")
    assert configuration.read() == [1]
    path.write_text("[2]")
    assert configuration.read() == [2]
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.fixture
def greeter(hello, tmp_path):
    """A running greeter: ``greeter.port`` and ``greeter.path`` of its configuration."""
    module = hello("greeter")
    path = tmp_path / "hello.json"
    path.write_text(json.dumps(CONFIGURATION))
    quiet = type("Quiet", (module.Visit,), {"log_message": lambda *_: None})
    server = module.Greeter(("::1", 0), module.Pages(), module.Configuration(path))
    server.RequestHandlerClass = quiet
    server.path = path
    server.port = server.server_address[1]
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def visit(port, verb="GET", path="/"):
    link = HTTPConnection("::1", port, timeout=10)
    link.request(verb, path)
    answer = link.getresponse()
    content = answer.read().decode()
    link.close()
    return answer.status, answer.getheader("Server"), content


@needs_ipv6
def test_a_change_is_seen_by_the_next_visitor(greeter):
    """No restart in between."""
    assert visit(greeter.port, path="/shared/a%20b?x")[2] == "Night\n"
    changed = {**CONFIGURATION, "parameters": {"greeting": "é"}, "children": {}}
    greeter.path.write_text(json.dumps(changed))
    assert visit(greeter.port) == (200, "hello/1.0", "é\n")
    assert visit(greeter.port, "HEAD") == (200, "hello/1.0", "")
    assert visit(greeter.port, "POST")[0] == 501


@needs_ipv6
def test_a_visitor_too_many_is_turned_away(greeter):
    """And let in when another one has left."""
    places = greeter._places  # noqa: SLF001 - no other way to be many visitors
    taken = 0
    while places.acquire(blocking=False):
        taken += 1
    with pytest.raises(ConnectionError):
        visit(greeter.port)
    places.release(taken)
    assert visit(greeter.port)[0] == 200


@needs_ipv6
@pytest.mark.parametrize(
    ("release", "changes", "sentence"),
    [
        ("1.0", {}, None),
        ("2.0", {}, "hello/1.0 runs where hello/2.0 should"),
        (
            "1.0",
            {"parameters": {"greeting": "Bye"}},
            "/ says 'Hello\\n' and not 'Bye'",
        ),
        (
            "1.0",
            {"shared_instances": [{"reference": "_z/", "parameters": {}}]},
            "/shared/_z%2F answers 404",
        ),
    ],
)
def test_the_promise_says_what_is_not_as_asked(
    hello, greeter, release, changes, sentence
):
    """What it compares with is what the last pass wrote."""
    promise = hello("promise")
    visitor = promise.Visitor("::1", greeter.port)
    greeter.path.write_text(json.dumps({**CONFIGURATION, "children": {}}))
    asked = {**CONFIGURATION, **changes}
    if sentence is None:
        promise.check(asked, release, visitor)
        return
    with pytest.raises(promise.Broken) as caught:
        promise.check(asked, release, visitor)
    assert str(caught.value) == sentence


def test_the_plug_in_promise_names_each_child_that_is_pending(hello, tmp_path):
    """With the reason that the last pass found."""
    path = tmp_path / "hello.json"
    path.write_text(json.dumps(CONFIGURATION))
    module = hello("children_promise")
    promise = module.RunPromise({"configuration": str(path)})
    assert promise.test().problem
    promise.sense()
    assert promise.test() == module.Result(problem=True, message="child-2: no room")
    path.write_text(json.dumps({**CONFIGURATION, "pending": {}}))
    promise.sense()
    ready = module.Result(problem=False, message="2 children are ready")
    assert (promise.test(), promise.anomaly()) == (ready, ready)
