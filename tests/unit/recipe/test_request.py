"""Recipe slapcluster:request."""

from __future__ import annotations

import json

import pytest
from attrs import define, field
from zc.buildout import UserError

from slap.errors import Forbidden, NotFound, NotReady
from slap.model import InstanceRequest, PartitionKey, RequestedInstance, RequestedState
from slapgrid.recipe.quoting import unquote
from slapgrid.recipe.request import Recipe
from tests.unit.recipe.loopback_master import serve
from tests.unit.recipe.sections import RELEASE_URL, a_buildout

US = PartitionKey("COMP-1", "slappart3")


@define
class Allocator:
    """Says where each title is; a title that has an error answers that."""

    published: dict = field(factory=dict)
    errors: dict = field(factory=dict)
    wanted: list = field(factory=list)

    def __call__(self, call):
        wanted = call.arguments["instance_request"]
        self.wanted.append(wanted)
        if wanted.title in self.errors:
            raise self.errors[wanted.title]
        return RequestedInstance(
            PartitionKey("COMP-1", "slappart4"),
            RELEASE_URL,
            wanted.software_type,
            instance_guid=f"SOFTINST-{wanted.title}",
            requested_state=wanted.requested_state,
            connection_parameters=self.published.get(wanted.title, {}),
        )

    def take(self):
        """The titles asked for since the last look, with their states."""
        taken = [(it.title, it.requested_state.value) for it in self.wanted]
        self.wanted.clear()
        return taken


def request(tmp_path, allocator, **options):
    """Run the recipe as section [child]; what it exposes, unquoted."""
    options = {"recipe": "slapcluster:request", **options}
    given = set(options)
    with serve(allocator) as master:
        recipe = Recipe(a_buildout(tmp_path, master.url), "child", options)
    assert recipe.install() == []
    return {key: unquote(it) for key, it in options.items() if key not in given}


def test_one_instance_is_asked_for_with_its_options(tmp_path):
    """Parameters mean what they say; the release is our own."""
    allocator = Allocator({"backend": {"url": "http://[fd00::4]/$"}})
    options = {
        "name": "backend",
        "software-type": "store",
        "config-word": "$${a:b}",
        "sla-computer_guid": "COMP-1",
        "shared": "true",
        "state": "stopped",
        "return": "url",
    }

    exposed = request(tmp_path, allocator, **options)

    assert allocator.wanted == [
        InstanceRequest(
            "backend",
            RELEASE_URL,
            "store",
            {"word": "${a:b}"},
            {"computer_guid": "COMP-1"},
            RequestedState.STOPPED,
            is_shared=True,
            requester=US,
        )
    ]
    assert exposed == {
        "connection-url": "http://[fd00::4]/$",
        "instance-guid": "SOFTINST-backend",
        "json": '{"backend": {"url": "http://[fd00::4]/$"}}',
        "pending": "{}",
    }


def test_an_instance_that_is_not_ready_leaves_empty_values_and_a_reason(tmp_path):
    """Whatever keeps it: being provisioned, no room, or nothing published."""
    allocator = Allocator(
        {"child-3": {"url": "http://3"}},
        {"child-1": NotReady("wait"), "child-2": NotFound("no room")},
    )
    options = {"name": "child", "count": "4", "return": "url"}
    exposed = request(tmp_path, allocator, **options)
    assert json.loads(exposed["json"]) == {
        "child-1": {"url": ""},
        "child-2": {"url": ""},
        "child-3": {"url": "http://3"},
        "child-4": {"url": ""},
    }
    assert json.loads(exposed["pending"]) == {
        "child-1": "wait",
        "child-2": "no room",
        "child-4": "has not published url yet",
    }


def test_what_is_no_longer_asked_for_is_given_back_once(tmp_path):
    """Fewer children: those beyond the count are destroyed, and then forgotten."""
    allocator = Allocator()
    seen = []
    for count in ("3", "1", "1", "0", "2"):
        request(tmp_path, allocator, name="child", count=count)
        seen.append(allocator.take())
    first, second, third = (f"child-{number}" for number in (1, 2, 3))
    assert seen == [
        [(first, "started"), (second, "started"), (third, "started")],
        [(first, "started"), (second, "destroyed"), (third, "destroyed")],
        [(first, "started")],
        [(first, "destroyed")],
        [(first, "started"), (second, "started")],
    ]


def test_what_could_not_be_given_back_is_given_back_at_the_next_pass(tmp_path):
    """The memory is shortened only after the master agreed."""
    allocator = Allocator()
    request(tmp_path, allocator, name="child", count="1")
    allocator.take()
    allocator.errors["child-1"] = Forbidden("not now")
    with pytest.raises(UserError, match="child-1: not now"):
        request(tmp_path, allocator, name="child", count="0")
    allocator.errors.clear()
    allocator.take()
    request(tmp_path, allocator, name="child", count="0")
    assert allocator.take() == [("child-1", "destroyed")]


