"""Access statuses: what stock clients read, and what is no status."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given

from slap.errors import MalformedDocument
from slap.marshalling import Value, dumps, loads
from slap.statuses import AccessStatus, Subject, decode_status, encode_status
from tests import strategies

STATUS = AccessStatus(
    subject=Subject.INSTANCE,
    reference="SOFTINST-1",
    reporter="COMP-1",
    text="#access it runs",
    reported_state="started",
    heard_at=1_800_000_060,
    since=1_800_000_000,
    is_silent_5_minutes=True,
)


def fields_of(status: AccessStatus) -> dict[str, Value]:
    """The dictionary that a stock client reads."""
    fields = loads(encode_status(status))
    assert isinstance(fields, dict)
    return fields


def test_a_status_is_the_dictionary_of_stock_clients() -> None:
    assert fields_of(STATUS) == {
        "created_at": "Fri, 15 Jan 2027 08:01:00 GMT",
        "no_data_since_15_minutes": 0,
        "no_data_since_5_minutes": 1,
        "portal_type": "Software Instance",
        "reference": "SOFTINST-1",
        "since": "Fri, 15 Jan 2027 08:00:00 GMT",
        "state": "started",
        "text": "#access it runs",
        "user": "COMP-1",
    }


def test_of_what_was_never_heard_nothing_is_said_of_silence() -> None:
    unheard = evolve(STATUS, is_known=False, is_silent_5_minutes=False)

    assert fields_of(unheard) == {
        "created_at": "Fri, 15 Jan 2027 08:01:00 GMT",
        "no_data": 1,
        "portal_type": "Software Instance",
        "reference": "SOFTINST-1",
        "since": "Fri, 15 Jan 2027 08:00:00 GMT",
        "state": "started",
        "text": "#access it runs",
        "user": "COMP-1",
    }
    assert decode_status(encode_status(unheard)) == unheard


def test_a_status_in_full_survives() -> None:
    assert decode_status(encode_status(STATUS)) == STATUS


@given(strategies.an_access_status())
def test_a_status_survives(status: AccessStatus) -> None:
    assert decode_status(encode_status(status)) == status


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"portal_type": "Cloud"}, "portal_type: unknown"),
        ({"portal_type": None}, "portal_type: unknown"),
        ({"created_at": "yesterday"}, "created_at: not a date"),
        ({"since": "Fri, 99 Jan 2027 08:00:00 GMT"}, "since: not a date"),
    ],
)
def test_a_status_that_makes_no_sense_is_refused(
    fields: dict[str, Value], reason: str
) -> None:
    with pytest.raises(MalformedDocument) as refused:
        decode_status(dumps({**fields_of(STATUS), **fields}))

    assert refused.value.sentence == reason


def test_a_list_is_no_status() -> None:
    with pytest.raises(MalformedDocument) as refused:
        decode_status(dumps(["#access it runs"]))

    assert refused.value.sentence == "not a dictionary"
