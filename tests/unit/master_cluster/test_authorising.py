"""Who may call what: every method and page, asked by every role."""

from __future__ import annotations

import pytest
from attrs import evolve

from master_cluster.authorising import (
    TABLE,
    Places,
    Scope,
    asks_where,
    check_call,
    check_page,
    check_poll,
    subject_of,
)
from slap import calls
from slap.calls import Call
from slap.errors import Forbidden
from slap.identities import Identity, Role
from slap.methods import METHODS
from tests.builders import (
    COMPUTER_ID,
    a_computer_definition,
    a_partition_key,
    an_installation,
    an_instance_request,
)

PAGES = {
    "/",
    "Person_getCertificate",
    "Person_requestComputer",
    "getHateoasUrl",
    "hateoas",
    "healthz",
    "metrics",
    "openapi.json",
    "panel",
    "readyz",
    "release",
}
"""Everything that a master serves besides methods."""

KEY = a_partition_key(0)
GUID = "SOFTINST-1"

OWN_COMPUTER = Identity(Role.COMPUTER, COMPUTER_ID)
OTHER_COMPUTER = Identity(Role.COMPUTER, "COMP-9")
OWN_INSTANCE = Identity(Role.INSTANCE, GUID)
OTHER_INSTANCE = Identity(Role.INSTANCE, "SOFTINST-9")
REPLICA = Identity(Role.REPLICA, "lyon")
PERSON = Identity(Role.PERSON, "ada")
LINK = Identity(Role.LINK, "lyon")

PLACES = Places({KEY: GUID}, {GUID: KEY})

SAMPLES = {
    "computer_id": COMPUTER_ID,
    "partition": KEY,
    "definition": a_computer_definition(1),
    "installation": an_installation(),
    "instance_request": an_instance_request(requester=KEY),
    "instance_guid": GUID,
}
"""Arguments that name something that is somebody's; all of it is of ``COMPUTER_ID``."""


def a_call(name):
    arguments = {it.name: SAMPLES.get(it.name, "x") for it in METHODS[name].arguments}
    return Call(name, arguments)


def may_call(identity, call):
    try:
        check_call(identity, call, PLACES)
    except Forbidden:
        return False
    return True


def test_every_method_and_page_has_a_row():
    assert set(TABLE) == set(METHODS) | PAGES


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_role_calls_every_method_as_the_table_says(name):
    rights, call = TABLE[name], a_call(name)
    everywhere = {role for role, scope in rights.items() if scope is Scope.ALL}

    assert may_call(None, call) == (None in everywhere)
    for identity in (REPLICA, PERSON, LINK, OTHER_COMPUTER, OTHER_INSTANCE):
        assert may_call(identity, call) == (identity.role in everywhere), identity
    for identity in (OWN_COMPUTER, OWN_INSTANCE):
        assert may_call(identity, call) == (identity.role in rights), identity


@pytest.mark.parametrize("name", sorted(METHODS))
def test_what_is_for_owners_names_what_is_owned(name):
    owners = {role for role, scope in TABLE[name].items() if scope is Scope.OWN}

    assert owners <= {Role.COMPUTER, Role.INSTANCE}
    if owners:
        assert set(a_call(name).arguments) & set(SAMPLES)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_no_page_is_for_owners(name):
    """Nobody would look who owns what it shows."""
    assert set(TABLE[name].values()) <= {Scope.ALL}
    assert TABLE[name].get(Role.PERSON) is Scope.ALL


@pytest.mark.parametrize(
    "name",
    ["hateoas", "panel", "metrics", "getFullComputerInformation", "slapcluster.v0.why"],
)
def test_who_shows_no_certificate_is_told_so(name):
    with pytest.raises(Forbidden, match=f"{name} is not for who shows no certificate"):
        check_page(None, name)


@pytest.mark.parametrize("name", ["", "nothing", "__init__", "supplysupply"])
def test_what_has_no_row_is_refused_to_everybody(name):
    for identity in (None, OWN_COMPUTER, PERSON, REPLICA):
        with pytest.raises(Forbidden, match="is not for"):
            check_page(identity, name)


def test_a_person_may_call_every_method():
    assert all(may_call(PERSON, a_call(name)) for name in METHODS)


def test_a_computer_has_its_own_document_alone():
    check_poll(OWN_COMPUTER, "getFullComputerInformation", COMPUTER_ID)
    check_poll(PERSON, "getFullComputerInformation", COMPUTER_ID)
    for identity in (None, OTHER_COMPUTER, OWN_INSTANCE, REPLICA, LINK):
        with pytest.raises(Forbidden):
            check_poll(identity, "getFullComputerInformation", COMPUTER_ID)


FOREIGN_KEY = a_partition_key(0, "COMP-9")


def test_a_computer_speaks_for_its_own_partitions_alone():
    for call in (
        calls.request_instance(an_instance_request(requester=FOREIGN_KEY)),
        evolve(
            calls.request_instance(an_instance_request(requester=KEY)),
            requester=FOREIGN_KEY,
        ),
        evolve(calls.send_usage(COMPUTER_ID, "x"), requester=FOREIGN_KEY),
        evolve(calls.get_products(), requester=FOREIGN_KEY),
    ):
        with pytest.raises(Forbidden, match="partition slappart0 of COMP-9 is not of"):
            check_call(OWN_COMPUTER, call)


def test_a_root_is_requested_by_persons_alone():
    root = calls.request_instance(an_instance_request())

    check_call(PERSON, root)
    for identity in (OWN_COMPUTER, OWN_INSTANCE):
        with pytest.raises(Forbidden, match="in the name of a partition alone"):
            check_call(identity, root, PLACES)


def test_an_instance_that_is_nowhere_is_of_no_computer():
    call = Call("slapos.get.v0.software_instance", {"instance_guid": GUID})

    for places in (Places(), Places({}, {GUID: None})):
        with pytest.raises(Forbidden, match=f"{GUID} is not of computer"):
            check_call(OWN_COMPUTER, call, places)


def test_an_instance_has_what_it_hosts():
    call = Call("slapos.put.v0.software_instance_error", {"instance_guid": "GUEST"})

    check_call(OWN_INSTANCE, call, Places({KEY: GUID}, {"GUEST": KEY}))
    with pytest.raises(Forbidden, match="GUEST is not of instance"):
        check_call(OWN_INSTANCE, call, Places({KEY: "OTHER"}, {"GUEST": KEY}))


def test_only_what_is_not_known_is_looked_up():
    polled = calls.report_started(KEY)
    by_guid = Call("slapos.get.v0.software_instance", {"instance_guid": GUID})

    assert asks_where(OWN_COMPUTER, polled) == subject_of(Call("getRunId"))
    assert asks_where(PERSON, by_guid) == subject_of(Call("getRunId"))
    assert asks_where(OWN_COMPUTER, by_guid).instances == {GUID}
    assert asks_where(OWN_INSTANCE, polled).partitions == {KEY}
