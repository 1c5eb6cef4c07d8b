"""Whom a certificate speaks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap.errors import BadRequest, Forbidden
from slap.identities import (
    Identity,
    Role,
    identity_of,
    identity_uri,
    refusal_of_master,
)

NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


@given(st.sampled_from(Role), NAMES)
def test_what_is_written_is_read(role: Role, name: str) -> None:
    identity = Identity(role, name)
    assert identity_of([identity_uri(identity)]) == identity


OWN = "urn:slapcluster:computer:COMP-1"


@pytest.mark.parametrize(
    "uris",
    [
        (),
        (OWN, OWN.replace("1", "2")),
        (OWN, "https://example.org/"),
        (f"{OWN} ",),
        (f" {OWN}",),
        (f"{OWN}\n",),
        (f"{OWN}\0.evil",),
        (f"{OWN}/../COMP-2",),
        (f"{OWN}%00",),
        (OWN.upper(),),
        ("urn:slapcluster:computer:",),
        ("urn:slapcluster:computer:-rf",),
        ("urn:slapcluster:computer:Ä",),
        ("urn:slapcluster:computer:" + "a" * 65,),
        ("urn:slapcluster:authority:lyon",),
        ("urn:slapcluster:computer:COMP-1:replica",),
    ],
)
def test_anything_else_is_nobody(uris: tuple[str, ...]) -> None:
    with pytest.raises(Forbidden, match="nobody of this cloud"):
        identity_of(uris)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "-a", "a" * 65, "é", "a\n", "a\0"])
def test_a_name_that_no_certificate_carries_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="no name of a certificate"):
        Identity(Role.COMPUTER, name)


def test_people_read_who_it_is() -> None:
    assert str(Identity(Role.REPLICA, "lyon")) == "replica lyon"


@pytest.mark.parametrize("role", Role)
def test_a_master_is_a_replica(role: Role) -> None:
    refusal = refusal_of_master([identity_uri(Identity(role, "lyon"))])

    assert (refusal is None) == (role is Role.REPLICA)
    assert refusal is None or f"that of {role} lyon" in refusal


def test_a_certificate_of_nobody_is_no_master() -> None:
    assert refusal_of_master([]) == "the certificate names nobody of this cloud"