def test_a_pass_that_is_killed_while_asking_gives_back_what_it_asked_for(tmp_path):
    """Titles are remembered before they are asked for."""
    allocator = Allocator(errors={"child-2": Forbidden("broken")})
    with pytest.raises(UserError):
        request(tmp_path, allocator, name="child", count="2")
    allocator.errors.clear()
    allocator.take()
    request(tmp_path, allocator, name="child", count="0")
    assert allocator.take() == [("child-1", "destroyed"), ("child-2", "destroyed")]


def test_the_agent_is_told_what_was_asked_for(tmp_path, monkeypatch):
    """In the file of the stock client library, added to what stands there."""
    directory = tmp_path / "slappart3"
    directory.mkdir()
    noted = directory / ".slapos-request-transaction-slappart3"
    noted.write_text("other\n")
    monkeypatch.setenv("SLAPGRID_INSTANCE_ROOT", str(tmp_path))
    request(directory, Allocator(), name="child", count="2")
    assert noted.read_text() == "other\nchild-1\nchild-2\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "option name: is missing"),
        ({"name": ""}, "option name: is empty"),
        ({"name": "x", "count": "-1"}, "option count: '-1' is not a whole number"),
        ({"name": "x", "count": "101"}, "option count: '101' is not a whole number"),
        ({"name": "x", "count": "9" * 5000}, "option count: '999"),
        ({"name": "x", "shared": "yes"}, "option shared: 'yes' is neither true nor"),
        ({"name": "x", "state": "destroyed"}, "option state: 'destroyed' is none of"),
        ({"name": "x", "each": "["}, "option each: is no JSON object of objects"),
        ({"name": "x", "each": '{"x": 1}'}, "option each: is no JSON object of"),
        (
            {"name": "x", "each": '{"x": {"state": "stopped"}}'},
            "option each: is no JSON object of objects: state is nothing in which",
        ),
        (
            {"name": "x", "each": '{"x": {"parameters": {"a": 1}}}'},
            "option each: is no JSON object of objects: software-url and all",
        ),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_asked(
    tmp_path, options, sentence
):
    """The error names section and option."""
    allocator = Allocator()
    with pytest.raises(UserError) as caught:
        request(tmp_path, allocator, **options)
    assert str(caught.value).startswith(f"section [child], {sentence}")
    assert allocator.wanted == []


NAMED = {
    "names": "lyon tokyo",
    "sla-of-title": "region",
    "config-of-title": "region",
    "config-word": "x",
    "share-as": "published",
    "return": "url",
}


def test_named_instances_are_placed_and_told_who_they_are(tmp_path):
    """Each title is a parameter and a key of the filter of its own request."""
    allocator = Allocator()
    request(tmp_path, allocator, **NAMED)
    asked = [(it.title, it.parameters, it.allocation_filter) for it in allocator.wanted]
    assert asked == [
        (it, {"word": "x", "region": it, "published": "{}"}, {"region": it})
        for it in ("lyon", "tokyo")
    ]


def test_what_one_published_is_handed_to_all_at_once_and_kept(tmp_path):
    """Also while one of them has nothing published for a moment."""
    allocator = Allocator({"lyon": {"url": "1"}, "tokyo": {"other": "2"}})
    exposed = request(tmp_path, allocator, **NAMED)
    assert json.loads(exposed["json"])["lyon"] == {"url": "1"}
    shared = [it.parameters["published"] for it in allocator.wanted]
    known = '{"lyon": {"url": "1"}}'
    assert shared == ["{}", "{}", known, known]
    allocator.take()

    allocator.published = {}
    request(tmp_path, allocator, **NAMED)
    assert [it.parameters["published"] for it in allocator.wanted] == [known] * 2
    allocator.take()

    request(tmp_path, allocator, **{**NAMED, "names": "tokyo"})
    asked = [(it.title, it.parameters["published"]) for it in allocator.wanted[:1]]
    assert asked == [("tokyo", "{}")]
    assert allocator.take()[1:] == [("lyon", "destroyed")]


def test_one_may_run_another_release_than_the_others(tmp_path):
    """With parameters of its own; what is said of nobody who is asked is left."""
    allocator = Allocator()
    each = {
        "lyon": {"software-url": "http://new/", "parameters": {"word": "y"}},
        "oslo": {},
    }
    request(tmp_path, allocator, **NAMED, each=json.dumps(each))
    asked = [
        (it.software_release_url, it.parameters["word"]) for it in allocator.wanted
    ]
    assert asked == [("http://new/", "y"), (RELEASE_URL, "x")]


def test_only_what_the_others_need_is_shared(tmp_path):
    """What changes besides has nobody processed."""
    allocator = Allocator({"lyon": {"url": "1", "since": "today"}})
    request(tmp_path, allocator, **NAMED, share="url")
    shared = [it.parameters["published"] for it in allocator.wanted[2:]]
    assert shared == ['{"lyon": {"url": "1"}}'] * 2


def test_no_names_ask_for_nothing(tmp_path):
    """What depends on a type that has no children."""
    allocator = Allocator()
    exposed = request(tmp_path, allocator, names="")
    assert (exposed["json"], allocator.wanted) == ("{}", [])


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    """It would be one instance with two meanings."""
    with pytest.raises(UserError, match="option names: are at most 100, each one once"):
        request(tmp_path, Allocator(), names="a a")
