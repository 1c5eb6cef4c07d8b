"""Recipe slapcluster:publish."""

from __future__ import annotations

from pathlib import Path

import pytest
from zc.buildout import UserError

from slap.calls import publish_connection
from slap.errors import Forbidden
from slap.model import PartitionKey, SharedInstance
from slapgrid.recipe.documents import encode_shared_instances
from slapgrid.recipe.publish import Recipe
from slapgrid.recipe.quoting import quote
from tests.unit.recipe.loopback_master import serve
from tests.unit.recipe.sections import a_buildout

US = PartitionKey("COMP-1", "slappart3")


def publish(**options):
    """Install and update; the calls that the master got."""
    options = {"recipe": "slapcluster:publish", **options}
    with serve(lambda _call: None) as master:
        recipe = Recipe(a_buildout(Path("/"), master.url), "publish", options)
        # Buildout adds options of its own before it installs.
        options["__buildout_signature__"] = "x"
        recipe.install()
        recipe.update()
    return master.calls


def test_options_are_published_and_nothing_else_at_each_pass():
    """What a master lost comes back with the next pass."""
    calls = publish(url="http://[fd00::4]/$${a:b}", **{"-private": "x"})
    call = publish_connection(US, {"url": "http://[fd00::4]/${a:b}"})
    assert calls == [call, call]


def test_each_shared_instance_gets_its_own_names():
    """Encoded, so that any title makes a good address."""
    shared = [
        SharedInstance("b", "a/{reference} é", "default"),
        SharedInstance("a", "plain", "default"),
    ]
    document = quote(encode_shared_instances(shared))
    url = "http://host/{reference}?title={title}"
    calls = publish(url=url, **{"shared-instances": document})
    first = publish_connection(US, {"url": "http://host/a?title=plain"}, "a")
    encoded = "a%2F%7Breference%7D%20%C3%A9"
    second = publish_connection(US, {"url": f"http://host/b?title={encoded}"}, "b")
    assert calls == [first, second, first, second]


def test_without_shared_instances_nothing_is_published_for_them():
    """An empty list is not the instance itself."""
    assert publish(url="x", **{"shared-instances": "[]"}) == []


@pytest.mark.parametrize("document", ["{}", "3", '[{"reference": 1}]', "[", '["x"]'])
def test_a_document_that_lists_no_shared_instances_is_refused(document):
    """It is written by hand, or by another version."""
    with pytest.raises(UserError, match="option shared-instances: "):
        publish(**{"shared-instances": document})


def test_a_refusal_of_the_master_fails_the_part_with_its_sentence():
    """Buildout shows a UserError without traceback."""

    def refuse(_call):
        raise Forbidden("not yours")

    with serve(refuse) as master:
        options = {"recipe": "slapcluster:publish", "url": "x"}
        recipe = Recipe(a_buildout(Path("/"), master.url), "publish", options)
        with pytest.raises(UserError, match=r"\[publish\].*: not yours"):
            recipe.install()


def test_texts_of_a_json_object_are_published_too():
    """A key of it wins over none of the options, which are of the profile."""
    calls = publish(url="x", json='{"a": "1", "b": "line\\nline"}')
    assert calls[0] == publish_connection(US, {"url": "x", "a": "1", "b": "line\nline"})


@pytest.mark.parametrize("document", ["[", "[]", '{"a": 1}'])
def test_other_json_is_refused(document):
    """Nothing is published."""
    with pytest.raises(UserError, match="option json: is no JSON object of texts"):
        publish(json=document)
