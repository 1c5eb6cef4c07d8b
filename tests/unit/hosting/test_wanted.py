"""What is asked of the instances of master-cluster, and what regions tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapcluster.hosting.numbering import Misasked
from slapcluster.hosting.rolling import CELLS_KEY, LEG_KEY, USUAL, CellsWish, Leg, Roll
from slapcluster.hosting.wanted import (
    KNOWN_AS_KEY,
    ROOT_KEYS,
    StorageWish,
    WantedRoot,
    describe_root,
    read_published,
    read_root,
    render_published,
    split_certificates,
    summarise,
)
from tests.source_tree import TOP
from tests.unit.hosting.regions import a_certificate, a_published, a_region

RELEASE = TOP / "software" / "master-cluster"


def schema(name: str) -> dict:
    return json.loads((RELEASE / name).read_text())


def test_defaults_are_filled_in_and_given_on_as_they_were_read():
    """The root asks its regions for what it understood itself."""
    wanted = read_root({"regions": "paris lyon tokyo"})
    told = describe_root(wanted, Roll({"lyon": Leg("http://new/")}))
    each = json.loads(told.pop("each"))
    assert each["lyon"]["software-url"] == "http://new/"
    assert (told.pop("names"), told.pop("held")) == ("lyon", '""')
    assert wanted == WantedRoot({"paris": 1, "lyon": 2, "tokyo": 3})
    told["regions"] = "paris=1 lyon=2 tokyo=3"
    assert read_root({**told, "storage": "create"}).storage is StorageWish.CREATE
    assert read_root(told) == wanted


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "regions: 0 are named; an odd number, 3 or more"),
        ({"regions": "a b"}, "regions: 2 are named"),
        ({"regions": "a b c d"}, "regions: 4 are named"),
        ({"regions": "a b c d e f g h i j k"}, "regions: 11; at most 9"),
        ({"regions": "a b a"}, "regions: a is there twice"),
        ({"regions": "a B c"}, "regions: 'B': a name has"),
        ({"regions": "a b- c"}, "regions: 'b-': a name has"),
        ({"regions": "a=1 b=2 c"}, "regions: give all of them a number, or none"),
        ({"regions": "a=1 b=1 c=2"}, "regions: two of them have the same number"),
        ({"regions": "a=0 b=1 c=2"}, "regions: a=0: a number is 1 to 99"),
        ({"regions": "a=1 b=100 c=2"}, "regions: b=100: a number is"),
        ({"regions": "a=1 b=\u0663 c=2"}, "regions: b=\u0663: a number is"),
        ({"regions": "a b c", "storage": "new"}, "storage: 'new' is none of create"),
        ({"regions": "a b c", "neo-cluster": "A b"}, "neo-cluster: 'A b': a name"),
        ({"regions": "a b c", "neo-partitions": "x"}, "neo-partitions: 'x' is no"),
        ({"regions": "a b c", "neo-partitions": "0"}, "neo-partitions: 0: 1 to 1000"),
        ({"regions": "a b c", "authority": "["}, "authority: it is no JSON of texts"),
        ({"regions": "a b c", "authority": '{"a": 1}'}, "authority: it is no JSON of"),
        ({"regions": "a b c", "colour": "red"}, "colour: no such parameter; authori"),
    ],
)
def test_what_a_root_cannot_be_asked_for_is_a_sentence(parameters, sentence):
    """It names the key."""
    with pytest.raises(Misasked) as caught:
        read_root(parameters)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"region": "lima"}, "region: 'lima' is none of the regions paris lyon tokyo"),
        ({"cells": "take"}, "cells: 'take' is neither wait nor drop with numbers"),
        ({"published": "["}, "published: it is not understood"),
        ({"published": "[]"}, "published: it is not understood"),
        ({"published": '{"lyon": 1}'}, "published.lyon: it is of another region"),
        ({"published": '{"lyon": {"region": "lyon"}}'}, "published.lyon: ports is mi"),
        ({"published": " " * 300_000}, "published: more than 262144 bytes"),
    ],
)
def test_what_a_region_cannot_be_asked_for_is_a_sentence(changes, sentence):
    """It names the key."""
    with pytest.raises(Misasked) as caught:
        a_region(**changes)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("address", "example.org"),
        ("ports", "[]"),
        ("ports", '{"neo-master": "x"}'),
        ("certificates", "nothing"),
        ("certificates", ""),
        ("region", "tokyo"),
    ],
)
def test_what_another_region_published_wrongly_names_it(key, value):
    """So that one knows where to look."""
    document = {**render_published(a_published("lyon")), key: value}
    with pytest.raises(Misasked, match=r"published\.lyon: "):
        read_published("lyon", document)


def test_a_region_reads_what_another_one_published():
    """Both certificates of a renewal too; keys of later releases are left."""
    told = a_published("lyon", a_certificate("one"), a_certificate("two"))
    document = {**render_published(told), "colour": "red"}
    assert read_published("lyon", document) == told
    assert a_region(others=("lyon", "paris")).others == {"lyon": a_published("lyon")}


def test_a_region_leaves_what_a_later_root_says_to_later_regions():
    """During a roll the root is of the later release, and most regions are not."""
    assert a_region("lyon", colour="red") == a_region("lyon")
    assert a_region("lyon", leg="7").leg == "7"
    assert a_region("lyon", leg="-7").leg == ""


def test_a_region_knows_all_while_some_come_or_leave():
    """That may be an even number of them; a root is asked for an odd one."""
    told = a_region("lyon", regions="paris=1 lyon=2 tokyo=3 oslo=7", cells="drop 1")
    assert told.root.names == ("paris", "lyon", "tokyo", "oslo")
    assert told.cells == CellsWish(drops=frozenset({1}))
    assert a_region("lyon").cells == USUAL


@given(st.lists(st.text("ABCab+/=\n", min_size=1).filter(str.strip), min_size=1))
def test_certificates_are_told_apart(texts):
    """However many there are, and whoever trimmed the whole."""
    certificates = tuple(a_certificate(it) for it in texts)
    assert split_certificates("".join(certificates).strip()) == certificates


def test_the_root_tells_which_regions_are_there():
    """Addresses of replicas too, of those that have published one."""
    lyon = {**render_published(a_published("lyon", is_created=True))}
    lyon["replica-url"] = "https://[fd00:2::2]:20003"
    assert summarise({"lyon": lyon, "paris": {"address": ""}}) == {
        "regions": "lyon",
        "storage": "lyon",
        "replicas": "https://[fd00:2::2]:20003",
        "certificate-requests": '{"lyon": ""}',
        "releases": '{"lyon": ""}',
    }


def test_the_schemas_speak_of_the_parameters_that_are_read():
    """Neither more nor less, in both directions."""
    assert set(schema("instance-input-schema.json")["properties"]) == ROOT_KEYS
    assert set(schema("region-input-schema.json")["properties"]) == {
        *ROOT_KEYS,
        *("region", "published", LEG_KEY, CELLS_KEY),
    }
    published = render_published(a_published("lyon"))
    assert set(schema("region-output-schema.json")["properties"]) == {
        *published,
        KNOWN_AS_KEY,
    }
    assert set(schema("instance-output-schema.json")["properties"]) == set(
        summarise({})
    )
    files = json.loads((RELEASE / "software.cfg.json").read_text())["software-type"]
    for kind in files.values():
        for file in (kind["request"], kind["response"]):
            assert Path(RELEASE / file).is_file()
