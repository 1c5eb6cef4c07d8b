"""What the URI of a NEO store says, and what is wrong with others."""

from __future__ import annotations

import pytest

from master_cluster.errors import Misconfigured
from master_cluster.store.neo_uri import NeoPlace, parse_neo_uri


def test_a_uri_names_a_neo_cluster_and_its_masters() -> None:
    uri = "neo:state@127.0.0.1:2051,[fd00::0:1]:2052"

    assert parse_neo_uri(uri) == NeoPlace("state", ("127.0.0.1:2051", "[fd00::1]:2052"))


def test_options_say_how_it_is_reached() -> None:
    uri = (
        "neo:state@[fd00::1]:2051?near=[fd00::2]:1,[fd00::3]:1"
        "&translate=[fd00::1]:2051=127.0.0.1:7,[fd00::2]:1=127.0.0.1:8"
        "&silence=5&wait=0.5&ca=/etc/ca%20here.crt&cert=/etc/cert&key=/etc/key"
    )

    assert parse_neo_uri(uri) == NeoPlace(
        "state",
        ("[fd00::1]:2051",),
        near=("[fd00::2]:1", "[fd00::3]:1"),
        translations=(
            ("[fd00::1]:2051", "127.0.0.1:7"),
            ("[fd00::2]:1", "127.0.0.1:8"),
        ),
        silence_seconds=5,
        wait_seconds=0.5,
        ca="/etc/ca here.crt",
        cert="/etc/cert",
        key="/etc/key",
    )


@pytest.mark.parametrize(
    ("rest", "sentence"),
    [
        ("", "names no NEO cluster"),
        ("127.0.0.1:1", "names no NEO cluster"),
        ("@127.0.0.1:1", "names no NEO cluster"),
        ("//a@127.0.0.1:1", "names no NEO cluster"),
        ("a b@127.0.0.1:1", "names no NEO cluster"),
        ("a@", "'' is no address of NEO"),
        ("a@127.0.0.1", "is no address of NEO"),
        ("a@127.0.0.1:0", "is no address of NEO"),
        ("a@127.0.0.1:65536", "is no address of NEO"),
        ("a@127.0.0.1:1²", "is no address of NEO"),
        ("a@127.0.0.1:1,", "'' is no address of NEO"),
        ("a@127.0.0.1:1 127.0.0.1:2", "is no address of NEO"),
        ("a@localhost:1", "is no address of NEO"),
        ("a@fd00::1:1", "is no address of NEO"),
        ("a@[127.0.0.1]:1", "is no address of NEO"),
        ("a@127.0.0.1:1?", None),
        ("a@127.0.0.1:1?far=127.0.0.1:1", "has no option 'far'"),
        ("a@127.0.0.1:1?near", "'' is no address of NEO"),
        ("a@127.0.0.1:1?wait=1&wait=2", "wait of the neo: store is given twice"),
        ("a@127.0.0.1:1?wait=soon", "wait is 'soon'"),
        ("a@127.0.0.1:1?wait=-1", "wait is '-1'"),
        ("a@127.0.0.1:1?wait=nan", "wait is 'nan'"),
        ("a@127.0.0.1:1?wait=3601", "more than 3600 seconds"),
        ("a@127.0.0.1:1?silence=0", "whole seconds, one or more"),
        ("a@127.0.0.1:1?silence=1.5", "whole seconds, one or more"),
        ("a@127.0.0.1:1?translate=127.0.0.1:1", "write ANNOUNCED=REACHED"),
        ("a@127.0.0.1:1?translate=127.0.0.1:1=", "'' is no address of NEO"),
        ("a@127.0.0.1:1?ca=x&cert=y", "needs all of ca, cert and key"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(rest: str, sentence: str | None) -> None:
    if sentence is None:
        assert parse_neo_uri(f"neo:{rest}") == NeoPlace("a", ("127.0.0.1:1",))
        return
    with pytest.raises(Misconfigured, match=sentence):
        parse_neo_uri(f"neo:{rest}")
