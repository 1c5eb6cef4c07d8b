"""Answers that are plain lists: what is no such list is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slap.errors import MalformedDocument
from slap.list_codec import decode_addresses, decode_texts, encode_addresses
from slap.marshalling import Value, dumps
from slap.model import NetworkAddress


def test_addresses_come_back_in_order() -> None:
    addresses = (NetworkAddress("lo", "::1"), NetworkAddress("", "10.0.0.1"))

    assert decode_addresses(encode_addresses(addresses)) == addresses


@pytest.mark.parametrize(
    ("decode", "value", "reason"),
    [
        (decode_texts, "a", "not a list"),
        (decode_texts, {"a": "b"}, "not a list"),
        (decode_texts, ["a", 1], "not a list of texts"),
        (decode_addresses, None, "not a list"),
        (decode_addresses, ["a"], "not an interface and an address"),
        (decode_addresses, [("lo", 1)], "not an interface and an address"),
        (decode_addresses, [("lo", "::1", "")], "not an interface and an address"),
    ],
)
def test_another_value_is_refused(
    decode: Callable[[bytes], object], value: Value, reason: str
) -> None:
    with pytest.raises(MalformedDocument) as refused:
        decode(dumps(value))

    assert refused.value.sentence == reason
