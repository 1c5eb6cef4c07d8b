"""The words of usage: what a journal holds, and since when it is asked for."""

from __future__ import annotations

import pytest

from slap.errors import BadRequest
from slap.form import Form
from slap.tioxml import decode_journal
from slap.usage import SINCE, Journal
from tests.builders import a_usage_document


def test_a_journal_counts_the_movements_of_all_its_entries() -> None:
    entries = decode_journal(a_usage_document()).entries

    assert Journal(entries * 3).movement_count == 3
    assert Journal(()).movement_count == 0


@pytest.mark.parametrize(
    ("text", "since"), [("0", 0.0), ("17.25", 17.25), ("1e11", 1e11)]
)
def test_an_instant_is_understood(text: str, since: float) -> None:
    assert SINCE.decode(Form({"since": text})) == since


def test_without_an_instant_everything_is_asked_for() -> None:
    assert SINCE.decode(Form({})) == 0.0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("soon", "since: 'soon' is no number of seconds"),
        ("x" * 100, f"since: {'x' * 40!r} is no number of seconds"),
        ("-1", "since: not a time since 1970"),
        ("1e12", "since: not a time since 1970"),
        ("nan", "since: not a time since 1970"),
    ],
)
def test_another_instant_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(BadRequest) as refused:
        SINCE.decode(Form({"since": text}))

    assert refused.value.sentence == sentence
