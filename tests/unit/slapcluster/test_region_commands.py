"""What is typed when a computer of a hosted region is lost for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labsim.world.world import World
from runtime.certificates import describe_first, key_digest, render_request
from slap import calls
from slap.model import InstanceRequest, PartitionKey
from tests.unit.slapcluster.desk import RELEASE_URL, Desk

ROOT = PartitionKey("local", "slappart0")
REGION = PartitionKey("local", "slappart1")


@pytest.fixture
def desk() -> Desk:
    """A master that hosts itself, as far as it is known: its root and a region."""
    desk = Desk()
    desk.format()
    root = {"regions": "paris lyon tokyo", "storage": "create"}
    lyon = {"region": "lyon", "regions": "paris=1 lyon=2 tokyo=3"}
    desk.perform(
        calls.request_instance(InstanceRequest("cloud", RELEASE_URL, parameters=root)),
        calls.request_instance(
            InstanceRequest("lyon", RELEASE_URL, parameters=lyon, requester=ROOT)
        ),
    )
    return desk


def test_a_computer_is_given_up_by_who_says_that_it_never_comes_back(desk: Desk):
    """What finds no place is named, and the command is repeated."""
    asked = desk.type("computer", "give-up", "local")
    assert asked.exit_code == 1
    assert "local has cloud, lyon: each would begin anew elsewhere" in asked.output

    words = ("computer", "give-up", "local", "--never-comes-back")
    alone = desk.type(*words)
    assert alone.exit_code == 2
    assert "`slapcluster why lyon --root cloud` says why" in alone.output

    desk.format("other")
    told = desk.read(*words)
    assert told["unplaced"] == []
    places = {it["title"]: it["partition"]["computer_id"] for it in told["placed"]}
    assert places == {"cloud": "other", "lyon": "other"}


def test_keys_of_regions_are_shown_and_signed_once(desk: Desk, tmp_path: Path):
    """Again when the region has another key."""
    directory = tmp_path / "root"
    directory.mkdir()
    desk.read("authority", "create", str(directory))
    words = ("region", "sign", "cloud")
    signing = (*words, "--root", str(directory))
    assert desk.read(*signing)["regions"] == []
    keys = World(7).host("lyon").runtime.keys
    for _ in range(2):
        key = keys.new_private_key()
        request = {"certificate-request": render_request(key, "lyon")}
        desk.perform(calls.publish_connection(REGION, request))

        assert desk.read(*words) == {
            "service": "cloud",
            "regions": ["lyon"],
            "is_signed": False,
        }
        assert desk.read(*signing)["is_signed"]

        (root, *_) = desk.read("service", "info", "cloud")["instances"]
        signed = json.loads(root["parameters"]["authority"])["lyon"]
        assert describe_first(signed).key_digest == key_digest(key)
        assert root["parameters"]["regions"] == "paris lyon tokyo"
        assert desk.read(*signing)["regions"] == []


def test_only_the_master_has_regions_to_sign(desk: Desk):
    desk.perform(calls.request_instance(InstanceRequest("hello", RELEASE_URL)))

    refused = desk.type("region", "sign", "hello")

    assert refused.exit_code == 1
    assert "hello is not the master: regions: 0 are named" in refused.output


def test_regions_come_and_leave_by_one_command(desk: Desk):
    """Asked twice it is the same; who comes has a number that nobody has."""
    words = ("region", "change", "cloud", "--add", "oslo", "--remove", "lyon")

    foreseen = desk.read(*words, "--dry-run")
    assert foreseen["regions"] == {"paris": 1, "tokyo": 3, "oslo": 4}
    assert desk.read("region", "change", "cloud", "--dry-run")["regions"] == {
        "paris": 1,
        "lyon": 2,
        "tokyo": 3,
    }
    for _ in range(2):
        assert desk.read(*words)["regions"] == foreseen["regions"]
    (root, *_) = desk.read("service", "info", "cloud")["instances"]
    assert root["parameters"]["regions"] == "paris=1 tokyo=3 oslo=4"
    assert root["parameters"]["storage"] == "create"

    late = desk.type(*words, "--wait", "--timeout", "0")
    assert late.exit_code == 2
    assert "oslo is to be asked for" in late.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--add", "oslo"), "cloud: regions: 4 are named; an odd number"),
        (("--remove", "lyon"), "cloud: regions: 2 are named; an odd number"),
        (("--add", "oslo", "--remove", "oslo"), "oslo: it comes or leaves, and not"),
        (("--add", "Oslo", "--add", "rome"), "regions: 'Oslo': a name has"),
    ],
)
def test_other_regions_are_refused_in_a_sentence(desk: Desk, words, sentence):
    refused = desk.type("region", "change", "cloud", *words)

    assert refused.exit_code == 1
    assert sentence in refused.output
