"""Core. Answers that are plain lists, marshalled, and back."""

from __future__ import annotations

from collections.abc import Sequence

from slap.errors import MalformedDocument
from slap.marshalling import Value, dumps, loads
from slap.model import NetworkAddress


def encode_texts(texts: Sequence[str]) -> bytes:
    values: list[Value] = list(texts)
    return dumps(values)


def decode_texts(document: bytes) -> tuple[str, ...]:
    texts = _values(document)
    if not all(isinstance(it, str) for it in texts):
        raise MalformedDocument("not a list of texts")
    return tuple(it for it in texts if isinstance(it, str))


def encode_addresses(addresses: Sequence[NetworkAddress]) -> bytes:
    values: list[Value] = [(it.interface, it.address) for it in addresses]
    return dumps(values)


def decode_addresses(document: bytes) -> tuple[NetworkAddress, ...]:
    return tuple(_address(it) for it in _values(document))


def _values(document: bytes) -> list[Value] | tuple[Value, ...]:
    values = loads(document)
    if not isinstance(values, (list, tuple)):
        raise MalformedDocument("not a list")
    return values


def _address(value: Value) -> NetworkAddress:
    match value:
        case (str() as interface, str() as address):
            return NetworkAddress(interface, address)
    raise MalformedDocument("not an interface and an address")
