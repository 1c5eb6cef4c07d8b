"""Recipe slapcluster:parameters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from attrs import evolve
from zc.buildout import UserError

from slap.errors import NotFound
from slap.model import (
    NetworkAddress,
    Partition,
    PartitionInstance,
    PartitionKey,
    RequestedState,
    SharedInstance,
)
from slapgrid.recipe.documents import decode_shared_instances
from slapgrid.recipe.parameters import Recipe, first_port
from slapgrid.recipe.quoting import unquote
from tests.unit.recipe.loopback_master import serve
from tests.unit.recipe.sections import RELEASE_URL, a_buildout

SHARED = (
    SharedInstance("_night", "night", "default", {"greeting": "${a:b}"}),
    SharedInstance("_dawn", "dawn", "default"),
)

PARTITION = Partition(
    PartitionKey("COMP-1", "slappart3"),
    RequestedState.STARTED,
    (
        NetworkAddress("slappart3", "10.0.0.3"),
        NetworkAddress("slappart3", "fd00::5"),
        NetworkAddress("slappart3", "fd00::4"),
    ),
    PartitionInstance(
        instance_guid="SOFTINST-7",
        title="greeter",
        root_title="tree",
        software_release_url=RELEASE_URL,
        software_type="default",
        timestamp="5",
        parameters={"greeting": "${buildout:directory} $$", "bad name": "x"},
        shared_instances=SHARED,
    ),
)


def expose(partition=PARTITION, **options):
    """What the recipe exposes, unquoted, for what the master says."""
    options = {"recipe": "slapcluster:parameters", **options}
    given = set(options)

    def answer(_call):
        if isinstance(partition, Exception):
            raise partition
        return partition

    with serve(answer) as master:
        recipe = Recipe(a_buildout(Path("/"), master.url), "parameters", options)
    assert recipe.install() == []
    return {key: unquote(it) for key, it in options.items() if key not in given}


def with_instance(**changes):
    return evolve(PARTITION, instance=evolve(PARTITION.instance, **changes))


def test_everything_of_the_instance_is_exposed():
    """Parameters over defaults, the place, and who it is."""
    exposed = expose(**{"default.greeting": "Hello", "default.children": "0"})

    shared = decode_shared_instances(exposed.pop("shared-instances"))
    assert shared == tuple(sorted(SHARED, key=lambda it: it.reference))
    assert json.loads(exposed.pop("json")) == {
        "bad name": "x",
        "children": "0",
        "greeting": "${buildout:directory} $$",
    }
    connection = json.loads(exposed.pop("connection"))
    assert connection.pop("server_urls").startswith("http://127.0.0.1:")
    assert connection == {
        "computer_id": "COMP-1",
        "partition_id": "slappart3",
        "key_file": "",
        "cert_file": "",
        "master_ca_file": "",
    }
    assert exposed == {
        "configuration.children": "0",
        "configuration.greeting": "${buildout:directory} $$",
        "ipv6": "fd00::4",
        "ipv4": "10.0.0.3",
        "first-port": "20030",
        "instance-title": "greeter",
        "root-instance-title": "tree",
        "instance-guid": "SOFTINST-7",
        "instance-state": "started",
        "slap-software-type": "default",
    }


@pytest.mark.parametrize("value", ["a\r[x]", "\x7f", "\x85", "\u2028"])
def test_a_value_that_would_break_buildouts_own_file_is_in_json_alone(value):
    """Buildout keeps options in a file of lines; these signs end lines there."""
    partition = with_instance(parameters={"greeting": value, "word": "two\nlines"})
    exposed = expose(partition)
    assert json.loads(exposed["json"])["greeting"] == value
    assert "configuration.greeting" not in exposed
    assert exposed["configuration.word"] == "two\nlines"


@pytest.mark.parametrize(
    ("partition", "option", "sentence"),
    [
        (evolve(PARTITION, instance=None), "recipe", "slappart3 holds no instance"),
        (evolve(PARTITION, addresses=()), "ipv6", "slappart3 has no IPv6 address"),
        (
            with_instance(software_type="other"),
            "software-types",
            "'other' is asked for and default exist",
        ),
        (
            NotFound("no partition slappart3"),
            "recipe",
            "registerComputerPartition: no partition slappart3",
        ),
        (
            evolve(PARTITION, key=PartitionKey("COMP-1", "slappart9999")),
            "first-port",
            "the number of slappart9999 leaves no port",
        ),
    ],
)
def test_what_an_instance_cannot_do_with_is_refused(partition, option, sentence):
    """The error says which option of which section, and why."""
    with pytest.raises(UserError) as caught:
        expose(partition)
    assert str(caught.value) == f"section [parameters], option {option}: {sentence}"


def test_the_old_name_of_the_default_type_is_the_default_type():
    """Requests without type arrive under either name."""
    exposed = expose(with_instance(software_type="RootSoftwareInstance"))
    assert exposed["slap-software-type"] == "RootSoftwareInstance"


def test_partitions_of_a_computer_have_no_port_in_common():
    """Ten each, from the number at the end of the name."""
    names = ("slappart0", "slappart1", "slappart12", "alone")
    assert [first_port(name) for name in names] == [20000, 20010, 20120, 20000]
